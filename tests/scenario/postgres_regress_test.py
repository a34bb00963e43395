"""PostgreSQL's own regression files on sealed tables and on the same server's heap: the same answer to each statement, but for what tests/regress/exceptions.txt names.

The files come from Debian's source package (tools/setup check). Rules of the comparison: of EXPLAIN only errors count; rows of a statement without ORDER BY are a set; what Sealift
refuses by name fails on the other side too, so that what follows is the same; keys and indexes, which Sealift does not enforce, are taken out (tests/regress/script.py).
"""
import difflib
import fnmatch
import os
import re
import subprocess
import sys
import unittest

from harness import ROOT, SOAK, SealiftTest
from sealed_regress_test import StockPostgres

sys.path.insert(0, os.path.join(ROOT, 'tests/regress'))
import script  # noqa: E402

SOURCE = os.path.join(ROOT, 'tests/regress/postgresql')
SHORT = ('boolean char name varchar text int2 int4 int8 float4 float8 numeric strings date time timestamp timestamptz interval insert select select_distinct aggregates join '
         'subselect union case window groupingsets update delete merge truncate transactions portals prepare plpgsql rangefuncs with').split()
# In the order of PostgreSQL's own schedule. Left out: what is about indexes, plans, catalogs, roles, C functions, large objects and replication.
LONG = ('boolean char name varchar text int2 int4 int8 float4 float8 bit numeric uuid enum money rangetypes strings numerology point date time timetz timestamp timestamptz interval '
        'inet macaddr multirangetypes horology regex unicode expressions txid copy copyselect copydml insert insert_conflict create_misc create_table create_type create_view '
        'create_aggregate create_function_sql constraints triggers select inherit typed_table vacuum updatable_views errors select_into select_distinct '
        'select_distinct_on select_implicit select_having subselect union case join aggregates transactions random portals arrays update delete namespace matview lock tablesample '
        'groupingsets identity generated join_hash create_table_like merge tsrf tid tidscan incremental_sort select_parallel write_parallel foreign_key bitmapops combocid tsearch '
        'window xml functional_deps equivclass json jsonb json_encoding jsonpath jsonb_jsonpath plancache limit plpgsql copy2 temp domain rangefuncs prepare truncate alter_table '
        'sequence polymorphism rowtypes returning with partition_join partition_prune partition_aggregate hash_part tuplesort memoize fast_default').split()
BEFORE = "set timezone to 'PST8PDT'; set datestyle to 'Postgres, MDY'; set intervalstyle to 'postgres_verbose';\n"
REFUSED = 'do $$ begin raise exception $x$refused$x$; end $$;'
MARK = '-- end of piece %d --'


class Exceptions:
    def __init__(self):
        self.refusals, self.differences, self.used = [], [], set()
        with open(os.path.join(ROOT, 'tests/regress/exceptions.txt')) as f:
            for line in f:
                if line.strip() and not line.startswith('#'):
                    files, pattern, reason = (x.strip() for x in line.rsplit(' | ', 2)) if line.count(' | ') == 2 else (None, None, None)
                    assert reason, line
                    entry = (files, re.compile(pattern))
                    (self.refusals if files == 'refused' else self.differences).append(entry)

    def refuses(self, answer):
        for line in answer or ():
            for entry in self.refusals if line.startswith('ERROR:  ') else ():
                if entry[1].match(line, len('ERROR:  ')):
                    self.used.add(entry)
                    return True
        return False

    def allows(self, name, piece):
        for entry in self.differences:
            if any(fnmatch.fnmatch(name, x) for x in entry[0].split(',')) and entry[1].search(piece):
                self.used.add(entry)
                return True
        return False

    def unused(self, names):
        return ['%s %s' % (e[0], e[1].pattern) for e in self.refusals + self.differences
                if e not in self.used and (e[0] in ('refused', '*') or set(e[0].split(',')) <= set(names))]


def load(name):
    with open('%s/sql/%s.sql' % (SOURCE, name), encoding='utf-8') as f:
        text, state = f.read(), {}
    return [p for p in (script.prepared(piece, SOURCE, state) for piece in script.pieces(text)) if p]


def answers(env, pieces):
    """for each piece that was run the lines that psql said, errors among them"""
    text = BEFORE + ''.join('%s\n\\echo %s\n' % (p, MARK % i) for i, p in enumerate(pieces))
    r = subprocess.run(['psql', '-X', '-q', '-v', 'HIDE_TABLEAM=on', '-v', 'HIDE_TOAST_COMPRESSION=on'], env=dict(env, PGDATABASE='regression', PGCLIENTENCODING='UTF8'),
                       input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=280)
    ret, lines = {}, []
    for line in r.stdout.decode(errors='replace').split('\n'):
        m = re.fullmatch(MARK.replace('%d', r'(\d+)'), line)
        if m:
            ret[int(m.group(1))], lines = lines, []
        else:
            lines.append(line)
    return ret


def ordered(piece):
    """ORDER BY outside of parentheses"""
    text = script.bare(piece)
    while True:
        text, n = re.subn(r'\([^()]*\)', '', text)
        if n == 0:
            return re.search(r'\border\s+by\b', text, re.I) is not None


def same(piece, a, b):
    return a == b or (a is not None and b is not None and not ordered(piece) and sorted(a) == sorted(b))


class PostgresRegress(SealiftTest):
    @classmethod
    def prepare(cls):
        cls.s.sqlv('create database regression')
        cls.stock = StockPostgres(superuser='postgres')
        cls.addClassCleanup(cls.stock.close)
        env = dict(cls.stock.env(), PGUSER='postgres')
        # Foreign keys, triggers and rules do nothing there, as Sealift has none.
        for sql in ('create role awsuser login createdb createrole', 'alter role awsuser set session_replication_role = replica', 'create database regression owner awsuser'):
            subprocess.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', sql], env=env, check=True)

    def compare(self, name, exceptions):
        pieces = load(name)
        got = answers(self.s.env, pieces)
        refused = {i for i in range(len(pieces)) if exceptions.refuses(got.get(i))}
        want = answers(self.stock.env(), [REFUSED if i in refused else p for i, p in enumerate(pieces)])
        self.assertTrue(len(pieces) - 1 in want and len(want) > len(pieces) * 0.8, name)
        report = []
        for i, piece in enumerate(pieces):
            if i not in refused and not same(piece, got.get(i), want.get(i)) and not exceptions.allows(name, piece):
                report += ['%s, statement %d: %s' % (name, i, piece)] + list(difflib.unified_diff(want.get(i) or [], got.get(i) or [], 'PostgreSQL', 'sealed', lineterm='', n=0))
        return len(pieces) - len(refused), report

    def test_same_answers(self):
        self.assertTrue(os.path.exists(SOURCE + '/.stamp'), 'tools/setup check fetches the files')
        exceptions, compared, reports = Exceptions(), 0, []
        names = ['test_setup'] + (LONG if SOAK else SHORT)
        for name in names:
            n, report = self.compare(name, exceptions)
            compared += n
            reports += report
        print('%d files, %d statements compared' % (len(names), compared), file=sys.stderr)
        self.assertEqual(reports, [], '\n'.join(reports))
        self.assertGreater(compared, 200 * len(names) // 2)
        if SOAK:
            self.assertEqual(exceptions.unused(names), [])
        sealed = self.s.sqlv("select count(*), count(*) filter (where amname = 'sealed') from pg_class c join pg_am a on a.oid = c.relam "
                             "where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'm')", database='regression')
        self.assertEqual(*sealed.split('|'))


if __name__ == '__main__':
    unittest.main()
