"""What is seen of loads: the views of what ended and of what runs, whose rows they show, how long they are kept."""
import gzip
import os
import pty
import random
import re
import select
import signal
import subprocess

from harness import SEALIFT, SealiftTest, allow, within
from midload import Gate
from sessions import Session

INT, BIG, TIME, TEXT = 'integer', 'bigint', 'timestamp without time zone', 'text'


def char(n):
    return 'character(%d)' % n


# Columns and types as Redshift documents them.
COLUMNS = {
    'stl_load_errors': [
        ('userid', INT), ('slice', INT), ('tbl', INT), ('starttime', TIME), ('session', INT), ('query', INT), ('filename', char(256)), ('line_number', BIG),
        ('colname', char(127)), ('type', char(10)), ('col_length', char(10)), ('position', INT), ('raw_line', char(1024)), ('raw_field_value', char(1024)),
        ('err_code', INT), ('err_reason', char(100)), ('is_partial', INT), ('start_offset', BIG), ('copy_job_id', BIG)],
    'stl_loaderror_detail': [
        ('userid', INT), ('slice', INT), ('session', INT), ('query', INT), ('filename', char(256)), ('line_number', BIG), ('field', INT), ('colname', char(1024)),
        ('value', char(1024)), ('is_null', INT), ('type', char(10)), ('col_length', char(10))],
    'stl_load_commits': [
        ('userid', INT), ('query', INT), ('slice', INT), ('name', char(256)), ('filename', char(256)), ('byte_offset', INT), ('lines_scanned', INT), ('errors', INT),
        ('curtime', TIME), ('status', INT), ('file_format', char(16)), ('is_partial', INT), ('start_offset', BIG), ('copy_job_id', BIG)],
    'stl_file_scan': [
        ('userid', INT), ('query', INT), ('slice', INT), ('name', char(90)), ('lines', BIG), ('bytes', BIG), ('loadtime', BIG), ('curtime', TIME), ('is_partial', INT),
        ('start_offset', BIG)],
    'stv_load_state': [
        ('userid', INT), ('session', INT), ('query', INT), ('slice', INT), ('pid', INT), ('recordtime', TIME), ('bytes_to_load', BIG), ('bytes_loaded', BIG),
        ('bytes_to_load_compressed', BIG), ('bytes_loaded_compressed', BIG), ('lines', INT), ('num_files', INT), ('num_files_complete', INT),
        ('current_file', char(256)), ('pct_complete', INT)],
    'sys_load_history': [
        ('user_id', INT), ('query_id', BIG), ('transaction_id', BIG), ('session_id', INT), ('database_name', TEXT), ('status', TEXT), ('table_name', TEXT),
        ('start_time', TIME), ('end_time', TIME), ('duration', BIG), ('data_source', TEXT), ('file_format', TEXT), ('loaded_rows', BIG), ('loaded_bytes', BIG),
        ('source_file_count', INT), ('source_file_bytes', BIG), ('file_count_scanned', INT), ('file_bytes_scanned', BIG), ('error_count', BIG), ('copy_job_id', BIG)],
    'sys_load_detail': [
        ('user_id', INT), ('query_id', INT), ('file_name', char(256)), ('bytes_scanned', INT), ('lines_scanned', INT), ('record_time', TIME), ('splits_scanned', INT),
        ('start_time', TIME), ('end_time', TIME)],
    'sys_load_error_detail': [
        ('user_id', INT), ('query_id', BIG), ('transaction_id', BIG), ('session_id', INT), ('database_name', char(64)), ('table_id', INT), ('start_time', TIME),
        ('file_name', char(256)), ('line_number', BIG), ('column_name', char(127)), ('column_type', char(10)), ('column_length', char(10)), ('position', INT),
        ('error_code', INT), ('error_message', char(512))],
}
ROWS = 5000


class LoadViews(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        assert s.aws('s3 mb s3://bkt').code == 0
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket'])])
        s.sqlv('create table t (a integer, b varchar(20), c numeric(6,2))')
        s.sqlv("create user other password 'Other12345'; grant insert, select on t to other")

    def put(self, key, data):
        self.s.write('file', data)
        self.accepted(self.s.aws('s3 cp file s3://bkt/' + key))
        return len(data)

    def copy(self, key, options='', before='', after='', **kw):
        """the load's answer and its number"""
        r = self.s.sql("%s COPY t FROM 's3://bkt/%s' IAM_ROLE '%s' %s; %s select 'n', pg_last_copy_id(), pg_last_copy_count()" % (before, key, self.role, options, after), **kw)
        return r

    def last(self, **kw):
        return int(self.s.sqlv('select max(query_id) from sys_load_history', **kw))

    def test_columns(self):
        for view, columns in COLUMNS.items():
            got = self.s.sqlv("select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'pg_catalog.%s'::regclass order by attnum" % view).splitlines()
            self.assertEqual([tuple(line.split('|')) for line in got], columns, view)

    def test_a_load(self):
        sizes = [self.put('good/%d.gz' % i, gzip.compress(b''.join(b'%d|x|1.5\n' % n for n in range(ROWS)))) for i in range(3)]
        self.assertEqual(self.s.sqlv('select pg_last_copy_id(), pg_last_copy_count()'), '-1|0')
        r = self.copy('good/', 'GZIP', "begin; set timezone = 'Asia/Tokyo'; set datestyle = 'German';", 'rollback;')
        self.accepted(r)
        self.assertEqual(r.err.strip(), "INFO:  Load into table 't' completed, %d record(s) loaded successfully." % (3 * ROWS))
        n = self.last()
        self.assertEqual(r.out.strip(), 'n|%d|%d' % (n, 3 * ROWS))
        # The transaction was rolled back: the records are there.
        plain = 3 * sum(len('%d|x|1.5\n' % i) for i in range(ROWS))
        self.assertEqual(self.s.sqlv("select database_name, status, table_name, data_source, file_format, loaded_rows, loaded_bytes, source_file_count, source_file_bytes,"
                                     " file_count_scanned, file_bytes_scanned, error_count, copy_job_id, session_id > 0, transaction_id > 0, end_time - start_time between '0s' and '60s',"
                                     " duration between 0 and 60000000, abs(extract(epoch from (now() at time zone 'UTC') - end_time)) < 60,"
                                     " user_id = (select usesysid from pg_user where usename = current_user)"
                                     " from sys_load_history where query_id = %d" % n),
                         'dev|completed|t|s3://bkt/good/|txt|%d|%d|3|%d|3|%d|0|0|t|t|t|t|t|t' % (3 * ROWS, plain, sum(sizes), sum(sizes)))
        self.assertEqual(self.s.sqlv("select trim(filename), trim(name), lines_scanned, errors, status, trim(file_format), is_partial, start_offset from stl_load_commits"
                                     " where query = %d order by 1" % n).splitlines(),
                         ['s3://bkt/good/%d.gz|s3://bkt/good/%d.gz|%d|0|1|Text|0|0' % (i, i, ROWS) for i in range(3)])
        self.assertEqual(self.s.sqlv("select trim(name), lines, bytes, loadtime between 0 and 60000000, curtime > now() - interval '1 hour' from stl_file_scan where query = %d order by 1" % n)
                         .splitlines(), ['s3://bkt/good/%d.gz|%d|%d|t|t' % (i, ROWS, sizes[i]) for i in range(3)])
        self.assertEqual(self.s.sqlv("select trim(file_name), bytes_scanned, lines_scanned, splits_scanned, end_time >= start_time from sys_load_detail where query_id = %d order by 1" % n)
                         .splitlines(), ['s3://bkt/good/%d.gz|%d|%d|1|t' % (i, sizes[i], ROWS) for i in range(3)])
        self.assertEqual(self.s.sqlv('select count(*) from stv_load_state'), '0')

    def test_rejected_rows(self):
        long = 'y' * 1100
        self.put('bad/1', '1|x|1\nno|x|1\n')
        self.put('bad/2', '1|x|1\n3||soon\n4|%s|1\n5|\u00e4\u00f6|1|7\n6|\\N|1e' % long)
        r = self.copy('bad/', 'MAXERROR 100')
        self.accepted(r)
        n = self.last()
        self.assertEqual(r.out.strip(), 'n|%d|2' % n)
        self.assertIn("5 record(s) could not be loaded.  Check 'stl_load_errors' system table for details.", r.err)
        self.assertEqual(self.s.sqlv('select status, loaded_rows, error_count from sys_load_history where query_id = %d' % n), 'completed|2|5')
        self.assertEqual(self.s.sqlv('select trim(filename), lines_scanned, errors from stl_load_commits where query = %d order by 1' % n).splitlines(),
                         ['s3://bkt/bad/1|2|1', 's3://bkt/bad/2|5|4'])
        errors = self.s.sqlv("select trim(filename), line_number, trim(colname), trim(type), trim(col_length), err_code, tbl = 't'::regclass::int, length(trim(raw_line))"
                             " from stl_load_errors where query = %d order by 1, 2" % n).splitlines()
        self.assertEqual(errors[:3], ['s3://bkt/bad/1|2|a|int4|0|1207|t|6', 's3://bkt/bad/2|2|c|numeric|6, 2|1207|t|7', 's3://bkt/bad/2|3|b|varchar|20|1204|t|1024'])
        self.assertEqual(len(errors), 5)
        same = self.s.sqlv("select trim(file_name), line_number, trim(column_name), trim(column_type), trim(column_length), error_code, table_id = 't'::regclass::int,"
                           " trim(database_name), transaction_id = (select transaction_id from sys_load_history h where h.query_id = d.query_id)"
                           " from sys_load_error_detail d where query_id = %d order by 1, 2" % n).splitlines()
        self.assertEqual(same[0], 's3://bkt/bad/1|2|a|int4|0|1207|t|dev|t')
        self.assertEqual([x.split('|')[:6] for x in same], [x.split('|')[:6] for x in errors])
        fields = self.s.sqlv("select trim(filename), line_number, field, trim(colname), left(trim(value), 4), is_null, trim(type), trim(col_length) from stl_loaderror_detail"
                             " where query = %d order by 1, 2, 3" % n).splitlines()
        self.assertEqual(fields, ['s3://bkt/bad/1|2|0|a|no|0|int4|0',
                                  's3://bkt/bad/2|2|0|a|3|0|int4|0', 's3://bkt/bad/2|2|1|b||0|varchar|20', 's3://bkt/bad/2|2|2|c|soon|0|numeric|6, 2',
                                  's3://bkt/bad/2|3|0|a|4|0|int4|0', 's3://bkt/bad/2|3|1|b|yyyy|0|varchar|20',
                                  's3://bkt/bad/2|4|0|a|5|0|int4|0', 's3://bkt/bad/2|4|1|b|..|0|varchar|20', 's3://bkt/bad/2|4|2|c|1|0|numeric|6, 2', 's3://bkt/bad/2|4|3||7|0||',
                                  's3://bkt/bad/2|5|0|a|6|0|int4|0', 's3://bkt/bad/2|5|1|b|\\N|1|varchar|20', 's3://bkt/bad/2|5|2|c|1e|0|numeric|6, 2'])

    def test_no_more_than_twenty_rows_in_detail(self):
        self.put('many', 'no|x|1\n' * 30)
        self.accepted(self.copy('many', 'MAXERROR 1000'))
        n = self.last()
        self.assertEqual(self.s.sqlv('select count(*) from stl_load_errors where query = %d' % n), '30')
        self.assertEqual(self.s.sqlv('select count(*), count(distinct line_number) from stl_loaderror_detail where query = %d' % n), '20|20')

    def test_more_than_one_seal_holds(self):
        for i in range(2):
            self.put('parts/%d' % i, ''.join('no%d|%s|1\n' % (n, 'y' * 1000) for n in range(1500)))
        self.accepted(self.copy('parts/', 'MAXERROR 10000'))
        n = self.last()
        self.assertEqual(self.s.sqlv("select count(*), count(distinct raw_line), count(distinct trim(filename) || line_number) from stl_load_errors where query = %d" % n), '3000|1500|3000')
        self.assertEqual(self.s.sqlv('select trim(filename), errors from stl_load_commits where query = %d order by 1' % n).splitlines(), ['s3://bkt/parts/0|1500', 's3://bkt/parts/1|1500'])

    def test_a_failed_load(self):
        self.put('fail/1', '1|x|1\n')
        self.put('fail/2', '1|x|1\nno|x|1\n')
        r = self.s.sql("COPY t FROM 's3://bkt/fail/' IAM_ROLE '%s'" % self.role, options=('-v', 'VERBOSITY=verbose'))
        self.refused(r, "ERROR:  XX000: Load into table 't' failed.  Check 'stl_load_errors' system table for details.")
        n = self.last()
        self.assertEqual(self.s.sqlv('select status, loaded_rows, loaded_bytes, file_count_scanned, error_count from sys_load_history where query_id = %d' % n), 'aborted|0|0|2|1')
        self.assertEqual(self.s.sqlv('select trim(filename), errors from stl_load_commits where query = %d order by 1' % n).splitlines(), ['s3://bkt/fail/1|0', 's3://bkt/fail/2|1'])
        # In one session: the number is the failed load's, the count is none.
        out = self.s.run(['psql', '-X', '-q', '-A', '-t'], input="COPY t FROM 's3://bkt/fail/' IAM_ROLE '%s';\nselect pg_last_copy_id(), pg_last_copy_count();\n" % self.role).out
        self.assertEqual(out.strip(), '%d|0' % self.last())
        # S3's refusals: the block that tools parse.
        r = self.s.sql("COPY t FROM 's3://none/x' IAM_ROLE '%s'" % self.role, options=('-v', 'VERBOSITY=verbose'))
        rule = '  ' + '-' * 47
        self.assertRegex(r.err, "(?s)ERROR:  XX000: S3ServiceException:[^\n]*,Status 404,Error NoSuchBucket,Rid [^\n]*,CanRetry 1\nDETAIL:  \n" + rule +
                         "\n  error:  S3ServiceException:[^\n]*\n  code:      8001\n  context:   [^\n]*\n  query:     %d\n  location:  [^\n]*\n  process:   query0_%d .pid=[0-9]+.\n" % (self.last(), self.last()) + rule)
        self.assertEqual(self.s.sqlv('select status, file_count_scanned from sys_load_history where query_id = %d' % self.last()), 'aborted|0')

    def test_whose_rows(self):
        other = dict(user='other', password='Other12345')
        self.put('whose', 'no|x|1\n')
        self.refused(self.copy('whose'), 'failed')
        self.refused(self.copy('whose', **other), 'failed')
        for view in COLUMNS:
            if view != 'stv_load_state':
                key = 'user_id' if view.startswith('sys') else 'userid'
                self.assertEqual(self.s.sqlv("select count(*) > 0, count(distinct %s) from %s where %s <> (select usesysid from pg_user where usename = 'other')" % (key, view, key)), 't|1', view)
                self.assertEqual(self.s.sqlv("select count(*) > 0, count(distinct %s), min(%s) = (select usesysid from pg_user where usename = 'other') from %s" % (key, key, view), **other), 't|1|t', view)
        self.s.sqlv("create function leak(t text) returns boolean language plpgsql cost 0.0001 as $$ begin raise notice '%', t; return true; end $$", **other)
        r = self.s.sql("select count(*) from sys_load_history where leak(data_source)", **other)
        self.assertEqual((r.code, r.out.strip(), r.err.count('NOTICE')), (0, '1', 1))
        for sql in ('select * from sealift.load_records', 'select * from sealift.load_state()', 'select * from sealift.loads', "select * from sealift.load_lines(1, 'l', 0, '\\x00')"):
            self.refused(self.s.sql(sql, **other), 'permission denied')
            self.refused(self.s.sql(sql), 'permission denied')

    def test_formats(self):
        self.put('form.csv', '1,x,1\n')
        self.put('form.json', '{"a": 1, "b": "x"}\n{"a": "no", "b": "\u00e4"}')
        for key, option, sys, stl in (('form.csv', 'CSV', 'csv', 'Text'), ('form.json', "JSON 'auto' MAXERROR 5", 'json', 'JSON')):
            self.accepted(self.copy(key, option))
            n = self.last()
            self.assertEqual(self.s.sqlv('select file_format from sys_load_history where query_id = %d' % n), sys)
            self.assertEqual(self.s.sqlv('select trim(file_format) from stl_load_commits where query = %d' % n), stl)
        self.assertEqual(self.s.sqlv("select field, trim(colname), trim(value) from stl_loaderror_detail where query = %d order by 1" % n), '0|a|no')
        self.assertEqual(self.s.sqlv('select lines_scanned, errors from stl_load_commits where query = %d' % n), '2|1')

    def test_a_database_made_from_another(self):
        s = self.s
        self.put('one', '1|x|1\n')
        self.accepted(self.copy('one'))
        s.sqlv('create database made template dev')
        self.assertEqual(s.sqlv('select count(*) from sys_load_history', database='made'), '0')
        self.accepted(s.sql("COPY t FROM 's3://bkt/one' IAM_ROLE '%s'" % self.role, database='made'))
        self.assertEqual(s.sqlv('select database_name, loaded_rows from sys_load_history', database='made'), 'made|1')
        s.sqlv('drop database made')

    def test_z_kept_for_a_week(self):
        s = self.s
        self.put('one', '1|x|1\n')
        self.put('old', 'no|x|1\n')
        self.refused(self.copy('old'), 'failed')
        old = self.last()
        self.accepted(self.copy('one'))
        before = int(s.sqlv('select count(*) from sys_load_history'))
        for days, there, left in ((6, before, before), (2, before + 1, 0)):
            s.down()
            self.single_user("update sealift.load_records set at = at - interval '%d days' where query <= %d" % (days, old + 1))
            s.up()
            self.assertEqual(s.sqlv('select count(*) from sys_load_history'), str(there))
            self.accepted(self.copy('one'))
            self.assertEqual(s.sqlv('select count(*) from sys_load_history where query_id <= %d' % (old + 1)), str(left))
        self.assertEqual(s.sqlv('select count(*) from stl_load_errors where query = %d' % old), '0')
        self.assertEqual(s.sqlv('select count(*) from sys_load_history'), '2')

    def single_user(self, sql):
        """as the cluster's owner, whom no client can be"""
        folder = os.path.join(self.s.data, 'pg')
        who = {'user': 'postgres', 'group': 'postgres', 'extra_groups': []} if os.geteuid() == 0 else {}
        r = subprocess.run(['/usr/lib/postgresql/15/bin/postgres', '--single', '-D', folder, 'dev'], input=sql + '\n', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **who)
        self.assertEqual(r.returncode, 0, r.stdout)
        self.assertNotIn('ERROR', r.stdout)


class RunningLoads(SealiftTest):
    """What is seen while a load stands still in its middle, and of it afterwards: by other sessions and by `sealift loads`."""

    @classmethod
    def prepare(cls):
        s = cls.s
        assert s.aws('s3 mb s3://bkt').code == 0
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket'])])
        rnd = random.Random(1)
        cls.size = 0
        for i in range(8):
            data = ''.join('%d|%030x\n' % (n, rnd.getrandbits(120)) for n in range(20000))
            cls.size += len(data)
            s.write('big', data)
            assert s.aws('s3 cp big s3://bkt/big/%d' % i).code == 0
        s.sqlv('create table t (a integer, b varchar(40))')
        s.sqlv("create user other password 'Other12345'")
        cls.gate = Gate(s)
        cls.out = os.path.join(s.work, 'watch.out')

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()
        super().tearDownClass()

    def loads(self, *args):
        return self.accepted(self.s.run([SEALIFT, 'loads', '--data', self.s.data, *args])).splitlines()

    def begin(self):
        session = Session(self.s)
        self.gate.hold(900000)
        session.send("COPY t FROM 's3://bkt/big/' IAM_ROLE '%s'" % self.role)
        self.gate.wait_held()
        within(60, lambda: int(self.s.sqlv('select coalesce(max(bytes_loaded), 0) from stv_load_state')) > 800000)
        return session

    def test_views(self):
        s = self.s
        session = self.begin()
        state = s.sqlv("select session = pid, session, slice, abs(extract(epoch from recordtime - (now() at time zone 'UTC'))) < 60, bytes_to_load, bytes_loaded between 800000 and 900000,"
                       " bytes_to_load_compressed, bytes_loaded_compressed, lines > 0, num_files, num_files_complete, trim(current_file) ~ '^s3://bkt/big/[0-7]$',"
                       " pct_complete = bytes_loaded * 100 / bytes_to_load from stv_load_state")
        self.assertRegex(state, '^t.%d.0.t.%d.t.0.0.t.8.[01].t.t$' % (session.pid, self.size))
        history = "select query_id, status, end_time is null, duration > 0, table_name, database_name, data_source, source_file_count, source_file_bytes, session_id from sys_load_history"
        n = s.sqlv("select query from stv_load_state")
        self.assertEqual(s.sqlv(history + " where status = 'running'"), '%s|running|t|t|t|dev|s3://bkt/big/|8|%d|%d' % (n, self.size, session.pid))
        other = dict(user='other', password='Other12345')
        self.assertEqual(s.sqlv('select count(*) from stv_load_state', **other), '0')
        self.assertEqual(s.sqlv("select count(*) from sys_load_history", **other), '0')
        s.sqlv('create database second')
        self.assertEqual(s.sqlv('select count(*) from stv_load_state', database='second'), '1')  # the cluster's
        self.assertEqual(s.sqlv('select count(*) from sys_load_history', database='second'), '0')
        s.sqlv('drop database second')
        self.gate.release()
        self.assertIn('160000 record(s)', session.answer())
        self.assertEqual(s.sqlv("select status, loaded_rows, duration = round(extract(epoch from end_time - start_time) * 1000000) from sys_load_history where query_id = " + n), 'completed|160000|t')
        self.assertEqual(s.sqlv('select count(*) from stv_load_state'), '0')
        session.close()

    def test_rejects_are_counted_beyond_those_kept(self):
        s = self.s
        s.write('bad', 'x\n' * 250000)
        self.accepted(s.aws('s3 cp bad s3://bkt/bad'))
        session = Session(s)
        self.gate.hold(350000)
        session.send("COPY t FROM 's3://bkt/bad' IAM_ROLE '%s' IGNOREALLERRORS" % self.role)
        self.gate.wait_held()
        within(60, lambda: int(s.sqlv("select coalesce(max(error_count), 0) from sys_load_history where status = 'running'")) > 100000)
        self.gate.release()
        self.assertIn('250000 record(s) could not be loaded', session.answer())
        session.close()

    def test_loads(self):
        self.refused(self.s.sql("COPY t FROM 's3://bkt/none' IAM_ROLE '%s'" % self.role), "The specified S3 prefix 'none' does not exist")
        session = self.begin()
        with open(self.out, 'wb') as f:
            watch = self.watch(f)
        at = r'[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}  #[0-9]+  dev\.t  '
        running = at + r'\[#+\.+\] +[0-9]+%  8[0-9]{2}\.[0-9] kB of [56]\.[0-9] MB, [01] of 8 files, [0-9,]+ rows, [0-9.]+ s  s3://bkt/big/[0-7]  \(awsuser\)$'
        completed = at + r'completed  [56]\.[0-9] MB, 8 files, 160,000 rows, [0-9.]+ s  s3://bkt/big/  \(awsuser\)$'
        lines = self.loads()
        self.assertRegex(lines[-1], '^' + running)
        self.assertRegex(lines[-2], '^' + at + r"failed     0 B, 0 files, 0 rows, [0-9.]+ s  The specified S3 prefix 'none' does not exist  \(awsuser\)$")
        self.assertEqual(len(self.loads('--last', '1')), 2)
        within(30, lambda: re.search(running, self.watched(), re.M))
        self.gate.release()
        session.answer()
        within(30, lambda: re.search(completed, self.watched(), re.M))
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.communicate(timeout=30)[1], '')
        self.assertNotIn('\033', self.watched())
        self.assertRegex(self.loads()[-1], '^' + completed)
        session.close()

    def watch(self, out):
        """ended by SIGINT, which a shell's background job would have it ignore"""
        return subprocess.Popen([SEALIFT, 'loads', '--watch', '--data', self.s.data], env=self.s.env, stdout=out, stderr=subprocess.PIPE, text=True,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def watched(self):
        with open(self.out) as f:
            return f.read()

    def test_watch_on_a_terminal(self):
        session = self.begin()
        near, far = pty.openpty()
        watch = self.watch(far)
        os.close(far)
        seen = bytearray()

        def shows(*texts):
            if select.select([near], [], [], 0)[0]:
                seen.extend(os.read(near, 65536))
            return all(x in seen for x in texts)
        within(30, lambda: shows(b'[##', b'\033[J'))
        self.gate.release()
        session.answer()
        within(30, lambda: shows(b'160,000 rows'))
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=30)
        os.close(near)
        session.close()

    def test_verb(self):
        s = self.s
        self.assertIn('--watch', self.accepted(s.run([SEALIFT, 'loads', '--help'])))
        self.assertIn('loads', self.accepted(s.run([SEALIFT, 'help'])))
        for bad in (['--last', 'x'], ['--last', '-1'], ['now'], ['--follow']):
            self.refused(s.run([SEALIFT, 'loads', '--data', s.data, *bad]), 'sealift: ')
        # A database that isn't open to all: the others are shown.
        s.sqlv('create database closed')
        s.sqlv('revoke connect on database closed from public')
        self.assertIn('database closed: permission denied for database "closed"', s.run([SEALIFT, 'loads', '--data', s.data]).err)
        s.sqlv('drop database closed')
        s.down()
        self.refused(s.run([SEALIFT, 'loads', '--data', s.data]), 'Sealift is not up on')
        s.up()
