"""Sealed tables under all kinds of statements, and a model beside them that says what each holds.

A step is one transaction, or one statement outside of any, and what it makes of which tables: all of it must be there, or none.
Rows are (a, v), a unique; a table's content is told by a line of sums, `None` when there is no table.
"""

LIMIT = 4  # tables at once
ABSENT = None


def content(model):
    if model is ABSENT:
        return ABSENT
    return '%d|%d|%d|%d' % (len(model), sum(model), sum(model.values()), sum(a * v for a, v in model.items()))


CONTENT = "select '%(t)s', count(*), coalesce(sum(a), 0), coalesce(sum(v), 0), coalesce(sum(a::bigint * v), 0) from %(t)s"


def contents(ask, names):
    """name -> content of those that are there; `ask` runs a query and gives its text"""
    there = sorted(set(ask("select table_name from information_schema.tables where table_schema = 'public'").split()) & set(names))
    if not there:
        return {}
    rows = ask(' union all '.join(CONTENT % {'t': t} for t in there))
    return dict(line.split('|', 1) for line in rows.splitlines())


class Tables:
    """The tables of one session; their names begin with `prefix`."""

    def __init__(self, prefix, rnd):
        self.prefix, self.rnd = prefix, rnd
        self.models, self.made, self.next_a = {}, 0, 1

    def step(self):
        """(statements, {table: what it is then}); they run as one psql command each, or all in one"""
        there = sorted(self.models)
        if not there or (len(there) < LIMIT and self.rnd.random() < 0.15):
            return self.rnd.choice((self.create, self.create_as))()
        kinds = [self.insert] * 3 + [self.insert_many, self.update, self.update, self.delete, self.delete, self.merge, self.vacuum, self.vacuum,
                                     self.vacuum_full, self.truncate, self.add_column, self.rewrite, self.drop, self.two, self.savepoints, self.temporary]
        return self.rnd.choice(kinds)(self.rnd.choice(there))

    def apply(self, changes):
        for name, model in changes.items():
            if model is ABSENT:
                self.models.pop(name, None)
            else:
                self.models[name] = model

    def names(self):
        return list(self.models)

    # -- making and dropping ----------------------------------------------------------------------------------------

    def new(self):
        self.made += 1
        return '%s_%d' % (self.prefix, self.made)

    def rows(self, n):
        """(select of n new rows, their model)"""
        first, self.next_a = self.next_a, self.next_a + n
        k = self.rnd.randrange(1, 50)
        return ("select i::integer as a, (i %% %d)::integer as v, md5(i::varchar(12))::varchar(40) as b from generate_series(%d, %d) i" % (k, first, first + n - 1),
                {i: i % k for i in range(first, first + n)})

    def create(self):
        name = self.new()
        rows, model = self.rows(self.rnd.choice((3, 2000)))
        return ['begin; create table %s (a integer, v integer, b varchar(40)) sortkey (a); insert into %s %s; commit' % (name, name, rows)], {name: model}

    def create_as(self):
        name = self.new()
        rows, model = self.rows(self.rnd.choice((10, 3000)))
        return ['create table %s as %s' % (name, rows)], {name: model}

    def drop(self, t):
        return ['drop table %s' % t], {t: ABSENT}

    def truncate(self, t):
        rows, model = self.rows(20)
        if self.rnd.random() < 0.5:
            return ['truncate %s' % t], {t: {}}
        return ['begin; truncate %s; insert into %s (a, v, b) %s; commit' % (t, t, rows)], {t: model}

    def add_column(self, t):
        return ['alter table %s add column c%d integer default 7' % (t, self.rnd.randrange(1 << 30))], {t: self.models[t]}

    def rewrite(self, t):
        return ["alter table %s alter column b type varchar(%d) using b || 'x'" % (t, self.rnd.randrange(60, 1000))], {t: self.models[t]}

    # -- rows -------------------------------------------------------------------------------------------------------

    def insert(self, t, n=None):
        rows, more = self.rows(n or self.rnd.choice((1, 50, 700)))
        return ['insert into %s (a, v, b) %s' % (t, rows)], {t: {**self.models[t], **more}}

    def insert_many(self, t):
        return self.insert(t, 20000)

    def update(self, t):
        k, m = self.rnd.randrange(2, 9), self.models[t]
        return ['update %s set v = v + 3 where a %% %d = 1' % (t, k)], {t: {a: v + 3 if a % k == 1 else v for a, v in m.items()}}

    def delete(self, t):
        k, m = self.rnd.randrange(2, 9), self.models[t]
        return ['delete from %s where a %% %d = 0' % (t, k)], {t: {a: v for a, v in m.items() if a % k}}

    def merge(self, t):
        rows, more = self.rows(30)
        old, m = self.rnd.randrange(1, self.next_a), dict(self.models[t])
        sql = ('merge into %s using (%s union all select i::integer, 5, null from generate_series(%d, %d) i) s on %s.a = s.a '
               'when matched then update set v = s.v when not matched and s.b is not null then insert (a, v, b) values (s.a, s.v, s.b)' % (t, rows, old, old + 60, t))
        for a in range(old, old + 61):
            if a in m:
                m[a] = 5
        for a, v in more.items():
            m[a] = v
        return [sql], {t: m}

    def vacuum(self, t):
        return ['vacuum %s' % t], {t: self.models[t]}

    def vacuum_full(self, t):
        return ['vacuum full %s' % t], {t: self.models[t]}

    def two(self, t):
        """rows move from one table into another"""
        other, k = self.rnd.choice(sorted(self.models)), self.rnd.randrange(2, 6)
        if other == t:
            return self.update(t)
        moved = {a: v for a, v in self.models[t].items() if a % k == 0 and a not in self.models[other]}
        sql = ('begin; insert into %(o)s (a, v, b) select a, v, b from %(t)s where a %% %(k)d = 0 and a not in (select a from %(o)s); '
               'delete from %(t)s where a %% %(k)d = 0 and a in (select a from %(o)s); commit' % {'t': t, 'o': other, 'k': k})
        left = {a: v for a, v in self.models[t].items() if a % k}
        return [sql], {t: left, other: {**self.models[other], **moved}}

    def savepoints(self, t):
        rows, _ = self.rows(400)
        kept, more = self.rows(5)
        lost = self.new()
        return ['begin; savepoint s; insert into %s (a, v, b) %s; delete from %s where a %% 2 = 0; create table %s (x integer); rollback to s; '
                'insert into %s (a, v, b) %s; commit' % (t, rows, t, lost, t, kept)], {t: {**self.models[t], **more}}

    def temporary(self, t):
        return ['create temp table keep as select * from %s; update keep set v = 1; insert into keep select * from keep' % t], {t: self.models[t]}
