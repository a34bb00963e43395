"""pg_dump of databases with sealed tables, and restore into new ones: as the administrator and as an owner, in each of its forms."""
import os
import re
import unittest

from harness import SealiftTest

PASSWORD = 'Own3rOfTables'
MAKE = r"""
create schema app;
create table app.t (a integer not null, b varchar(40) default 'none', c numeric(12,2), d timestamp, e boolean, f char(5), g double precision, h bigint, i date) distkey (a) sortkey (d);
insert into app.t select i, 'x' || i, i / 3.0, '2020-01-01'::timestamp + i * interval '1 hour', i % 2 = 0, 'ab', i / 7.0, i * 10000000000, '2021-01-01'::date + i from generate_series(1, 5000) i;
insert into app.t (a, b, f) values (-1, E'tab\t line\n quote\' \\ é', null), (-2, '', ' x'), (-3, null, 'abcde');
delete from app.t where a % 10 = 4;
update app.t set c = -c where a % 10 = 5;
create view app.v as select a, b from app.t where a < 10;
create materialized view app.m as select e, count(*) as n from app.t group by 1;
create sequence app.s start 5;
create function app.f(x integer) returns integer as 'select x + 1' language sql immutable;
create table p (a integer primary key, b integer default 7 encode zstd, c integer constraint k references p, unique (a, b)) diststyle all interleaved sortkey (a, b);
insert into p (a) values (1);
comment on table p is 'a table';
grant select on app.t to public;
"""
CONTENT = ("select count(*), sum(c), sum(h), sum(g)::numeric(20,6), md5(string_agg(a::varchar(20) || coalesce(b, '-') || coalesce(f, '-') || coalesce(d::varchar(30), '-') || coalesce(e::text, '-'), "
           "'|' order by a)) from app.t; select * from app.m order by 1; select count(*) from app.v; select a, b from p; select app.f(1)")
KEYS = ('set search_path = app, public; select * from pg_table_def where schemaname in (\'app\', \'public\') order by 1, 2, 3; '
        'select schema_name, table_name, attributes from svv_table_attributes order by 1, 2')


class Dump(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        s.sqlv(MAKE)
        cls.want = s.sqlv(CONTENT)
        assert cls.want.startswith('4503|'), cls.want
        cls.keys = s.sqlv(KEYS)
        assert 'UNIQUE' in cls.keys.upper() and 'zstd' in cls.keys and '"distkey": "a"' in cls.keys, cls.keys

    def new(self, name, options=''):
        self.s.sqlv('create database %s %s' % (name, options))
        self.addCleanup(self.s.sqlv, 'drop database %s' % name)
        return name

    def dump(self, *args, **env):
        self.accepted(self.s.run(['pg_dump', *args], env))

    def holds(self, database):
        self.assertEqual(self.s.sqlv(CONTENT, database=database), self.want)
        self.assertEqual(self.s.sqlv(KEYS, database=database), self.keys)
        self.assertEqual(self.s.sqlv("select string_agg(distinct amname, ' ') from pg_class c join pg_am a on a.oid = c.relam where relkind in ('r', 'm') and relnamespace in "
                                     "('app'::regnamespace, 'public'::regnamespace)", database=database), 'sealed')

    def test_plain(self):
        s = self.s
        self.dump('-f', 'plain.sql', 'dev')
        with open(os.path.join(s.work, 'plain.sql')) as f:
            text = f.read()
        labels = re.findall(r'^SECURITY LABEL FOR sealift ON TABLE [a-z.]+ IS .*;$', text, re.M)
        self.assertEqual(len(labels), 2)
        self.assertNotIn('sealift', re.sub('|'.join(map(re.escape, labels)), '', text))  # what is the system's own is no part of it
        self.accepted(s.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', self.new('plain'), '-f', 'plain.sql']))
        self.holds('plain')
        self.assertEqual(s.sqlv("select obj_description('p'::regclass)", database='plain'), 'a table')

    def test_schema_then_data(self):
        s = self.s
        self.dump('-s', '-f', 'schema.sql', 'dev')
        self.dump('-a', '--inserts', '--rows-per-insert=500', '-f', 'data.sql', 'dev')
        self.new('twice')
        self.accepted(s.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'twice', '-f', 'schema.sql']))
        self.assertEqual(s.sqlv('select count(*) from app.t', database='twice'), '0')
        self.accepted(s.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'twice', '-f', 'data.sql']))
        s.sqlv('refresh materialized view app.m', database='twice')
        self.holds('twice')

    def test_archives(self):
        s = self.s
        self.dump('-Fc', '-f', 'archive', 'dev')
        self.accepted(s.run(['pg_restore', '--exit-on-error', '-d', self.new('custom'), 'archive']))
        self.holds('custom')
        self.accepted(s.run(['pg_restore', '--exit-on-error', '--clean', '--if-exists', '-d', 'custom', 'archive']))  # over what is there
        self.holds('custom')
        self.dump('-Fd', '-j', '2', '-f', 'folder', 'dev')
        self.accepted(s.run(['pg_restore', '--exit-on-error', '-j', '2', '-d', self.new('parallel'), 'folder']))
        self.holds('parallel')
        self.accepted(s.run(['pg_restore', '--exit-on-error', '-1', '-d', self.new('single'), 'archive']))  # in one transaction
        self.holds('single')

    def test_owner(self):
        s = self.s
        s.sqlv("create user owner1 password '%s'; grant owner1 to awsuser" % PASSWORD)
        self.addCleanup(s.sqlv, 'drop user owner1')
        self.new('owned', 'owner owner1')
        env = {'PGUSER': 'owner1', 'PGPASSWORD': PASSWORD}
        s.sqlv("create schema mine; create table mine.t as select i as a from generate_series(1, 3000) i", database='owned', user='owner1', password=PASSWORD)
        self.dump('-f', 'owned.sql', 'owned', **env)
        s.sqlv('drop schema mine cascade', database='owned', user='owner1', password=PASSWORD)
        self.accepted(s.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'owned', '-f', 'owned.sql'], env))
        self.assertEqual(s.sqlv('select count(*), sum(a) from mine.t', database='owned', user='owner1', password=PASSWORD), '3000|4501500')
        self.refused(s.run(['pg_dump', 'dev'], env), 'permission denied for')  # what one may not read

    def test_labels(self):
        """a table's attributes are its label, which its owner may write and which must fit it"""
        s = self.s
        s.sqlv('create table la (a int not null, b int) sortkey (a); alter table la rename a to x; alter table la alter distkey b; create view lv as select x from la')
        label = s.sqlv("select label from pg_seclabels where objname = 'la'")
        self.assertEqual(label, '{"distkey": "b", "sortkey": ["x"], "diststyle": "key", "sortstyle": "compound"}')
        s.sqlv("security label for sealift on table la is '{\"sortkey\": [\"b\"], \"constraints\": [\"PRIMARY KEY (x)\"]}'")
        self.assertEqual(s.sqlv("select attributes from svv_table_attributes where table_name = 'la'"), '{"sortkey": ["b"], "constraints": ["PRIMARY KEY (x)"]}')
        s.sqlv("create user lau password '%s'; grant select on la to lau" % PASSWORD)
        self.addCleanup(s.sqlv, 'drop view lv; drop table la; drop user lau')
        self.refused(s.sql("security label for sealift on table la is '{}'", user='lau', password=PASSWORD), 'must be owner of table la')
        for text, why in (("for sealift on table la is '{\"sortkey\": [\"z\"]}'", 'column "z" named in key does not exist'),
                          ("for sealift on table la is '{\"constraints\": [\"PRIMARY KEY (b)\"]}'", 'column "b" in a primary key is not marked NOT NULL'),
                          ("for sealift on table la is '{\"constraints\": [\"UNIQUE (z)\"]}'", 'column "z" named in key does not exist'),
                          ("for sealift on table la is '{\"constraints\": [\"x\"]}'", 'syntax error'),
                          ("for sealift on table la is '[]'", 'attributes of a table must be an object'),
                          ("for sealift on table la is '{\"sortkey\": \"x\"}'", 'attribute "sortkey" of a table has the wrong type'),
                          ("for sealift on table la is '{\"sortkey\": [1]}'", 'attribute "sortkey" of a table has the wrong type'),
                          ("for sealift on table la is '{\"encode\": {\"x\": [\"raw\"]}}'", 'attribute "encode" of a table has the wrong type'),
                          ("for sealift on table la is '{\"constraints\": {}}'", 'attribute "constraints" of a table has the wrong type'),
                          ("for sealift on table la is '{\"diststyle\": true}'", 'attribute "diststyle" of a table has the wrong type'),
                          ("for sealift on table la is '{\"other\": \"x\"}'", 'attributes of a table have an unknown member'),
                          ("for sealift on table la is '{'", 'invalid input syntax for type json'),
                          ('for sealift on table la is null', 'is not supported'),
                          ("for sealift on column la.x is '{}'", 'is not supported'),
                          ("for sealift on view lv is '{}'", 'is not supported'),
                          ("for sealift on role lau is '{}'", 'is not supported'),
                          ("on table la is '{}'", 'SECURITY LABEL is not supported'),
                          ("for other on table la is '{}'", 'SECURITY LABEL is not supported')):
            self.refused(s.sql('security label ' + text), why)
        self.assertEqual(s.sqlv("select attributes from svv_table_attributes where table_name = 'la'"), '{"sortkey": ["b"], "constraints": ["PRIMARY KEY (x)"]}')

    def test_attributes_of_dropped_columns(self):
        """a dump's label must fit the table"""
        s = self.s
        s.sqlv('create table ld (a int, b int encode zstd, c int, d int unique, primary key (a, b)) distkey (b) compound sortkey (a, b, c); alter table ld drop b')
        self.addCleanup(s.sqlv, 'drop table ld')
        self.assertEqual(s.sqlv("select label from pg_seclabels where objname = 'ld'"),
                         '{"encode": {}, "distkey": null, "sortkey": ["a"], "diststyle": "even", "sortstyle": "compound", "constraints": ["UNIQUE (d)"]}')
        self.refused(s.sql('alter table ld drop z'), 'column "z" of relation "ld" does not exist')
        self.dump('-t', 'ld', '-f', 'ld.sql', 'dev')
        self.accepted(s.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', self.new('dropped'), '-f', 'ld.sql']))
        self.assertEqual(s.sqlv('select "column", trim(encoding), sortkey from pg_table_def where tablename = \'ld\' order by 1', database='dropped'), 'a|none|1\nc|az64|0\nd|az64|0')

    def test_no_type_of_a_user_runs_as_the_owner(self):
        """attributes are written by the cluster's owner: a search path of the user's must not reach him"""
        s = self.s
        self.addCleanup(s.sqlv, 'drop schema evil cascade')
        s.sqlv("create schema evil; create table evil.who (name varchar(64)); grant all on evil.who to public; "
               "create function evil.f(pg_catalog.jsonb) returns boolean as $$ begin insert into evil.who values (current_user); return true; end $$ language plpgsql")
        for schema, path in (('evil', 'evil, public, pg_catalog'), ('pg_temp', 'public')):  # the session's own comes first unless it is named
            s.sqlv("create domain %s.jsonb as pg_catalog.jsonb check (evil.f(value)); set search_path = %s; select '{}'::jsonb; create table ev (a int, b int) sortkey (a); "
                   "alter table ev alter sortkey (b); alter table ev rename b to c; alter table ev add unique (a); alter table ev drop c; drop table ev" % (schema, path))
        self.assertEqual(s.sqlv('select * from evil.who'), 'awsuser\nawsuser')  # of our own casts alone

    def test_settings_of_scripts(self):
        """what pg_dump sets is how things are; anything else is refused as before"""
        s = self.s
        s.sqlv("set default_tablespace = ''; set default_table_access_method = sealed; create table acm (a integer); drop table acm")
        for sql in ('set default_table_access_method = heap', "set default_tablespace = 'pg_default'", 'set default_table_access_method to default; select 1'):
            self.refused(s.sql(sql), 'permission denied to set parameter')


if __name__ == '__main__':
    unittest.main()
