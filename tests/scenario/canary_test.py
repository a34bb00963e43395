"""Canaries of each type, in each form in which PostgreSQL or Sealift could write them, are in no file of the data directory; literals of DDL are in the catalogs alone, which are
decoded; every file there is of a known kind. The same search finds all of them in a Sealift without encryption."""
import csv
import datetime
import io
import os
import random
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

import harness
from harness import BUILD, Sealift, SealiftTest, allow

RANDOM = random.Random(20261124)
EPOCH = 946684800  # 2000-01-01, PostgreSQL's

# What lies in a data directory: every file is of one of these kinds.
KINDS = re.compile('|'.join('(?:%s)' % k for k in (
    r'instance\.json|lock|lib/sealift\.so|tls/ca\.pem',
    r'log/(?:supervisor|keyholder|kms|s3|gateway|postgres|bootstrap)\.log',
    r'run/(?:supervisor|status\.json|conf\.json|pg/\.s\.PGSQL\.\d+\.lock)',
    r'keys/domain',
    r'kms/kms\.db(?:-wal|-shm)?|kms/audit/\d+\.(?:log|head)',
    r's3/index\.db(?:-wal|-shm)?|s3/parts/[0-9a-f]{2}/[0-9a-f]+',
    r'warehouse/(?:lock|cluster|\d+/(?:key|[0-9a-f]{32}))',
    r'pg/(?:PG_VERSION|postmaster\.(?:pid|opts)|postgresql(?:\.auto)?\.conf|pg_hba\.conf|pg_ident\.conf)',
    r'pg/global/(?:\d+(?:_fsm|_vm)?|pg_control|pg_filenode\.map|pg_internal\.init)',
    r'pg/base/\d+/(?:t\d+_)?\d+(?:\.\d+)?(?:_fsm|_vm)?',
    r'pg/base/\d+/(?:PG_VERSION|pg_filenode\.map|pg_internal\.init)',
    r'pg/pg_wal/[0-9A-F]{24}|pg/(?:pg_xact|pg_subtrans|pg_commit_ts|pg_serial|pg_notify|pg_multixact/(?:offsets|members))/[0-9A-F]+',
    r'pg/pg_stat/pgstat\.stat|pg/pg_logical/replorigin_checkpoint')))


def numeric_digits(text, scale):
    """the digits of a numeric in PostgreSQL's form: groups of four decimal ones"""
    whole, part = text.split('.')
    whole = whole.zfill(-(-len(whole) // 4) * 4)
    part = part.ljust(-(-scale // 4) * 4, '0')
    groups = [int((whole + part)[i:i + 4]) for i in range(0, len(whole + part), 4)]
    return struct.pack('<%dh' % len(groups), *groups)


def both(form, *values):
    return [struct.pack('<' + form, *values), struct.pack('>' + form, *values)]


def turns(form, values):
    """values of neighbouring rows, whichever comes first: short ones tell little alone"""
    return [struct.pack('<%d%s' % (len(values), form), *(values[i:] + values[:i])) for i in range(len(values))]


def letters(n):
    return ''.join(RANDOM.choice('bcdfghjkmnpqrstvwxzBCDFGHJKLMNPQRSTVWXZ23456789') for _ in range(n))


def of_text(text):
    data = text.encode()
    return [data, text.encode('utf-16-le'), data.hex().encode(), data.hex().upper().encode(), ' '.join(str(b - 256 if b > 127 else b) for b in data).encode()]


def canaries():
    """name -> (type, values of neighbouring rows as SQL writes them, the bytes that must be nowhere)"""
    text, unicode, padded = letters(24), letters(10) + 'Ωж中' + letters(10), letters(17)
    i8, moment, clock = RANDOM.getrandbits(62), RANDOM.randrange(2 * 10**17, 25 * 10**16), 47655678901
    i4, i2 = [RANDOM.randrange(2**30, 2**31) for _ in range(3)], [RANDOM.randrange(-2**15, 2**15) for _ in range(4)]
    long = '%d.%09d' % (RANDOM.randrange(10**28, 10**29), RANDOM.randrange(10**8, 10**9))
    short = '%d.%04d' % (RANDOM.randrange(10**13, 10**14), RANDOM.randrange(10**3, 10**4))
    f8 = RANDOM.random() * 1e-120
    f4 = [struct.unpack('<f', struct.pack('<f', RANDOM.random() * 1e20))[0] for _ in range(2)]
    start = datetime.datetime(2000, 1, 1)
    days = [1969000 + RANDOM.randrange(90000) for _ in range(3)]
    seconds, part = divmod(moment, 10**6)
    return {
        'text': ('varchar(100)', [text], of_text(text)),
        'unicode': ('varchar(100)', [unicode], of_text(unicode)),
        'char': ('char(20)', [padded], of_text(padded)),
        'int8': ('bigint', [str(i8)], both('q', i8) + [str(i8).encode()]),
        'int4': ('integer', [str(x) for x in i4], turns('i', i4) + [str(x).encode() for x in i4]),
        'int2': ('smallint', [str(x) for x in i2], turns('h', i2)),
        'numeric': ('numeric(38,9)', [long], [long.encode(), numeric_digits(long, 9), int(long.replace('.', '')).to_bytes(16, 'little')]),
        'numeric18': ('numeric(18,4)', [short], [short.encode(), numeric_digits(short, 4)] + both('q', int(short.replace('.', '')))),
        'float8': ('double precision', [repr(f8)], both('d', f8) + [repr(f8).encode()]),
        'float4': ('real', ['%.9g' % x for x in f4], turns('f', f4)),
        'date': ('date', ["'2000-01-01'::date + %d" % x for x in days], turns('i', days) + [str((start + datetime.timedelta(x)).date()).encode() for x in days]),
        'timestamp': ('timestamp', ["'2000-01-01'::timestamp + interval '%d seconds %d microseconds'" % (seconds, part)], both('q', moment) + both('q', moment + EPOCH * 10**6) +
                      [str(start + datetime.timedelta(seconds=seconds, microseconds=part)).encode()]),
        'timestamptz': ('timestamptz', ["'2000-01-01 00:00+00'::timestamptz + interval '%d seconds %d microseconds'" % (seconds + 1, part)], both('q', moment + 10**6)),
        'time': ('time', ['13:14:15.678901'], both('q', clock) + [b'13:14:15.678901']),
        'interval': ('interval', ['7 mons 11 days 13:14:15.678901'], [struct.pack('<qii', clock, 11, 7)]),
    }


CANARIES = canaries()
COLUMNS = ', '.join('%s %s' % ('c_' + n, t) for n, (t, _, _) in CANARIES.items())


def value(name, row):
    """SQL of the column's value in this row, an expression of its number"""
    values = ['(%s)' % v if '::' in v else "'%s'" % v for v in CANARIES[name][1]]
    return '(array[%s]::%s[])[1 + (%s) %% %d]' % (', '.join(values), CANARIES[name][0], row, len(values))


LOADED = [c for c in CANARIES if c != 'interval']  # which COPY refuses


def rows(n, names=tuple(CANARIES)):
    return 'select i, %s from generate_series(0, %d) i order by i' % (', '.join(value(c, 'i') for c in names), n - 1)


class Search:
    """What the files of a data directory hold; those that are as they were are not read again."""

    def __init__(self, s):
        self.s, self.seen = s, {}

    def files(self):
        for folder, _, names in os.walk(self.s.data):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield os.path.relpath(path, self.s.data), path

    def unknown(self):
        return [name for name, _ in self.files() if not KINDS.fullmatch(name)]

    def holds(self, needles):
        """(name of the canary, file) of each that is found"""
        found = []
        for name, path in self.files():
            try:
                stat = os.stat(path)
                state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if self.seen.get(name) == state:
                    continue
                with open(path, 'rb') as f:
                    data = f.read()
            except FileNotFoundError:
                continue  # a table that is gone, a segment of WAL that was renamed
            hits = [(c, name) for c, forms in needles.items() if any(x in data for x in forms)]
            found += hits
            if not hits:
                self.seen[name] = state
        return found

    def canaries(self):
        return self.holds({n: c[2] for n, c in CANARIES.items()})


def load(s):
    """Rows come in by all ways, are changed, and go."""
    role = s.put_role('Loader', [allow(['s3:GetObject', 's3:ListBucket'])])
    s.sqlv('create table c (n int, %s) sortkey (n)' % COLUMNS)
    for i in range(3):  # small batches, each in a row of the catalog
        s.sqlv('insert into c select %d, %s' % (i, ', '.join(value(c, str(i)) for c in CANARIES)))
    s.sqlv('insert into c ' + rows(3000))
    # By COPY, from S3 and from the client: the rows as text.
    r = s.run(['psql', '-X', '-q', '--csv', '-t', '-c', rows(2000, LOADED)])
    assert r.code == 0, r
    s.write('rows.csv', r.out)
    columns = 'c (n, %s)' % ', '.join('c_' + x for x in LOADED)
    assert s.aws('s3 mb s3://canaries').code == 0 and s.aws('s3 cp rows.csv s3://canaries/rows.csv').code == 0
    s.sqlv("copy %s from 's3://canaries/rows.csv' iam_role '%s' csv dateformat 'auto' timeformat 'auto'" % (columns, role))
    r = s.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', 'copy %s from stdin (format csv)' % columns], input=r.out)
    assert r.code == 0, r
    return role, columns, next(csv.reader(io.StringIO(s.run(['psql', '-X', '-q', '--csv', '-t', '-c', rows(1, LOADED)]).out)))


class CanaryTest(SealiftTest):
    @classmethod
    def prepare(cls):
        cls.search = Search(cls.s)
        cls.role, cls.columns, cls.texts = load(cls.s)

    def clean(self):
        self.assertEqual(self.search.canaries(), [])
        self.assertEqual(self.search.unknown(), [])

    def test_0_the_search_finds_what_is_there(self):
        """a name is no secret"""
        s, name = self.s, 'named_' + letters(12).lower()
        s.sqlv('create table %s (a int); insert into %s values (1)' % (name, name))
        s.kill_all()
        s.up()
        self.assertNotEqual(Search(s).holds({'name': [name.encode()]}), [])
        path = s.write('d/pg/base/canary', 'x')
        unknown = self.search.unknown()
        os.unlink(path)
        self.assertEqual(unknown, ['pg/base/canary'])

    def test_1_loaded(self):
        self.assertEqual(self.s.sqlv('select count(*), count(distinct c_int4), count(distinct c_timestamp), min(c_numeric) from c'), '7003|3|1|' + CANARIES['numeric'][1][0])
        self.clean()

    def test_2_changed(self):
        s = self.s
        s.sqlv("update c set n = n + 1 where n % 3 = 0; update c set c_text = c_text || 'y', c_int8 = c_int8 where n < 50; delete from c where n % 7 = 0")
        s.sqlv('merge into c using (select 5 as n) x on c.n = x.n when matched then update set c_char = c.c_char when not matched then do nothing')
        s.sqlv('analyze c')
        s.sqlv('vacuum c')
        self.clean()
        s.sqlv('vacuum full analyze c')
        s.sqlv('alter table c alter c_text type varchar(200)')
        s.sqlv('create materialized view m as select * from c; refresh materialized view m; create table k as select * from c where n < 100')
        self.assertEqual(s.sqlv("select count(*) from pg_stats where schemaname = 'public' and (most_common_vals is not null or histogram_bounds is not null)"), '0')
        self.clean()

    def test_3_spilled(self):
        """a sort, a hash join, a grouping and a cursor that don't fit into work_mem; a temporary table"""
        s = self.s
        s.sqlv("set work_mem = '64kB'; set enable_hashagg = on; select count(*) from (select * from c order by c_text, n offset 1) x; "
               'select count(*) from c a join c b on a.c_text = b.c_text and a.n = b.n and a.c_int8 = b.c_int8; '
               'select count(*) from (select n, c_text, c_numeric, count(*) from c group by 1, 2, 3) x; '
               'begin; declare h cursor with hold for select * from c; commit; fetch 100 from h; '
               'create temp table t as select * from c; analyze t; update t set n = n + 1; select count(*) from t')
        self.clean()

    def test_4_failed(self):
        """loads that are refused, literals in statements that fail, each type where another is wanted"""
        s = self.s
        for i, text in enumerate(self.texts[1:]):
            s.write('bad.csv', ','.join(self.texts[:i + 1] + [text + 'x"bad'] + self.texts[i + 2:]) + '\n' + text + '\n')
            s.aws('s3 cp bad.csv s3://canaries/bad.csv')
            for more in ('', ' maxerror 10'):
                s.sql("copy %s from 's3://canaries/bad.csv' iam_role '%s' csv%s" % (self.columns, self.role, more))
            for sql in ("select '%s'::boolean", "select * from c where c_text = '%s' and nothing", "insert into c (n) values ('%s')", "select 1 / 0 from c where c_text <> '%s'",
                        "do $$ begin raise exception '%s'; end $$", "prepare p (text) as select $1::int; execute p ('%s')", "selekt '%s'"):
                s.sql(sql % text)
            s.run(['psql', '-X', '-q', '-c', 'copy c (n) from stdin'], input=text + '\n')
        self.clean()

    def test_5_literals_of_ddl(self):
        """are schema (docs/threat.md): in the catalogs' trees, decoded, are exactly these; none is kept as a value beside the table"""
        s, word, number = self.s, letters(20), RANDOM.getrandbits(62)
        s.sqlv("create table ddl (a varchar(50) default '%s1', b bigint check (b <> %d)); insert into ddl values ('x', 1); "
               "alter table ddl add d varchar(50) default '%s2'; alter table ddl add e bigint default %d; create view ddl_view as select a from ddl where a <> '%s3'; "
               "create table ddl_parts (a varchar(50)) partition by list (a); create table ddl_part partition of ddl_parts for values in ('%s4')"
               % (word, number, word, number, word, word))
        trees = s.sqlv("select 'default ' || adrelid::regclass || ' ' || adnum || ' ' || adbin::text from pg_attrdef union all "
                       "select 'check ' || conrelid::regclass || ' ' || conbin::text from pg_constraint where conbin is not null union all "
                       "select 'rule ' || ev_class::regclass || ' ' || ev_action::text from pg_rewrite union all "
                       "select 'bound ' || oid::regclass || ' ' || relpartbound::text from pg_class where relpartbound is not null union all "
                       "select 'type ' || typname || ' ' || typdefaultbin::text from pg_type where typdefaultbin is not null union all "
                       "select 'function ' || proname || ' ' || coalesce(proargdefaults::text, '') || coalesce(prosqlbody::text, '') from pg_proc").splitlines()
        self.assertGreater(len(trees), 100)
        decoded = []
        for tree in trees:
            values = [bytes(int(x) & 255 for x in m.split()) for m in re.findall(r'\[ ((?:-?\d+ )+)\]', tree)]
            decoded.append((tree, b'\x00'.join(values) + tree.encode()))
        holding = sorted(' '.join(t.split()[:2]) for t, data in decoded if word.encode() in data or struct.pack('<q', number) in data)
        self.assertEqual(holding, ['bound ddl_part', 'check ddl', 'default ddl', 'default ddl', 'default ddl', 'rule ddl_view'])
        self.assertEqual([(t, n) for t, data in decoded for n, c in CANARIES.items() if any(x in data for x in c[2])], [])
        missing = s.sqlv('select attrelid::regclass, attmissingval from pg_attribute where atthasmissing order by attnum')
        self.assertEqual(missing.splitlines(), ['ddl|{%s2}' % word, 'ddl|{%d}' % number])
        # What a function returns is no literal: it goes into the rows.
        s.sqlv("create function peek() returns varchar stable language sql as 'select max(c_text) from c'; alter table ddl add f varchar(200) default peek() not null; "
               'alter table ddl_parts add f varchar(200) default peek()')
        self.assertEqual(s.sqlv('select f = (select max(c_text) from c) from ddl'), 't')
        self.refused(s.sql('create table ddl_peek partition of ddl_parts for values in (peek())'), 'a partition bound that is no literal is not supported')
        self.assertEqual(s.sqlv('select count(*) from pg_attribute where atthasmissing'), '0')  # the rows were written anew
        self.clean()

    def test_6_crash_and_restart(self):
        s = self.s
        p = subprocess.Popen(['psql', '-X', '-q', '-c', 'begin; insert into c %s; select pg_sleep(60)' % rows(20000)], env=s.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with self.assertRaises(subprocess.TimeoutExpired):
                p.wait(4)
        finally:
            s.kill_all()
            p.wait(30)
        self.clean()
        s.up()
        self.assertGreater(int(s.sqlv('select count(*) from c')), 5000)
        self.clean()
        s.down()
        self.clean()
        s.up()


class NullCipherTest(unittest.TestCase):
    def test_all_are_found_without_the_cipher(self):
        """the module of a build that does not encrypt, beside the same executable"""
        work = tempfile.mkdtemp(prefix='slnull')
        try:
            shutil.copy(harness.SEALIFT, work)
            os.mkdir(work + '/extension')
            shutil.copy(os.path.join(BUILD, 'extension/null/sealift.so'), work + '/extension')
            s = Sealift(executable=work + '/sealift')
            try:
                s.up()
                load(s)
                self.assertEqual({c for c, _ in Search(s).canaries()}, set(CANARIES))
            finally:
                s.close()
        finally:
            shutil.rmtree(work)


if __name__ == '__main__':
    unittest.main()
