"""VARCHAR and CHAR as in Redshift: lengths in bytes, trailing blanks without meaning where values are compared; shown to clients as PostgreSQL's own types."""
import os
import re
import shutil

from harness import ROOT, SealiftTest

DRIVER = '''
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import pg from 'pg';
const client = new pg.Client({ ssl: { ca: readFileSync(process.env.PGSSLROOTCERT), servername: 'localhost' } });
await client.connect();
const all = await client.query({ name: 'p', text: 'select v, c from s where v = $1 order by id', values: ['x   '] });
assert.deepEqual(all.fields.map((f) => [f.dataTypeID, f.dataTypeModifier]), [[1043, 9], [1042, 7]]);
assert.deepEqual(all.rows, [{ v: 'x', c: 'y  ' }, { v: 'x ', c: 'y  ' }, { v: 'x   ', c: 'y  ' }]);
const groups = await client.query('select v, count(*)::int as n from s where v = any($1) group by v order by v', [['w ', 'x']]);
assert.deepEqual(groups.rows.map((r) => r.n), [1, 3]);
await assert.rejects(client.query('insert into s values (9, $1)', ['ééé']), { code: '22001', message: 'value too long for type character varying(5)' });
await client.end();
console.log('ok');
'''


class StringsTest(SealiftTest):
    @classmethod
    def prepare(cls):
        for name, how in (('s', 'using sealed'), ('h', '')):
            cls.s.sqlv("create table %s (id int, v varchar(5), c char(3)) %s" % (name, how))
            cls.s.sqlv("insert into %s values (1, 'x', 'y'), (2, 'x ', 'y '), (3, 'x   ', 'y'), (4, 'w', 'a'), (5, null, null)" % name)

    def is_(self, sql, expected, setting=''):
        self.assertEqual(self.s.sqlv(setting + sql), expected, sql)

    def test_1_comparisons(self):
        for left, operator, right, result in (
                ("'a'", '=', "'a '", 't'), ("'a'", '<>', "'a '", 'f'), ("'a'", '<', "'a '", 'f'), ("'a'", '<=', "'a '", 't'), ("'a '", '>', "'a'", 'f'),
                ("'a '", '>=', "'a'", 't'), ("' a'", '=', "'a'", 'f'), ("'a b'", '=', "'a  b'", 'f'), ("''", '=', "'   '", 't'), ("'a'", '<', "'b '", 't'),
                ("'a\t'", '=', "'a'", 'f'), ("'B'", '<', "'a'", 't'), ("'z'", '<', "'é'", 't'), ("'ab'", '>', "'a  '", 't')):
            for cast in ('::varchar', '::text', '::varchar(9)', ''):
                self.is_("select %s%s %s %s%s" % (left, cast, operator, right, cast), result)
        self.is_("select 'a '::varchar like 'a', 'a '::varchar like 'a_', length('a '::varchar), 'a ' || '|'", 'f|t|2|a |')
        self.is_("select coalesce(nullif('a'::varchar, 'a '), 'none'), 'a' is distinct from 'a ', row('a', 1) = row('a ', 1), case 'a ' when 'a' then 1 end, array['a'] = array['a ']",
                 'none|f|t|1|t')
        self.is_("select upper('a ') = 'A', 'a '::char(5) = 'a'::varchar, 'a' in ('b', 'a '), 'a' = any(array['c', 'a  '])", 't|t|t|t')

    def test_2_joins_and_groups(self):
        """each plan, on sealed tables and others"""
        for table in ('s', 'h'):
            for setting in ('', 'set enable_hashjoin = off; set enable_hashagg = off; set enable_nestloop = off; ', 'set enable_mergejoin = off; set enable_hashjoin = off; ',
                            'set enable_sort = off; set enable_mergejoin = off; set enable_nestloop = off; '):
                def is_(sql, expected):
                    self.is_(sql.replace('TABLE', table), expected, setting)
                is_('select count(*) from TABLE a join TABLE b on a.v = b.v', '10')
                is_('select count(*) from TABLE a left join TABLE b on a.v = b.v', '11')
                is_("select count(*) from TABLE where v not in (select v from TABLE where v = 'x  ')", '1')
                is_('select trim(v), count(*), count(distinct v) from TABLE group by v order by v', 'w|1|1\nx|3|1\n|1|0')
                is_('select count(*) from (select distinct v, c from TABLE) q', '3')
                is_("select count(*) from (select v from TABLE union select 'x     ') q", '3')
                is_("select count(*) from (select v from TABLE intersect select 'x     ') q", '1')
                is_("select count(*) from (select v from TABLE except select 'x     ') q", '2')
                is_('select id, dense_rank() over (order by v, id) from TABLE order by id limit 1', '1|2')
                is_('select trim(max(v)), trim(min(v)) from TABLE', 'x|w')
                is_("select count(*) from TABLE where v in ('1', '2', '3', '4', '5', '6', '7', '8', '9', 'x    ')", '3')
                is_("select count(*) from TABLE where c = 'y' and v = 'x'", '3')

    def test_3_sorted(self):
        """more than fits the abbreviated key, blanks against what is below them"""
        self.s.sqlv("create table o (v varchar(40)) using sealed")
        self.s.sqlv(r"insert into o values ('a'), (E'a\t'), ('a  '), ('a b'), ('abcdefgh'), ('abcdefgh   '), ('abcdefgh1'), ('abcdefgh 1'), ('abcdefg'), (''), ('    '), ('ä'), ('A')")
        values = [v[1:-1] for v in self.s.sqlv("select '[' || v || ']' from o order by v, octet_length(v)").split('\n')]
        self.assertEqual([v.rstrip(' ') for v in values], sorted((v.rstrip(' ') for v in values), key=lambda v: v.encode()))
        self.assertEqual(len(values), 13)
        self.s.sqlv("create table many (v varchar(40)) using sealed; insert into many select md5(i::text) || repeat(' ', i % 5) from generate_series(1, 20000) i, (values (1), (2)) x")
        self.is_('select count(*), count(distinct v), min(v) = (select v from many order by v limit 1), max(v) = (select v from many order by v desc limit 1) from many', '40000|20000|t|t')
        self.is_('select count(*) from (select v, lag(v) over (order by v) l from many) q where l > v', '0')
        self.is_('select count(*) from many a join (select distinct v from many) b on a.v = b.v', '40000')

    def test_4_lengths(self):
        s, long, char = self.s, 'value too long for type character varying(5)', 'value too long for type character(3)'
        for statement in ("insert into s values (9, 'abcdef')", "insert into s values (9, 'ééé')", "update s set v = 'ééé' where id = 1", "insert into s select 9, 'ab' || 'cdef'"):
            self.refused(s.sql(statement), long)
        for statement in ("insert into s values (9, '', 'abcd')", "insert into s values (9, '', 'éé')", "update s set c = 'éé' where id = 1"):
            self.refused(s.sql(statement), char)
        r = s.run(['psql', '-X', '-q', '-v', 'VERBOSITY=verbose', '-c', "insert into s values (9, 'abcdef')"])
        self.refused(r, 'ERROR:  22001: ' + long)
        self.is_("begin; insert into s values (9, 'éé  ', 'é'), (9, 'éé      ', 'abc   '); select octet_length(v), octet_length(c) from s where id = 9; rollback", '5|3\n5|3')
        self.is_("select 'ééé'::varchar(5), 'ab€'::varchar(4), 'ab€'::varchar(5), 'abcd'::varchar(3), '€'::varchar(2) = ''", 'éé|ab|ab€|abc|t')
        self.is_("select octet_length('éé'::char(3)), octet_length('é'::char(3)), octet_length('abcd'::char(3)), 'abcd'::char(3)", '3|3|3|abc')
        self.is_("select 12345678::varchar(3), true::varchar(2), 'a'::char(3) = 'a'", '123|tr|t')
        self.is_("begin; alter table h alter v type varchar(9); insert into h values (9, 'ééé'); select octet_length(v) from h where id = 9; rollback", '6')
        self.refused(s.sql("begin; alter table h alter v type varchar(9); insert into h values (9, 'éééé '); alter table h alter v type varchar(7)"), 'character varying(7)')

    def test_5_what_clients_see(self):
        s = self.s
        self.assertRegex(s.run(['psql', '-X', '-c', r'\d s']).out, r'v +\| character varying\(5\)(.|\n)*c +\| character\(3\)')
        self.is_("select data_type, udt_name, character_maximum_length from information_schema.columns where table_name = 's' and column_name = 'v'", 'character varying|varchar|5')
        self.is_("select format_type(atttypid, atttypmod), atttypid from pg_attribute where attrelid = 's'::regclass and attname = 'v'", 'character varying(5)|1043')
        script = os.path.join(s.work, 'strings.mjs')
        s.write('strings.mjs', DRIVER)
        os.symlink(os.path.join(ROOT, 'tests/clients/node_modules'), os.path.join(s.work, 'node_modules'))
        self.accepted(s.run(['node', script]))

    def test_6_dump_and_databases(self):
        s = self.s
        self.assertIsNotNone(shutil.which('pg_dump'))
        dump = self.accepted(s.run(['pg_dump', '-t', 'h', '--no-owner']))
        self.assertIn('v character varying(5)', dump)
        self.assertIsNone(re.search('sealift', dump))
        for template in ('template0', 'template1'):
            s.sqlv('create database again template ' + template)
            r = s.run(['psql', '-X', '-q', '-d', 'again'], input=dump)
            self.assertEqual(s.sqlv("select count(*) from h where v = 'x     '", database='again'), '3', r)
            self.refused(s.sql("insert into h values (9, 'ééé')", database='again'), 'value too long for type character varying(5)')
            s.sqlv('drop database again')
