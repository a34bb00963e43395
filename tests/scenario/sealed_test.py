"""Sealed tables: what they refuse by name, what a killed server keeps, and that nothing on the disk can be read or altered unseen."""
import os
import random
import subprocess
import threading
import time
import unittest

from harness import SOAK, SealiftTest
from sessions import Session
from superuser import Superuser

BIN = '/usr/lib/postgresql/15/bin'
ROUNDS = 100 if SOAK else 2

# Of a table r, a partitioned p, a materialised view m: what is refused, the line that says so.
REFUSED = {
    '0A000: an index is not supported': [
        'create index on r (a)', 'create unique index on r (a)', 'create index concurrently on r (a)', 'create index on p (a)', 'create index on m (a)',
        'create schema w create table t (a int) create index on t (a)', "do $$ begin execute 'create index on r (a)'; end $$", 'alter table r add exclude (a with =)',
        "do $$ begin execute 'create table x (a int, exclude (a with =))'; end $$"],
    '0A000: ON CONFLICT is not supported': [
        'insert into r values (1) on conflict do nothing', 'insert into p values (1) on conflict do nothing',
        'with i as (insert into r values (1) on conflict do nothing returning a) select * from i'],
    '42P10: there is no unique or exclusion constraint matching the ON CONFLICT specification': ['insert into r values (1) on conflict (a) do update set b = 1'],
    '0A000: a row lock (FOR UPDATE, FOR SHARE) is not supported': [
        'select * from r for update', 'select * from r for no key update', 'select * from r for share', 'select * from r for key share skip locked', 'select * from p for update',
        'select * from m for update', 'select * from (select a from r for update) x'],
    '0A000: TABLESAMPLE is not supported': [
        'select * from r tablesample system (10)', 'select * from r tablesample bernoulli (10)', 'select * from p tablesample system (10)',
        'select * from m tablesample system (10)'],
    '0A000: cannot retrieve a system column in this context': ['select xmin from r', 'select xmax, cmin, cmax from r', 'update r set a = a returning xmin'],
    '0A000: WHERE CURRENT OF is not supported': [
        'begin; declare c cursor for select a from r; fetch 1 from c; delete from r where current of c',
        'begin; declare c cursor for select a from r; fetch 1 from c; update r set a = 2 where current of c'],
    '55000: cursor can only scan forward': ['begin; declare c cursor for select a from r; fetch 1 from c; fetch prior from c'],
    '0A000: a partition bound that is no literal is not supported': [
        'create table x partition of p for values from (10 + 1) to (20)', "create table x partition of p for values from (30) to (length('x'))",
        'create table x (a int, b int); alter table p attach partition x for values from (abs(-10)) to (20)'],
    '0A000: UNLOGGED is not supported': ['create unlogged table x (a int)', 'create unlogged table x as select 1 as a'],
    '0A000: SET UNLOGGED is not supported': ['alter table r set unlogged'],
    '0A000: USING (another table access method) is not supported': [
        'create table x (a int) using heap', 'create table x using heap as select 1 as a', 'create materialized view x using heap as select 1 as a',
        'create temp table x (a int) using heap'],
    '0A000: SET ACCESS METHOD is not supported': ['alter table r set access method heap'],
    '0A000: TABLESPACE is not supported': [
        'create table x (a int) tablespace pg_default', 'create table x tablespace pg_default as select 1 as a', 'create temp table x (a int) tablespace pg_default',
        'create database x tablespace pg_default'],
    '0A000: SET TABLESPACE is not supported': ['alter table r set tablespace pg_default', 'alter materialized view m set tablespace pg_default'],
    '0A000: CREATE TABLESPACE is not supported': ["create tablespace x location '/tmp'"],
    '0A000: two-phase commit is not supported': ["begin; prepare transaction 'x'", "commit prepared 'x'", "rollback prepared 'x'"],
    '0A000: CREATE TRIGGER is not supported': [
        'create trigger x after insert on r for each row execute function f()', 'create trigger x before insert on r for each statement execute function f()',
        'create constraint trigger x after insert on r for each row execute function f()'],
    '0A000: CREATE RULE is not supported': ['create rule x as on insert to r do nothing', 'create rule x as on update to r do also select 1'],
    '0A000: a rule is not supported': ['alter table r enable rule x'],
    '0A000: CREATE PUBLICATION is not supported': ['create publication x for table r'],
    '0A000: CREATE SUBSCRIPTION is not supported': ["create subscription x connection 'x' publication y"],
    '0A000: CREATE STATISTICS is not supported': ['create statistics x on a, b from r'],
    '0A000: CREATE POLICY is not supported': ['create policy x on r'],
    '0A000: ROW LEVEL SECURITY is not supported': [
        'alter table r enable row level security', 'alter table r force row level security', 'alter table r disable row level security',
        'alter table r no force row level security', 'alter table p add x int, enable row level security', "do $$ begin alter table r enable row level security; end $$"],
    '0A000: CREATE FOREIGN TABLE is not supported': ['create foreign table x (a int) server y'],
    '42704: index "x" for table "r" does not exist': ['cluster r using x'],
}


class Sealed(SealiftTest):
    def test_refused_by_name(self):
        s = self.s
        s.sqlv('create table r (a int, b int); insert into r values (1, 1); create table p (a int, b int) partition by range (a); '
               'create table p1 partition of p for values from (0) to (10); create materialized view m as select 1 as a')
        for text, statements in REFUSED.items():
            for sql in statements:
                with self.subTest(sql):
                    r = s.sql(sql, options=('-A', '-t', '-v', 'VERBOSITY=verbose'))
                    self.assertEqual([x for x in r.err.splitlines() if x.startswith('ERROR')], ['ERROR:  ' + text])
        self.assertEqual(s.sqlv('select (select count(*) from r), (select count(*) from p), (select count(*) from m)'), '1|0|1')
        self.assertEqual(s.sqlv("select count(*) from pg_index i join pg_class c on c.oid = i.indrelid where relnamespace = 'public'::regnamespace"), '0')
        self.refused(self.s.sql('create table x (a int)', database='template1'), 'permission denied')

    def test_informational_keys(self):
        """ALTER TABLE adds and drops what CREATE TABLE would keep; none is enforced, but a primary key's columns are NOT NULL"""
        s = self.s

        def keys(table='ik'):
            return s.sqlv("select attributes->'constraints' from svv_table_attributes where table_name = '%s'" % table)
        s.sqlv('create table io (id int primary key, v varchar(5)); create table ik (a int, b int, "C d" int, primary key (a, b))')
        self.refused(s.sql('insert into ik values (1, null, 1)'), 'null value in column "b" of relation "ik" violates not-null constraint')
        s.sqlv('insert into ik values (1, 1, 1), (1, 1, 1)')
        self.assertEqual(keys(), '["primary key (a, b)"]')
        self.refused(s.sql('alter table ik add primary key (a)'), 'multiple primary keys for table "ik" are not allowed')
        self.refused(s.sql('alter table ik add unique (x)'), 'column "x" named in key does not exist')
        self.refused(s.sql('alter table ik add foreign key (x) references io'), 'column "x" referenced in foreign key constraint does not exist')
        self.refused(s.sql('alter table ik add foreign key (a) references io (y)'), 'column "y" referenced in foreign key constraint does not exist')
        self.refused(s.sql('alter table ik add foreign key (a) references nowhere'), 'relation "nowhere" does not exist')
        s.sqlv('alter table ik add unique ("C d"), add constraint "to" foreign key (a) references io (id), add check (a > 0), add e int unique')
        self.assertEqual(keys(), '["PRIMARY KEY (a, b)", "UNIQUE (\\"C d\\")", "CONSTRAINT \\"to\\" FOREIGN KEY (a) REFERENCES io(id)", "UNIQUE (e)"]')
        s.sqlv('insert into ik values (1, 1, 1), (99, 1, 1)')
        self.refused(s.sql('insert into ik values (0, 1, 1)'), 'violates check constraint "ik_a_check"')
        self.refused(s.sql('alter table ik add unique ("C d")'), 'constraint "ik_C d_key" for relation "ik" already exists')
        s.sqlv('alter table ik rename a to aa; alter table ik drop constraint ik_pkey; alter table ik drop constraint ik_a_check, drop constraint "ik_C d_key"')
        self.assertEqual(keys(), '["CONSTRAINT \\"to\\" FOREIGN KEY (aa) REFERENCES io(id)", "UNIQUE (e)"]')
        self.refused(s.sql('alter table ik drop constraint ik_pkey'), 'constraint "ik_pkey" of relation "ik" does not exist')
        s.sqlv('alter table ik drop constraint if exists ik_pkey')
        self.refused(s.sql('alter table ik add primary key (e)'), 'column "e" of relation "ik" contains null values')
        self.assertIn('UNIQUE (e)', keys())
        s.sqlv('create table iu (a int); create user iku password \'Abcdefg1\'; grant select on ik to iku')
        self.refused(s.sql('alter table ik add unique (aa)', user='iku', password='Abcdefg1'), 'must be owner of table ik')
        s.sqlv('begin; alter table iu add unique (a); rollback')
        self.assertEqual(keys('iu'), '')
        s.sqlv('alter table iu add primary key (a); alter table iu add constraint more check (a < 10)')
        self.assertEqual(keys('iu'), '["PRIMARY KEY (a)"]')
        self.refused(s.sql('insert into iu values (null)'), 'violates not-null')
        self.assertEqual(s.sqlv('insert into iu values (1), (1); select count(*) from iu'), '2')

    def test_all_tables_are_sealed(self):
        s = self.s
        s.sqlv('create table k1 (a int); create table k2 using sealed as select 1 as a; create materialized view k3 as select 1 as a')
        self.assertEqual(s.sqlv("select string_agg(amname, ' ') from pg_class c join pg_am a on a.oid = c.relam where relname in ('k1', 'k2', 'k3')"), 'sealed sealed sealed')

    def test_only_named_columns_are_read(self):
        s = self.s
        s.sqlv("create table cols as select i as a, i as b, repeat('x', i % 50) as c from generate_series(1, 1000) i")
        plan = s.sqlv('explain (analyze, timing off, costs off) select sum(b) from cols where a > 10')
        self.assertIn('Custom Scan (SealedScan) on cols', plan)
        self.assertIn('Columns Read: 2', plan)
        self.assertIn('Columns Read: 0', s.sqlv('explain (analyze, timing off, costs off) select count(*) from cols'))

    def test_segments_are_skipped(self):
        """the same answers as from a filter that can't skip, and segments left out"""
        s = self.s
        s.sqlv('create table sk (i2 smallint, i4 int, i8 bigint, d date, ts timestamp, tz timestamptz, n int)')
        for part in range(6):  # the last one all NULLs
            value = 'null::int' if part == 5 else 'i + %d' % (part * 1000 - 2500)
            s.sqlv("insert into sk select x, x, x::bigint * 10000000000, '2020-01-01'::date + x, '2020-01-01'::timestamp + x * interval '1 hour', "
                   "'2020-01-01'::timestamptz + x * interval '1 hour', nullif(x %% 7, 0) from (select %s as x from generate_series(1, 1000) i) y" % value)
        s.sqlv('delete from sk where i4 between 400 and 420')
        rnd, turned, queries = random.Random(11), {'<': '>', '>': '<', '<=': '>=', '>=': '<='}, []
        for op in ('<', '<=', '=', '>=', '>', '<>'):
            for _ in range(4):
                x = rnd.randrange(-3200, 3200)
                for column, value in (('i2', '%d' % x), ('i4', '%d::bigint' % x), ('i8', '%d' % (x * 10**10)), ('i4', '99999999999'), ('d', "('2020-01-01'::date + %d)" % x),
                                      ('ts', "('2020-01-01 00:30'::timestamp + %d * interval '1 hour')" % x), ('ts', "'2020-01-01'::date"), ('tz', "'2020-02-01'::timestamptz"),
                                      ('n', '3'), ('i4', 'null')):
                    queries.append([w % dict(c=column, o=op, t=turned.get(op, op), v=value) for w in
                                    ('%(c)s %(o)s %(v)s', '%(v)s %(t)s %(c)s', '(case when random() < 2 then %(c)s end) %(o)s %(v)s')])
        got = s.run(['psql', '-X', '-q', '-A', '-t'], input=''.join('select count(*), sum(i4) from sk where %s;\n' % w for q in queries for w in q)).out.splitlines()
        self.assertEqual(len(got), 3 * len(queries))
        for i, q in enumerate(queries):
            self.assertEqual(len(set(got[3 * i:3 * i + 3])), 1, (q, got[3 * i:3 * i + 3]))
        plan = 'explain (analyze, timing off, costs off) '
        self.assertIn('Segments Skipped: 5', s.sqlv(plan + 'select * from sk where i4 = 17'))
        self.assertIn('Segments Skipped: 6', s.sqlv(plan + 'select * from sk where i4 > 100000'))
        self.assertIn('Segments Skipped: 1', s.sqlv(plan + 'select * from sk where i4 > -100000'))
        self.assertIn('Segments Skipped: 2', s.sqlv('set plan_cache_mode = force_generic_plan; prepare p (bigint) as select * from sk where $1 <= i8; '
                                                    + plan + 'execute p (-14990000000000)'))

    def test_all_filters_that_skip(self):
        """as where, which may skip, and as a filter of an aggregate, which can't"""
        s, rnd = self.s, random.Random(12)
        s.sqlv('create table skf (id int, n numeric(8,2), w numeric(30,5), v varchar(60), c char(12), f4 float4, f8 float8, b boolean, tm time, e int, late int default 3)')
        for part in range(6):  # the last one all NULLs, but for its number
            x = 'null::int' if part == 5 else 'i + %d' % (part * 100)
            s.sqlv("insert into skf select %d + i, x / 8.0, x * 1e20, repeat(chr(97 + x %% 26), x / 100) || 'v' || x || repeat(' ', i %% 3), 'c' || x, x / 4.0, case i when 7 then 'NaN' else x * 1e100 end, "
                   "case when %d <> 1 then x > 250 end, time '00:00' + x * interval '1 minute', case when i = 5 then null else x end from (select i, %s as x from generate_series(1, 100) i) y"
                   % (part * 100, part, x))
        s.sqlv('alter table skf add added int; insert into skf (id, added) values (1000, 1); alter table skf alter n type numeric(12,2); insert into skf (id, n) values (1001, 1e9), (1002, \'NaN\')')
        s.sqlv('delete from skf where id between 110 and 120')
        predicates = ['b', 'not b', 'b is true', 'b is false', 'b is unknown', 'b is not unknown', 'b is not true', 'b = true', 'b is null', 'e is null', 'e is not null', 'added is null',
                      'added = 1', 'late = 3', 'late is null', 'n is null', 'v is not null', "n = 'NaN'", "f8 = 'NaN'", "n > 'Infinity'", 'n = null', 'e in (null, 5)', 'e in (7, 450, null)',
                      'e = any (array[]::int[])', 'e <> all (array[1, 2])', 'e < all (array[]::int[])', 'e < all (array[50, 60])', 'e > all (array[450, null])', 'e = any (null::int[])',
                      'e > (select 440)', "v like 'bb%%v%'", "v like 'aa' || '%'", "v like '%9'", "c like 'c4%'", "v like 'a_v%'", "v like 'a\\_%'", "e < 20 or e > 480", 'e < 20 or n > 60',
                      'e < 20 or random() > 2', 'e < 20 and (b or n < 1)', "tm < time '00:30' + interval '10 minutes'", 'n * 2 > 3', 'e::bigint > 400', 'n in (1.5, 50.25)', "v in ('v1', 'v2')",
                      "v in ('v3   ')", 'w = 4500000000000000000000', 'w <= 1e20 * 3', 'n > 10.005', 'n < 10.005', 'id > any (array[1001, 5])', 'id = all (array[5])', 'id in (%s)' % ', '.join(map(str, range(2000))),
                      "now() > timestamp '2020-01-01' and e = 3", 'e = extract(day from now()) - 40', "v >= current_user and v < 'c'", 'e in (select e from skf where id = 3)']
        for column, value in (('n', '%.3f'), ('w', '%.6fe20'), ('v', "'v%d'"), ('v', "'cccv%d  '"), ('c', "'c%d'"), ('c', "('c%d  '::char(30))"), ('f4', '%.3f::float4'), ('f4', '%.3f::float8'), ('f8', '%.3fe100'),
                              ('e', '%d::smallint'), ('tm', "(time '00:00' + interval '%d minutes')"), ('(e + 0)', '%d')):
            for op in ('<', '<=', '=', '>=', '>', '<>'):
                predicates += ['%s %s %s' % (column, op, value % rnd.uniform(-20, 520)) for _ in range(3)]
                predicates += ['%s %s %s' % (value % rnd.uniform(-20, 520), op, column)]
        lines = ''.join('select count(*), sum(id) from skf where %s;\nselect count(*) filter (where %s), sum(id) filter (where %s) from skf;\n' % (p, p, p) for p in predicates)
        got = s.run(['psql', '-X', '-q', '-A', '-t'], input=lines)
        self.assertEqual(got.err, '')
        got = got.out.splitlines()
        self.assertEqual(len(got), 2 * len(predicates))
        for i, p in enumerate(predicates):
            self.assertEqual(got[2 * i], got[2 * i + 1], p)
        plan = 'explain (analyze, timing off, costs off) select * from skf where '
        for p, skipped in (('n = 13.00', 7), ("n > 'NaN'", 8), ('w < 1e21', 7), ("v = 'aav209'", 5), ("c = 'c9'", 7), ('f4 > 100', 7), ('f8 < 1e101', 7), ('b', 5), ('not b', 6), ('b is null', 4),
                           ('v is null', 5), ('added is not null', 1), ('e in (1, 2, 450)', 6), ("v like 'aa%'", 5), ('e < 20 or e > 480', 6), ('e = (select 7)', 7), ('n is not null', 2),
                           ('id > extract(year from now())::int * 100', 8)):
            self.assertIn('Segments Skipped: %d' % skipped, s.sqlv(plan + p), p)
        # one value for each outer row
        self.assertIn('Segments Skipped: 21', s.sqlv('explain (analyze, timing off, costs off) select (select n from skf where id = x) from generate_series(100, 300, 100) x'))
        # nothing is found out when there is no row
        s.sqlv('create table none (a int)')
        self.assertEqual(s.sqlv('select count(*) from none where a > (select 1 / count(*) from none)'), '0')
        self.refused(s.sql('select count(*) from skf where id > (select 1 / count(*) from none)'), 'division by zero')

    def test_parallel_scans(self):
        """workers take segments; with changes of the running transaction the leader reads alone, and the answers are the same"""
        s, session = self.s, Session(self.s)
        s.sqlv('create table par (a int, b varchar(40)); insert into par select i, md5(i::varchar(9)) from generate_series(1, 150000) i')
        s.sqlv('insert into par select i, md5(i::varchar(9)) from generate_series(150001, 300000) i; delete from par where a % 1000 = 7; create table pard as select distinct a % 100 as g from par')
        sums = "select count(*), sum(a), count(distinct b), min(b) from par where a > 10"
        join = 'select count(*), sum(a) from par join pard on g = a % 100 where g < 50'
        try:
            session('set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0; set max_parallel_workers_per_gather = 0')
            want = [session(sums), session(join), session('select count(*), sum(a) from par where a % 3 = 0')]
            session('set max_parallel_workers_per_gather = 2')
            plan = session('explain (analyze, timing off, costs off) ' + sums)
            self.assertIn('Parallel Custom Scan (SealedScan) on par', plan)
            self.assertIn('Workers Launched: 2', plan)
            for _ in range(3):
                self.assertEqual([session(sums), session(join)], want[:2])
            session('begin')
            session('delete from par where a % 3 <> 0')
            self.assertEqual(session('select count(*), sum(a) from par'), want[2])
            session('insert into par select i, 1 from generate_series(1, 3) i')
            self.assertEqual(session('select count(*) filter (where a > 3) + 4 = count(*), max(length(b)) from par'), 't|32')
            session('rollback')
            self.assertEqual(session(sums), want[0])
            # written while workers read
            session('create table parc sortkey (b) as select a, b from par where a > 10')
            self.assertEqual(session(sums.replace('par', 'parc')), want[0])
            self.assertIn('Parallel', session('explain create table x as select a, b from par'))
            session('begin; declare c cursor for select a from par where a < 50; fetch 2 from c; fetch backward 1 from c')
            session('rollback')
            # keys that this transaction has made
            session('begin; create table parn (a int)')
            self.assertEqual(session('select count(*) from parn'), '0')
            session('truncate par; alter table pard alter g type bigint')
            self.assertEqual(session('select (select count(*) from par), (select sum(g) from pard)'), '0|4950')
            session('rollback')
            self.assertEqual(session('select (select count(*) from par where a <= g * 1000) from pard where g in (3, 4) order by 1'), '2997\n3996')
        finally:
            session.close()

    def test_analyze_keeps_no_values(self):
        s = self.s
        s.sqlv('create table an as select i as a from generate_series(1, 3000) i')
        s.sqlv('analyze an')
        self.assertEqual(s.sqlv("select reltuples from pg_class where relname = 'an'"), '3000')
        self.assertEqual(s.sqlv("select count(*) from pg_stats where tablename = 'an'"), '0')

    def test_vacuum(self):
        s = self.s
        s.sqlv('create table va (a int, b varchar(20))')
        for i in range(8):
            s.sqlv("insert into va select i, 'b' || i from generate_series(%d, %d) i" % (i * 5000 + 1, i * 5000 + 5000))
        s.sqlv('delete from va where a % 3 = 0')
        want = s.sqlv('select count(*), sum(a), min(b) from va')
        s.sqlv('vacuum va')
        self.assertEqual(s.sqlv('select count(*), sum(a), min(b) from va'), want)
        size = int(s.sqlv("select pg_relation_size('va')"))
        s.sqlv('vacuum full va')
        self.assertEqual(s.sqlv('select count(*), sum(a), min(b) from va'), want)
        self.assertLess(int(s.sqlv("select pg_relation_size('va')")), size / 2)
        s.sqlv('delete from va; insert into va values (1)')
        s.sqlv('vacuum va')
        self.assertEqual(s.sqlv('select a from va'), '1')

    def in_order(self, table, columns):
        """rows come as they lie in the segments, those in the order of their numbers"""
        return self.s.sqlv("select count(*) from (select %s as now, lag(%s) over (order by ctid) as before from %s) x where now < before" % (columns, columns, table)) == '0'

    def test_sortkey_of_a_statement(self):
        s = self.s
        s.sqlv("create table sok (a int, b varchar(20), c numeric(8,2)) compound sortkey (b, a)")
        s.sqlv("insert into sok select nullif(i * 7919 % 10007, 5), nullif('k' || i % 50 || repeat(' ', i % 3), 'k7'), i from generate_series(1, 20000) i")
        self.assertTrue(self.in_order('sok', "(coalesce(b, '~'), coalesce(a, 1000000))"))
        self.assertEqual(s.sqlv('select count(*), sum(a), count(b), sum(c) from sok'),
                         s.sqlv("select count(*), sum(nullif(i * 7919 % 10007, 5)), count(nullif('k' || i % 50 || repeat(' ', i % 3), 'k7')), sum(i::numeric(8,2)) from generate_series(1, 20000) i"))
        s.sqlv('create table soc sortkey (x) as select a as x, b from sok order by random()')
        self.assertTrue(self.in_order('soc', 'coalesce(x, 1000000)'))
        self.refused(s.sql('create table soe sortkey (x) as select 1 / (i - 500) as x from generate_series(1, 1000) i'), 'division by zero')
        s.sqlv('create table son (x int); insert into son values (2), (1)')
        self.assertFalse(self.in_order('son', 'x'))
        s.sqlv('alter table soc rename x to y; truncate soc; insert into soc select a, b from sok order by random()')
        self.assertTrue(self.in_order('soc', 'coalesce(y, 1000000)'))
        self.assertIn('"sortkey": ["y"]', s.sqlv("select attributes from svv_table_attributes where table_name = 'soc'"))
        s.sqlv('alter table son alter sortkey (x); truncate son; insert into son values (2), (1)')
        self.assertTrue(self.in_order('son', 'x'))
        self.refused(s.sql('alter table son alter sortkey (x, z)'), 'column "z" named in key does not exist')
        s.sqlv('alter table son alter sortkey none, alter distkey x; truncate son; insert into son values (2), (1)')
        self.assertFalse(self.in_order('son', 'x'))
        self.assertIn('"distkey": "x"', s.sqlv("select attributes from svv_table_attributes where table_name = 'son'"))
        s.sqlv('create temp table sot (x float8) interleaved sortkey (x); insert into sot select i * -0.5 from generate_series(1, 100) i; insert into sot values (1)')

    def test_keys_of_execute(self):
        """CREATE TABLE within PL/pgSQL and functions keeps its keys as a plain statement does"""
        s = self.s

        def keys(table):
            return s.sqlv("select attributes->'constraints' from svv_table_attributes where table_name = '%s'" % table)
        s.sqlv("do $$ begin execute 'create table ex (a int primary key, b int unique, c int references io deferrable initially deferred not null, unique (b, c))'; end $$")
        self.assertEqual(keys('ex'), '["PRIMARY KEY (a)", "UNIQUE (b)", "FOREIGN KEY (c) REFERENCES io", "UNIQUE (b, c)"]')
        s.sqlv("insert into ex values (1, 1, 1), (1, 1, 1)")
        self.refused(s.sql('insert into ex values (null, 1, 1)'), 'null value in column "a" of relation "ex" violates not-null constraint')
        self.refused(s.sql('insert into ex values (1, 1, null)'), 'null value in column "c" of relation "ex" violates not-null constraint')
        s.sqlv('alter table ex drop constraint ex_pkey')
        self.assertEqual(keys('ex'), '["UNIQUE (b)", "FOREIGN KEY (c) REFERENCES io", "UNIQUE (b, c)"]')
        s.sqlv("create function exf() returns void as 'create table ey (a int, b int check (b > 0), constraint ek primary key (a, b))' language sql; select exf(); drop table ey; select exf()")
        self.assertEqual(keys('ey'), '["CONSTRAINT ek PRIMARY KEY (a, b)"]')
        self.refused(s.sql('insert into ey values (1, 0)'), 'violates check constraint')
        s.sqlv("create procedure exp() as $$ begin create temp table ez (a int unique); insert into ez values (1), (1); end $$ language plpgsql; call exp()")
        for text, why in (('create table et (a int primary key, b int primary key)', 'multiple primary keys for table "et" are not allowed'),
                          ('create table et (a int, primary key (z))', 'column "z" named in key does not exist'),
                          ('create table et (a int) distkey (a)', 'syntax error at or near "distkey"')):
            self.refused(s.sql("do $$ begin execute '%s'; end $$" % text), why)
        self.refused(s.sql('create table et (a int primary key, b int primary key)'), 'multiple primary keys for table "et" are not allowed')

    def test_svv_table_info(self):
        """figures as the table has them, pg_table_def's keys, and who may see them"""
        s = self.s
        s.sqlv("create schema ti; create table ti.a (k int primary key, v varchar(32) encode zstd, w varchar(7), f float8 encode raw) distkey (v) sortkey (k, w)")
        s.sqlv('create table ti.none (a int); create table ti.e (a int, d date) diststyle even; insert into ti.e values (1, null)')
        s.sqlv('create table ti.i (a int, b int, c bool) diststyle all interleaved sortkey (b, a)')
        s.sqlv("insert into ti.a select i, md5(i::varchar(9)), 'x', i from generate_series(1, 1000) i; insert into ti.a select i, 'y', 'x', i from generate_series(500, 1500) i")
        s.sqlv('delete from ti.a where k = 3')

        def info(columns, where="schema = 'ti'"):
            return s.sqlv('select %s from svv_table_info where %s order by "table"' % (columns, where))
        self.assertEqual(info('"table", encoded, diststyle, sortkey1, max_varchar, trim(sortkey1_enc), sortkey_num, size, empty, stats_off, tbl_rows, estimated_visible_rows, skew_rows'),
                         "a|Y|KEY(v)|k|32|none|2|1|0|0.00|2001|2000|1.00\ne|Y, AUTO(ENCODE)|EVEN|AUTO(SORTKEY)|0||0|1|0|0.00|1|1|1.00")
        self.assertEqual(info("table_id = 'ti.a'::regclass, database", "\"table\" = 'a' and schema = 'ti'"), 't|dev')
        self.assertEqual(info('unsorted between 45 and 55, skew_sortkey1 > 1, vacuum_sort_benefit is null, pct_used between 0 and 100', "table_id = 'ti.a'::regclass"), 't|t|t|t')
        s.sqlv('vacuum ti.a to 100 percent')
        self.assertEqual(info('unsorted, tbl_rows, vacuum_sort_benefit', "table_id = 'ti.a'::regclass"), '0.00|2000|0.00')
        self.assertEqual(info('unsorted, skew_sortkey1', "table_id = 'ti.e'::regclass"), '|')
        for statement in ('insert into ti.e select i, null from generate_series(1, 300000) i', 'delete from ti.e where a > 0'):
            s.sqlv(statement)
            self.assertEqual(info("size = (pg_relation_size('ti.e') + 1048575) / 1048576, tbl_rows, estimated_visible_rows", "table_id = 'ti.e'::regclass"),
                             't|300001|%d' % (0 if 'delete' in statement else 300001))
        columns = 'select tablename, "column", type, trim(encoding), distkey, sortkey, "notnull" from pg_table_def where schemaname = \'ti\' order by 1, 2'
        self.assertEqual(s.sqlv(columns), '')  # not on the search path
        self.assertEqual(s.sqlv('set search_path = ti; ' + columns),
                         'a|f|double precision|none|f|0|f\na|k|integer|none|f|1|t\na|v|character varying(32)|zstd|t|0|f\na|w|character varying(7)|none|f|2|f\n'
                         'e|a|integer|az64|f|0|f\ne|d|date|az64|f|0|f\ni|a|integer|none|f|2|f\ni|b|integer|none|f|-1|f\ni|c|boolean|none|f|0|f\nnone|a|integer|az64|f|0|f')
        s.sqlv("create user tiu password 'Abcdefg1'")
        who = {'user': 'tiu', 'password': 'Abcdefg1'}
        self.refused(s.sql('select * from svv_table_info', **who), 'permission denied for view svv_table_info')
        self.refused(s.sql("select * from sealift.table_figures('ti.a'::regclass)"), 'permission denied for schema sealift')
        self.assertEqual(s.sqlv("create temp table tit (a int); select count(*) from pg_table_def where tablename = 'tit'", **who), '1')
        s.sqlv('grant select on svv_table_info to tiu')
        self.assertEqual(s.sqlv("select tbl_rows from svv_table_info where schema = 'ti' and \"table\" = 'a'", **who), '2000')
        s.sqlv('revoke select on svv_table_info from tiu; drop user tiu; drop schema ti cascade')

    def test_alter_encode(self):
        s = self.s

        def encodings(table='ae'):
            return s.sqlv("select \"column\", trim(encoding) from pg_table_def where tablename = '%s' order by 1" % table).replace('\n', ' ')
        s.sqlv("create table ae (a int, b varchar(9) encode lzo, c int encode raw); insert into ae values (1, 'x', 2)")
        self.assertEqual(encodings(), 'a|az64 b|lzo c|none')
        s.sqlv('alter table ae alter column a encode zstd, alter column b encode TEXT255')
        self.assertEqual(encodings(), 'a|zstd b|text255 c|none')
        s.sqlv('alter table ae rename column a to "A"; alter table ae alter column "A" encode delta')
        self.assertEqual(encodings(), 'A|delta b|text255 c|none')
        self.assertEqual(s.sqlv("select encoded from svv_table_info where \"table\" = 'ae'"), 'Y')
        s.sqlv('alter table ae alter encode auto')
        self.assertEqual(encodings(), 'A|az64 b|lzo c|az64')
        self.assertEqual(s.sqlv("select encoded from svv_table_info where \"table\" = 'ae'"), 'Y, AUTO(ENCODE)')
        s.sqlv('begin; alter table ae alter column c encode mostly8; rollback; create table af (a int); alter table af alter column a encode runlength')
        self.assertEqual((encodings(), encodings('af')), ('A|az64 b|lzo c|az64', 'a|runlength'))
        self.refused(s.sql('alter table ae alter column z encode zstd'), 'column "z" of relation "ae" does not exist')
        self.refused(s.sql('alter table nowhere alter column z encode zstd'), 'relation "nowhere" does not exist')
        self.refused(s.sql('alter table ae alter column c encode snappy'), 'syntax error at or near "snappy"')
        s.sqlv("create user aeu password 'Abcdefg1'; grant select on ae to aeu")
        for sql in ('alter table ae alter column c encode zstd', 'alter table ae alter encode auto'):
            self.refused(s.sql(sql, user='aeu', password='Abcdefg1'), 'must be owner of table ae')
        self.assertEqual((encodings(), s.sqlv('select * from ae')), ('A|az64 b|lzo c|az64', '1|x|2'))

    def test_vacuum_sorts(self):
        """segments that overlap become ranges of the SORTKEY, with more rows than are sorted at once, and all rows stay"""
        s = self.s
        plan = "explain (analyze, timing off, costs off) select * from vas where k = '%s'"
        s.sqlv('create table vas (k varchar(30), n int, t varchar(40)) sortkey (k)')
        fill = "insert into vas select nullif('key ' || to_char(i::bigint * 7919 %% 100003, 'FM000000'), 'key 000009'), i, md5(i::varchar(9)) from generate_series(%d, %d) i"
        for i in range(3):
            s.sqlv(fill % (i * 100000 + 1, i * 100000 + 100000))
        s.sqlv('delete from vas where n % 50 = 0')
        sums = 'select count(*), count(k), sum(n), min(k), max(k), sum(length(t)), count(distinct t) from vas'
        want = s.sqlv(sums)
        self.assertIn('Segments Skipped: 0', s.sqlv(plan % 'key 050000'))
        s.sqlv('vacuum delete only vas')
        self.assertFalse(self.in_order('vas', "coalesce(k, '~')"))
        r = s.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', "set maintenance_work_mem = '12MB'", '-c', 'vacuum sort only vas'])
        self.assertEqual((r.code, r.err), (0, ''))
        self.assertEqual(s.sqlv(sums), want)
        self.assertTrue(self.in_order('vas', "coalesce(k, '~')"))
        got = s.sqlv(plan % 'key 050000')
        self.assertRegex(got, 'Segments Skipped: ([2-9]|1[0-9])')
        s.sqlv('vacuum vas')
        s.sqlv('vacuum vas')
        self.assertEqual(s.sqlv(sums), want)
        self.assertTrue(self.in_order('vas', "coalesce(k, '~')"))
        # a few late rows are below the threshold, or not
        s.sqlv(fill % (300001, 300100))
        s.sqlv('vacuum vas')
        self.assertFalse(self.in_order('vas', "coalesce(k, '~')"))
        s.sqlv('vacuum vas to 100 percent')
        self.assertTrue(self.in_order('vas', "coalesce(k, '~')"))
        s.sqlv(fill % (300101, 330000))
        want = s.sqlv(sums)
        s.sqlv('vacuum full vas')
        self.assertTrue(self.in_order('vas', "coalesce(k, '~')"))
        self.assertEqual(s.sqlv(sums), want)
        # other types, one value for all
        s.sqlv('create table vat (f float8, n numeric(20,2), d date, b boolean, same int) sortkey (same, d)')
        for i in range(4):
            s.sqlv("insert into vat select case i %% 100 when 7 then 'NaN' else i * 1.5 end, i, '2020-01-01'::date + (i * 37 %% 1000), i %% 2 = 0, 1 from generate_series(%d, %d) i" % (i * 500 + 1, i * 500 + 500))
        s.sqlv('vacuum vat')
        self.assertTrue(self.in_order('vat', 'd'))
        self.assertEqual(s.sqlv("select count(*), sum(n) from vat"), '2000|2001000.00')

    def test_space_is_used_again(self):
        """what aborted, deleted and vacuumed rows took, but never while a snapshot may want it"""
        s = self.s
        sums = 'select count(*), sum(a), sum(length(b)), md5(min(b)) from spa'
        fill = "insert into spa select i, md5(i::varchar(9)) || md5((-i)::varchar(9)) from generate_series(%d, %d) i"

        def size():
            return int(s.sqlv("select pg_relation_size('spa')"))
        s.sqlv('create table spa (a int, b varchar(64)); ' + fill % (1, 60000))
        first = size()
        for i in range(4):
            s.sqlv('update spa set a = a + 1')
            s.sqlv('vacuum spa')
            self.assertLessEqual(size(), 2.2 * first, i)
        want = s.sqlv(sums)
        s.sqlv('begin; ' + fill % (1, 60000) + '; rollback')
        grown = size()
        s.sqlv('vacuum spa')
        self.assertLess(size(), grown)
        self.assertEqual(s.sqlv(sums), want)
        one, two = Session(s), Session(s)
        try:
            one('begin isolation level repeatable read')
            self.assertEqual(one(sums), want)
            s.sqlv('delete from spa where a % 10 > 0')
            for i in range(3):  # nothing of what the snapshot sees is written over
                s.sqlv('vacuum spa')
                s.sqlv(fill % (i * 10000, i * 10000 + 9999))
            self.assertEqual(one(sums), want)
            one('commit')
            two('begin')
            two(fill % (1, 30000))
            s.sqlv('vacuum spa')  # leaves two's rows alone, which no snapshot sees yet
            s.sqlv(fill % (1, 30000))
            two('commit')
            self.assertEqual(s.sqlv('select count(*) from spa'), str(6000 + 30000 + 60000))
        finally:
            one.close()
            two.close()
        s.sqlv('delete from spa where a > 5')
        want = s.sqlv(sums)
        s.sqlv('vacuum spa')
        self.assertLessEqual(size(), 2 * 8192)
        self.assertEqual(s.sqlv(sums), want)
        s.kill_all()
        s.up()
        self.assertEqual(s.sqlv(sums), want)
        s.sqlv(fill % (1, 60000))
        self.assertLessEqual(size(), 1.1 * first)

    def test_rows_that_come_while_space_is_looked_for(self):
        """what is written behind the end that VACUUM has seen is no damage"""
        s, vacuum, fill = self.s, Session(self.s), "insert into public.come select i, md5(i::varchar(9)) || md5((-i)::varchar(9)) from generate_series(1, 5000) i"
        s.sqlv('create table come (a int, b varchar(64)); ' + fill)
        try:
            with Superuser(s) as su:
                su('begin')
                su('lock table sealift.segment in access exclusive mode')
                vacuum.send('vacuum come')
                self.assertTrue(vacuum.waits())
                su(fill)
                su('commit')
            self.assertEqual(vacuum.answer(), '')
        finally:
            vacuum.close()
        self.assertEqual(s.sqlv('select count(*) from come'), '10000')

    def test_vacuum_where_a_page_of_the_log_begins(self):
        """there the place of the next record is behind a header that is not written yet, and cannot be flushed"""
        self.s.sqlv('create table boundary as select 1 as a')
        session, hit = Session(self.s, 'set synchronous_commit = off'), False
        try:
            for _ in range(20):
                session("do $$ begin loop exit when (pg_current_wal_insert_lsn() - '0/0') % 8192 = 24; perform pg_current_xact_id(); commit; end loop; end $$")
                before = session("select (pg_current_wal_insert_lsn() - '0/0') % 8192")
                self.assertEqual(session('vacuum boundary'), '')
                hit = before == '24'
                if hit:
                    break
            self.assertTrue(hit)
        finally:
            session.close()

    # -- the disk ---------------------------------------------------------------------------------------------------

    def path(self, table):
        return os.path.join(self.s.data, 'pg', self.s.sqlv("select pg_relation_filepath('%s')" % table))

    def test_catalog_rows(self):
        """rows of the catalog altered, dropped, added and brought back by someone who can write PostgreSQL's files but has no key"""
        s = self.s
        tables = ('dropped', 'added', 'altered', 'undeleted', 'swapped', 'unnamed', 'older', 'sums', 'good')
        for t in tables:
            s.sqlv('create table %s (a int); insert into %s select generate_series(1, 10); insert into %s select generate_series(11, 20); delete from %s where a = 3' % (t, t, t, t))
        ids = {}
        paths = {t: self.path(t) for t in tables}
        s.down()
        for t in tables:  # which storage is whose stands in the file's head
            with open(paths[t], 'rb') as f:
                head = f.read(8192)
            ids[t] = head[32:48].hex()
        attack = [
            "delete from sealift.segment where ctid = (select min(ctid) from sealift.segment where storage = '%s')" % ids['dropped'],
            "insert into sealift.segment select * from sealift.segment where storage = '%s' limit 1" % ids['added'],
            "update sealift.segment set rows = 9 where ctid = (select min(ctid) from sealift.segment where storage = '%s')" % ids['altered'],
            "delete from sealift.segment_deletes where storage = '%s'" % ids['undeleted'],
            "update sealift.segment s set whole = o.whole from sealift.segment o where s.storage = '%s' and o.storage = s.storage and o.segment <> s.segment" % ids['swapped'],
            "delete from sealift.storage where storage = '%s'" % ids['unnamed'],
            "update sealift.storage s set sum = o.sum, mac = o.mac from sealift.storage o where s.storage = '%s' and o.storage = '%s'" % (ids['older'], ids['good']),
            "update sealift.storage set rows = rows + 1 where storage = '%s'" % ids['sums'],
        ]
        wrap = ['runuser', '-u', 'postgres', '--'] if os.geteuid() == 0 else []
        r = subprocess.run(wrap + [BIN + '/postgres', '--single', '-j', '-D', os.path.join(s.data, 'pg'), '-c', 'exit_on_error=on', 'dev'], cwd='/',
                           input=''.join(a + ';\n\n' for a in attack), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(r.returncode, 0, r.stdout[-2000:])
        s.up()
        for t in tables[:-1]:
            for query in ('select count(*), sum(a) from ' + t, 'update %s set a = a + 1' % t):
                r = s.sql(query, options=('-A', '-t', '-v', 'VERBOSITY=verbose'))
                self.refused(r, 'XX001', 'table "%s"' % t)
        self.assertEqual(s.sqlv('select count(*), sum(a) from good'), '19|207')

    def test_nothing_is_readable(self):
        """values in no file: not in tables, WAL, temporary tables or what a crash leaves"""
        s = self.s
        canary, number = 'CANARY-%s' % os.urandom(8).hex(), random.getrandbits(62)
        s.sqlv("create table can (t varchar(200), n bigint, d numeric(30,4)); insert into can values ('%s', %d, %d.5)" % (canary, number, number))
        s.sqlv("insert into can select '%s' || i, %d, %d from generate_series(1, 5000) i" % (canary, number, number))
        s.sqlv("update can set t = t || 'x'; delete from can where t like '%99x'; create temp table tc as select * from can; analyze can")
        s.sqlv('vacuum can')
        s.sql("begin; insert into can values ('%s', 1, 1); select 1 / 0" % canary)
        s.kill_all()
        words = [canary.encode(), number.to_bytes(8, 'little'), number.to_bytes(8, 'big'), str(number).encode()]
        found = []
        for folder, _, names in os.walk(s.data):
            for n in names:
                path = os.path.join(folder, n)
                if os.path.isfile(path):
                    with open(path, 'rb') as f:
                        data = f.read()
                    found += [path for w in words if w in data]
        s.up()
        self.assertEqual(found, [])
        self.assertEqual(s.sqlv('select count(*) from can where n = %d' % number), s.sqlv('select count(*) from can'))

    def test_kills(self):
        """kill -9 while rows are inserted, changed, deleted and vacuumed: what was acknowledged is there, the rest is not"""
        s, rnd = self.s, random.Random(7)
        s.sqlv('create table kil (k int, v int, t varchar(32)); insert into kil select i, 0, md5(i::varchar(9)) from generate_series(1, 1000) i; create table kils (n int)')
        acknowledged = [0]

        def work(stop):
            n = acknowledged[0]
            with subprocess.Popen(['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'], env=s.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, bufsize=1) as p:
                try:
                    p.stdin.write('create temp table kilt as select 1 as a;\n')
                    while not stop.is_set():
                        n += 1
                        p.stdin.write('begin; update kil set v = v + 1; insert into kil select i, %d, md5(i::varchar(9)) from generate_series(1001, 11000) i; '
                                      'delete from kil where k > 1000; insert into kils values (%d); commit; select %d;\n' % (n, n, n))
                        if n % 3 == 0:
                            p.stdin.write('vacuum kil;\n')
                        line = p.stdout.readline()
                        if line.strip() != str(n):
                            break
                        acknowledged[0] = n
                    p.stdin.close()
                except OSError:
                    pass

        for _ in range(ROUNDS):
            stop = threading.Event()
            worker = threading.Thread(target=work, args=(stop,))
            worker.start()
            time.sleep(1 + rnd.random() * 2)
            s.kill_all()
            stop.set()
            worker.join()
            s.up()
            n = int(s.sqlv('select count(*) from kils'))
            self.assertIn(n, (acknowledged[0], acknowledged[0] + 1))
            self.assertEqual(s.sqlv('select count(*), min(v), max(v), count(distinct t), sum(length(t)) from kil'), '1000|%d|%d|1000|32000' % (n, n))
            acknowledged[0] = n
            # temporary tables of before are in nobody's way
            self.assertEqual(s.sqlv('create temp table kilt as select 1 as a; select count(*) from kilt'), '1')
        self.assertGreater(acknowledged[0], 0)


if __name__ == '__main__':
    unittest.main()
