"""No value of a user's data lies in the clear in any file: a canary in tables, errors, rejected rows, spill, statistics and logs, looked for in the whole data directory."""
import os
import subprocess
import time

from harness import SealiftTest, allow, children, within

CANARY = 'Qz7canaryVx2kWu9'  # nothing that compresses, and too long to be there by chance


def holds(path, needle):
    """the file holds it: as it is, or in UTF-16 as some caches keep text"""
    with open(path, 'rb') as f:
        data = f.read()
    return needle in data or needle.decode().encode('utf-16-le') in data


class PlaintextTest(SealiftTest):
    options = ('--temp-file-limit', '30')

    def hits(self, needle=CANARY.encode()):
        """files of the data directory that hold the canary; those of sessions' own memory file system are none of them"""
        found = []
        for folder, _, names in os.walk(self.s.data):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path) and holds(path, needle):
                    found.append(os.path.relpath(path, self.s.data))
        return found

    def clean(self):
        self.assertEqual(self.hits(), [])

    def spill_folder(self):
        return os.readlink(os.path.join(self.s.data, 'pg/base/pgsql_tmp'))

    def postgres_pids(self):
        top = self.s.pids()['postgres']
        return [top] + children(top)

    def test_0_the_test_can_fail(self):
        """a table's name is no secret: the search finds it"""
        self.s.sqlv('create table name%s (x int) using sealed' % CANARY.lower())
        time.sleep(0.5)
        self.assertNotEqual(self.hits(b'name' + CANARY.lower().encode()), [])

    def test_1_tables_and_statistics(self):
        s = self.s
        s.sqlv("create table c (a varchar(100), b int) using sealed")
        s.sqlv("insert into c values ('%s', 1), ('x%s', 2)" % (CANARY, CANARY))
        s.sqlv("insert into c select '%s' || i, i from generate_series(1, 3000) i" % CANARY)
        s.sqlv("update c set a = a || 'y' where b < 5; delete from c where b = 7; analyze c")
        self.assertEqual(s.sqlv("select count(*) from pg_stats where tablename = 'c' and (most_common_vals is not null or histogram_bounds is not null)"), '0')
        s.sqlv("create temp table t as select * from c; analyze t; select count(*) from t where a like '%%%s%%'" % CANARY)
        self.clean()

    def test_2_errors_and_logs(self):
        s = self.s
        for sql in ("select '%s'::int", "insert into c values (repeat('%s', 20), 1)", "select * from c where a = '%s' and nothing", "do $$ begin raise exception '%s'; end $$",
                    "do $$ begin raise warning '%s'; end $$", "select 1/(length('%s') - 16)", "selekt '%s'"):
            s.sql(sql % CANARY)
        # In a parallel worker, whose messages go by another way.
        s.sql("set force_parallel_mode = on; set parallel_setup_cost = 0; select (a || 'z')::int from c")
        s.sql("set statement_timeout = 100; select pg_sleep(5), '%s'" % CANARY)
        with open(os.path.join(s.data, 'log/postgres.log')) as f:
            self.assertIn('ERROR:  SQLSTATE 22P02', f.read())
        self.clean()

    def test_3_rejected_rows(self):
        s = self.s
        self.assertEqual(s.aws('s3 mb s3://rejects').code, 0)
        s.write('bad.csv', 'good,1\n%s,notanumber%s\n' % (CANARY, CANARY))
        self.accepted(s.aws('s3 cp bad.csv s3://rejects/bad.csv'))
        role = s.put_role('Loader', [allow(['s3:GetObject', 's3:ListBucket'])])
        copy = "copy c from 's3://rejects/bad.csv' iam_role '%s' csv" % role
        self.assertNotEqual(s.sql(copy).code, 0)
        mine = "select trim(raw_line), trim(raw_field_value), trim(err_reason) from stl_load_errors"
        self.assertEqual(s.sqlv(mine).split('|')[:2], ['%s,notanumber%s' % (CANARY, CANARY), 'notanumber' + CANARY])
        self.assertTrue(s.sqlv(mine).split('|')[2])
        self.assertEqual(s.sqlv("select field, trim(value) from stl_loaderror_detail order by 1").splitlines(), ['0|' + CANARY, '1|notanumber' + CANARY])
        self.assertEqual(s.sqlv("select trim(error_message) from sys_load_error_detail"), s.sqlv(mine).split('|')[2])
        # What an error ends is recorded by another process.
        s.sqlv("alter table c add check (a <> '%s')" % 'good')
        self.refused(s.sql(copy.replace(' csv', ' csv maxerror 5')), 'violates check constraint')
        s.sqlv("alter table c drop constraint c_a_check")
        within(30, lambda: s.sqlv("select count(*) from sys_load_history where status = 'aborted'") == '2')
        # Another user sees none, and reaches neither the table nor the function.
        s.sqlv("create user other password 'Other12345'")
        other = dict(user='other', password='Other12345')
        for view in ('stl_load_errors', 'stl_loaderror_detail', 'sys_load_error_detail', 'sys_load_history', 'stl_load_commits'):
            self.assertEqual(s.sqlv('select count(*) from ' + view, **other), '0')
        s.sqlv("create function leak(t text) returns boolean language plpgsql cost 0.0001 as $$ begin raise notice '%', t; return true; end $$", **other)
        r = s.sql('select count(*) from stl_load_errors where leak(raw_line)', **other)
        self.assertEqual((r.code, CANARY in r.out + r.err), (0, False))
        for sql in ('select * from sealift.load_records', "select * from sealift.load_error_lines(1, 'e', 0, '\\x00')", "select pg_notify('a', 'b')",
                    "select pg_logical_emit_message(false, 'a', 'b')"):
            self.refused(s.sql(sql, **other), 'permission denied')
        self.refused(s.sql("notify a, 'b'", **other), 'not supported')
        self.clean()

    def test_4_spill_is_in_memory(self):
        s, folder = self.s, self.spill_folder()
        self.assertTrue(folder.startswith('/dev/shm/'))
        self.assertEqual(os.stat(folder).st_mode & 0o777, 0o700)
        sql = "set work_mem = '64kB'; select count(*) from (select '%s' || i as v from generate_series(1, %d) i order by 1 offset 0) q"
        p = subprocess.Popen(['psql', '-X', '-q', '-A', '-t', '-c', sql % (CANARY, 300000)], env=s.env, stdout=subprocess.PIPE, text=True)
        seen = False
        while p.poll() is None:
            if os.listdir(folder):
                seen = True
                self.assertEqual(self.hits(), [])
            time.sleep(0.05)
        self.assertEqual(p.communicate()[0].strip(), '300000')
        self.assertTrue(seen)
        self.assertEqual(os.listdir(folder), [])
        r = s.run(['psql', '-X', '-q', '-v', 'VERBOSITY=verbose', '-c', sql % (CANARY, 3000000)])
        self.refused(r, 'ERROR:  53400: temporary file size exceeds temp_file_limit (30720kB)')
        self.refused(s.sql("set temp_file_limit = -1"), 'permission denied')
        self.assertEqual(os.listdir(folder), [])
        self.clean()

    def test_5_files_of_the_server(self):
        s = self.s
        for sql in ("copy c to '/tmp/sealift-plain'", "copy c from '/etc/passwd'", "copy (select 1) to program 'cat'"):
            r = s.sql(sql)
            self.assertNotEqual(r.code, 0, sql)
        self.assertFalse(os.path.exists('/tmp/sealift-plain'))

    def test_6_processes_can_t_be_dumped(self):
        self.s.sqlv('select 1')
        seen = 0
        for pid in self.postgres_pids():
            try:
                with open('/proc/%d/limits' % pid) as f:
                    core = [line.split() for line in f if line.startswith('Max core file size')][0]
                owner = os.stat('/proc/%d/mem' % pid).st_uid
            except (FileNotFoundError, ProcessLookupError):
                continue  # a worker that has ended
            seen += 1
            self.assertEqual(core[4:6], ['0', '0'])
            if os.geteuid() == 0:
                self.assertEqual(owner, 0)  # an undumpable process's files are root's, whoever it runs as
        self.assertGreater(seen, 3)

    def test_7_crash_and_restart(self):
        s = self.s
        p = subprocess.Popen(['psql', '-X', '-q', '-c', "begin; insert into c select '%s' || i, i from generate_series(1, 200000) i; select pg_sleep(60)" % CANARY], env=s.env,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(3)
        s.kill_all()
        p.wait(30)
        self.clean()
        s.up()
        self.assertEqual(s.sqlv("select count(*) from c where a like '%s%%'" % CANARY) > '0', True)
        self.clean()
        folder = self.spill_folder()
        s.down()
        self.assertFalse(os.path.exists(folder))
        self.clean()
        s.up()
