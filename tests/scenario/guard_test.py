"""What no database session may do, tried as the master user and as a user it gave every right it can give."""
import os
import unittest

from harness import SealiftTest

REFUSED = {
    'copy from file': "COPY t FROM '/etc/passwd'",
    'copy to file': "COPY t TO '/tmp/sealift-out'",
    'copy from program': "COPY t FROM PROGRAM 'id'",
    'copy to program': "COPY t TO PROGRAM 'cat'",
    'language c': "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc.so.6', 'getpid'",
    'language internal': "CREATE FUNCTION f2(text) RETURNS text LANGUAGE internal AS 'pg_read_file'",
    'load': "LOAD 'sealift'",
    'alter system': "ALTER SYSTEM SET log_statement = 'all'",
    'checkpoint': 'CHECKPOINT',
    'lo_create': 'SELECT lo_create(0)',
    'lo_from_bytea': "SELECT lo_from_bytea(0, 'x')",
    'lo_import': "SELECT lo_import('/etc/passwd')",
    'lo_export': "SELECT lo_export(1, '/tmp/x')",
    'lo_put': "SELECT lo_put(1, 0, 'x')",
    'pg_read_file': "SELECT pg_read_file('/etc/passwd')",
    'pg_read_file inside': "SELECT pg_read_file('postgresql.conf')",
    'pg_read_binary_file': "SELECT pg_read_binary_file('/etc/passwd')",
    'pg_ls_dir': "SELECT pg_ls_dir('.')",
    'pg_stat_file': "SELECT pg_stat_file('.')",
    'grant pg_read_server_files': 'GRANT pg_read_server_files TO CURRENT_USER',
    'grant pg_write_server_files': 'GRANT pg_write_server_files TO CURRENT_USER',
    'grant pg_execute_server_program': 'GRANT pg_execute_server_program TO CURRENT_USER',
    'grant pg_monitor': 'GRANT pg_monitor TO CURRENT_USER',
    'role in pg role': 'CREATE ROLE sneaky IN ROLE pg_read_server_files',
    'superuser': 'CREATE ROLE sneaky SUPERUSER',
    'become superuser': 'ALTER ROLE CURRENT_USER SUPERUSER',
    'replication': 'CREATE ROLE sneaky REPLICATION',
    'owner role': 'SET ROLE sealift',
    'session authorization': 'SET SESSION AUTHORIZATION sealift',
    'gateway role': "ALTER ROLE sealift_gateway PASSWORD 'Password1'",
    'verifier': "SELECT sealift.verifier('awsuser')",
    'authid': 'SELECT rolpassword FROM pg_authid',
    'extension': 'CREATE EXTENSION file_fdw',
    'unlogged': 'CREATE UNLOGGED TABLE u (a int)',
    'using heap': 'CREATE TABLE u (a int) USING heap',
    'tablespace': "CREATE TABLESPACE ts LOCATION '/tmp'",
    'event trigger': 'CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION x()',
    'foreign data wrapper': 'CREATE FOREIGN DATA WRAPPER w',
    'publication': 'CREATE PUBLICATION p',
    'two-phase': "BEGIN; PREPARE TRANSACTION 'x'",
    'set log_statement': "SET log_statement = 'all'",
    'preload': "ALTER ROLE CURRENT_USER SET local_preload_libraries = 'x'",
    'preload 2': "ALTER ROLE CURRENT_USER SET session_preload_libraries = 'x'",
    'plpython': "DO LANGUAGE plpython3u 'x'",
    'our settings': 'SHOW sealift.kms_socket; SET sealift.kms_socket = 1',
    'do block copy': "DO $$ BEGIN EXECUTE 'COPY t FROM ''/etc/passwd'''; END $$",
    'do block program': "DO $$ BEGIN EXECUTE 'COPY t FROM PROGRAM ''id'''; END $$",
}
ALLOWED = [
    'CREATE TABLE ok (a int, b varchar(10)); INSERT INTO ok VALUES (1, $$x$$); UPDATE ok SET a = 2; DELETE FROM ok; DROP TABLE ok',
    'CREATE SCHEMA s1; CREATE TABLE s1.t (a int); DROP SCHEMA s1 CASCADE',
    'CREATE VIEW v AS SELECT 1 AS a; SELECT * FROM v; DROP VIEW v',
    'CREATE FUNCTION g(a int) RETURNS int LANGUAGE sql AS $$ SELECT a + 1 $$; SELECT g(1); DROP FUNCTION g(int)',
    'CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN NULL; END $$; CALL p(); DROP PROCEDURE p()',
    'BEGIN; SAVEPOINT s; ROLLBACK TO s; COMMIT',
    'CREATE TEMP TABLE tt (a int); DROP TABLE tt',
    'ANALYZE; VACUUM; EXPLAIN SELECT 1; SHOW search_path; SET search_path = public',
]


class Guard(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        s.sqlv("CREATE TABLE t (a varchar(100))")
        s.sqlv("CREATE USER worker PASSWORD 'Worker123' CREATEDB CREATEROLE")
        s.sqlv('GRANT ALL ON ALL TABLES IN SCHEMA public TO worker; GRANT ALL ON DATABASE dev TO worker; GRANT ALL ON SCHEMA public TO worker')
        s.sqlv('GRANT awsuser TO worker')
        cls.users = [dict(), dict(user='worker', password='Worker123')]

    def test_refused(self):
        for who in self.users:
            for name, sql in REFUSED.items():
                with self.subTest(name=name, who=who.get('user', 'master')):
                    r = self.s.sql(sql, **who)
                    self.refused(r, 'ERROR')
                    self.assertNotIn('syntax error', r.err, sql)
        self.assertFalse(os.path.exists('/tmp/sealift-out'))

    def test_allowed(self):
        for who in self.users:
            for sql in ALLOWED:
                with self.subTest(sql=sql, who=who.get('user', 'master')):
                    # one session, statement by statement (psql reads them from its input)
                    r = self.s.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1'], env={'PGUSER': who.get('user', 'awsuser'),
                                   'PGPASSWORD': who.get('password', self.s.env['PGPASSWORD'])}, input=sql + ';\n')
                    self.accepted(r)

    def test_logins(self):
        s = self.s
        self.refused(s.sql('select 1', password='wrong'), 'password authentication failed for user "awsuser"')
        self.refused(s.sql('select 1', user='nobody', password='x'), 'password authentication failed for user "nobody"')
        self.refused(s.sql('select 1', user='n\udcffbody', password='x'), 'password authentication failed')  # a byte that is no text
        for reserved in ('sealift', 'sealift_gateway', 'sealift_admin', 'pg_monitor'):
            self.refused(s.sql('select 1', user=reserved, password='x'), 'password authentication failed')
        for name, why in (('none', 'database "none" does not exist'), ('postgres', 'database "postgres" does not exist'),
                          ('template0', 'database "template0" is not currently accepting connections'),
                          ('template1', 'permission denied for database "template1"'), ('sealift', 'permission denied for database "sealift"')):
            self.refused(s.sql('create table t (a int)', user='awsuser', database=name), 'FATAL:  ' + why)
        self.refused(s.run(['psql', '-X', 'sslmode=disable', '-c', 'select 1']), 'FATAL')
        # MD5: an old driver's user
        import hashlib
        md5 = 'md5' + hashlib.md5(b'Old12345' + b'olduser').hexdigest()
        s.sqlv("CREATE USER olduser PASSWORD '%s'" % md5)
        self.assertEqual(s.sqlv('select current_user', user='olduser', password='Old12345'), 'olduser')
        self.refused(s.sql('select 1', user='olduser', password='Old12346'), 'password authentication failed')

    def test_backslashes_stay_as_the_parser_reads_them(self):
        """a session in which PostgreSQL would read strings otherwise than the gateway ends"""
        for sql in ('SET standard_conforming_strings = off', "SELECT set_config('standard_conforming_strings', 'off', false)"):
            r = self.s.run(['psql', '-X', '-q'], input=sql + ';\nSELECT 41 + 1;\n')
            self.assertIn('not supported', r.err)
            self.assertNotIn('42', r.out)
        self.accepted(self.s.sql('SET standard_conforming_strings = on; SELECT 1'))

    def test_settings_that_are_not_a_clients(self):
        """by none of the ways in which PostgreSQL takes a setting; above all, no table is made whose rows lie in the clear"""
        s, no = self.s, 'permission denied to set parameter "%s"'
        settings = {'default_table_access_method': 'heap', 'default_tablespace': 'pg_default', 'temp_tablespaces': 'pg_default', 'local_preload_libraries': 'x', 'debug_print_plan': 'on', 'log_parameter_max_length_on_error': '-1',
                    'log_min_messages': 'debug5', 'session_preload_libraries': 'x', 'allow_in_place_tablespaces': 'on', 'backtrace_functions': 'x', 'dynamic_library_path': '/tmp'}
        for who in self.users:
            name, env = who.get('user', 'awsuser'), {'PGUSER': who['user'], 'PGPASSWORD': who['password']} if who else {}
            for setting, value in settings.items():
                ways = ["set %s = '%s'" % (setting, value), "select set_config('%s', '%s', false)" % (setting, value), "set local %s to '%s'" % (setting, value), 'reset ' + setting,
                        "alter role current_user set %s = '%s'" % (setting, value),
                        "create function pg_temp.f() returns void language sql set %s = '%s' as 'select'" % (setting, value),
                        "do $$ begin perform set_config('%s', '%s', true); end $$" % (setting, value)]
                if setting not in ('session_preload_libraries', 'dynamic_library_path'):  # which they don't see
                    ways.append("update pg_settings set setting = '%s' where name = '%s'" % (value, setting))
                ways += ["alter database dev set %s = '%s'" % (setting, value)] if not who else []
                for sql in ways:
                    with self.subTest(sql=sql, who=name):
                        self.refused(s.sql(sql, **who), no % setting)
                with self.subTest(startup=setting, who=name):
                    self.refused(s.run(['psql', '-X', '-c', 'select 1'], env=dict(env, PGOPTIONS='-c %s=%s' % (setting, value))), no % setting)
        open_to_all = s.sqlv("select string_agg(name, ' ') from pg_settings where context in ('user', 'backend') and name ~ '^(log|debug_print|allow|backtrace|dynamic)_|preload|tablespace|access_method'")
        self.assertEqual(open_to_all, '')
        s.sqlv('create table told (a int); create temp table told_too (a int); select 1')
        self.assertEqual(s.sqlv("select amname from pg_class c join pg_am m on m.oid = c.relam where relname = 'told'"), 'sealed')

    def test_attributes_by_hand(self):
        """the option in which the gateway passes a table's attributes on, written by a client: what is no key is refused, and nothing is read that isn't there"""
        for value, why in (('{"constraints": ["b int"]}', '"b int" is no key'), ('{"constraints": ["check (true)"]}', '"check (true)" is no key'),
                           ('{"constraints": ["unique (a), add b int"]}', 'is no key'), ('{"constraints": ["unique (a); drop table x"]}', 'is no key'),
                           ('{"constraints": ["constraint u unique using index i"]}', 'is no key'), ('["constraints", "sortkey"]', 'must be an object')):
            # a table made from a query has them unseen until the first ALTER TABLE
            for make in ("create table by_hand (a int) with (sealift.attributes = ''%s'')", "create table by_hand with (sealift.attributes = ''%s'') as select 1 as a"):
                self.refused(self.s.sql("do $$ begin execute '%s'; execute 'alter table by_hand add unique (a)'; end $$" % (make % value)), why)
        self.accepted(self.s.sql("do $$ begin execute 'create table by_hand (a int) with (sealift.attributes = ''{\"constraints\": [\"unique (a)\"]}'')'; end $$"))
        self.refused(self.s.sql('alter table by_hand add unique (a)'), 'constraint "by_hand_a_key" for relation "by_hand" already exists')

    def test_socket_is_closed_to_others(self):
        """PostgreSQL's own socket lets nobody in without the gateway's token"""
        for user in ('awsuser', 'sealift', 'sealift_gateway'):
            r = self.s.run(['psql', '-X', '-c', 'select 1', 'host=%s port=5432 user=%s dbname=dev' % (os.path.join(self.s.data, 'run/pg'), user)], env={'PGSSLMODE': 'prefer'})
            self.refused(r, 'FATAL')


if __name__ == '__main__':
    unittest.main()
