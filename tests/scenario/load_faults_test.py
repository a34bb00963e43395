"""Loads that something cuts off in their middle: the table is as before, the error is clear, nothing is left behind, and the next load works."""
import json
import os
import random
import signal
import time

from harness import SEALIFT, SealiftTest, allow, children, within
from midload import Gate
from sessions import Session

FILES, ROWS = 24, 12000
AFTER = 400000  # bytes that pass before a load is held: more than a listing, less than any of its halves
TRIES_S = 5  # of S3's reads, where nothing comes: the setting below


class LoadFaults(SealiftTest):
    options = ('--ephemeral',)

    @classmethod
    def prepare(cls):
        s = cls.s
        assert s.aws('s3 mb s3://bkt').code == 0
        cls.key = s.awsj('kms create-key')['KeyMetadata']['Arn']
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        folder = os.path.join(s.work, 'big')
        os.mkdir(folder)
        rnd = random.Random(1)
        for i in range(FILES):  # nothing that compresses
            s.write('big/%02d' % i, ''.join('%d|%s\n' % (n, '%030x' % rnd.getrandbits(120)) for n in range(ROWS)))
        r = s.aws(['s3', 'cp', '--recursive', '--only-show-errors', folder, 's3://bkt/big/', '--sse', 'aws:kms', '--sse-kms-key-id', cls.key])
        assert r.code == 0, r
        s.write('small', '1|x\n2|y\n')
        assert s.aws('s3 cp small s3://bkt/small').code == 0
        s.sqlv("create table t (a integer, b varchar(40)); insert into t values (-1, 'before')")
        with open(os.path.join(s.data, 'pg/postgresql.auto.conf'), 'a') as f:
            f.write("sealift.s3_stall_timeout = '%ds'\n" % TRIES_S)
        cls.gate = Gate(s)

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()
        super().tearDownClass()

    def setUp(self):
        self.before, self.key_files = self.table(), self.keys()
        self.sessions = []

    def tearDown(self):
        self.gate.release()
        for session in self.sessions:
            session.close()

    # -- what there is ----------------------------------------------------------------------------------------------------

    def table(self):
        return self.s.sqlv('select count(*), sum(a), min(b), max(b) from t')

    def keys(self):
        return sorted(name for _, _, names in os.walk(os.path.join(self.s.data, 'warehouse')) for name in names if len(name) == 32)

    def children(self):
        return children(self.s.pids()['postgres'])

    def threads(self):
        """of all processes of the warehouse, beyond one each"""
        out = 0
        for pid in self.children():
            try:
                out += len(os.listdir('/proc/%d/task' % pid)) - 1
            except OSError:
                pass
        return out

    def descriptors(self, pid):
        """what the process has open, but for the relations' files that PostgreSQL keeps; root alone may look"""
        if os.geteuid() != 0:
            return []
        open_now = (os.readlink('/proc/%d/fd/%s' % (pid, fd)).split(':')[0] for fd in os.listdir('/proc/%d/fd' % pid))
        return sorted(path for path in open_now if '/pg/base/' not in path and '/pg/global/' not in path)

    # -- a load in its middle ---------------------------------------------------------------------------------------------

    def statement(self, key='big/', auth=None):
        return "COPY t FROM 's3://bkt/%s' %s" % (key, auth or "IAM_ROLE '%s'" % self.role)

    def session(self):
        session = Session(self.s)
        self.sessions.append(session)
        session("select count(*) from t; %s; delete from t where a in (1, 2)" % self.statement('small'))  # what a session opens once is open
        return session

    def held(self, before='', auth=None):
        """a session whose load stands still in the middle"""
        session = self.session()
        self.fds = self.descriptors(session.pid)
        self.gate.hold(AFTER)
        session.send(before + self.statement(auth=auth))
        self.gate.wait_held()
        within(60, lambda: self.s.sqlv('select count(*) from stv_load_state where bytes_loaded > 0 and session = %d' % session.pid) == '1')
        self.assertGreater(self.threads(), 0)
        return session

    def unharmed(self, session=None, why=''):
        """as before, with nothing left; and the next load works"""
        self.gate.release()
        within(90, lambda: self.s.sql('select 1').code == 0)
        self.assertEqual(self.table(), self.before)
        within(10, lambda: self.threads() == 0, 'threads')
        self.assertEqual(self.s.sqlv('select count(*) from stv_load_state'), '0')
        self.assertEqual(self.keys(), self.key_files)
        self.assertEqual(os.listdir(os.readlink(os.path.join(self.s.data, 'pg/base/pgsql_tmp'))), [])
        if session is not None:
            self.assertEqual(self.descriptors(session.pid), self.fds)
            n = session('select pg_last_copy_id()')
            self.assertEqual(session('select pg_last_copy_count()'), '0')
            within(30, lambda: self.s.sqlv('select status, loaded_rows from sys_load_history where query_id = ' + n) == 'aborted|0', 'the record of the load')
            self.assertIn(why, self.accepted(self.s.run([SEALIFT, 'loads', '--data', self.s.data])))
        self.accepted(self.s.sql('%s; select count(*) from t where a in (1, 2)' % self.statement('small')))
        self.s.sqlv('delete from t where a in (1, 2)')
        self.assertEqual(self.table(), self.before)

    # -- what cuts it off -------------------------------------------------------------------------------------------------

    def test_cancelled_by_another_session(self):
        session = self.held()
        begun = time.time()
        self.assertEqual(self.s.sqlv('select pg_cancel_backend(%d)' % session.pid), 't')
        self.assertIn('ERROR:  57014: canceling statement due to user request', session.answer())
        self.assertLess(time.time() - begun, 10)
        self.unharmed(session, 'canceling statement due to user request')

    def test_cancelled_by_the_protocol(self):
        session = self.held()
        session.interrupt()
        self.assertIn('ERROR:  57014: canceling statement due to user request', session.answer())
        self.unharmed()

    def test_statement_timeout(self):
        session = self.session()
        self.fds = self.descriptors(session.pid)
        self.gate.hold(AFTER)
        self.assertIn('ERROR:  57014: canceling statement due to statement timeout', session("set statement_timeout = '3s'; " + self.statement()))
        session('reset statement_timeout')
        self.unharmed(session, 'canceling statement due to statement timeout')

    def test_terminated(self):
        session = self.held()
        self.s.sqlv('select pg_terminate_backend(%d)' % session.pid)
        self.assertIn('FATAL:  57P01: terminating connection due to administrator command', session.answer())
        self.unharmed()
        within(30, lambda: self.s.sqlv('select status from sys_load_history where session_id = %d order by query_id desc limit 1' % session.pid) == 'aborted')
        self.assertIn('the session was ended', self.accepted(self.s.run([SEALIFT, 'loads', '--data', self.s.data])))

    def test_client_goes(self):
        session = self.held()
        session.p.kill()
        self.gate.release()  # the load ends, or is ended: either way whole
        session.p.wait(30)
        within(60, lambda: session.pid not in self.children())
        within(30, lambda: self.threads() == 0)
        loaded = self.table() != self.before
        self.assertEqual(self.s.sqlv('select count(*) from t'), str(int(self.before.split('|')[0]) + (FILES * ROWS if loaded else 0)))
        self.s.sqlv('delete from t where a >= 0')
        self.unharmed()

    def test_backend_killed(self):
        session = self.held()
        os.kill(session.pid, signal.SIGKILL)
        said = session.answer()
        self.assertRegex(said, 'FATAL|server closed the connection|connection to server was lost')
        self.unharmed()
        self.assertEqual(self.s.sqlv('select status, loaded_rows, trim(data_source) from sys_load_history where session_id = %d order by query_id desc limit 1' % session.pid),
                         'aborted|0|s3://bkt/big/')
        self.assertIn('the server ended during the load', self.accepted(self.s.run([SEALIFT, 'loads', '--data', self.s.data])))

    def test_backend_killed_with_a_new_table(self):
        """whose key goes, too"""
        session = self.held("begin; alter table t rename to kept; create table t (a integer, b varchar(40)); ")
        self.assertEqual(len(self.keys()), len(self.key_files) + 1)
        os.kill(session.pid, signal.SIGKILL)
        session.answer()
        within(90, lambda: self.s.sql('select 1').code == 0)
        within(60, lambda: self.keys() == self.key_files, 'the key')
        self.unharmed()

    def test_postmaster_killed(self):
        session = self.held()
        top = self.s.pids()['postgres']
        os.kill(top, signal.SIGKILL)
        self.assertRegex(session.answer(), 'FATAL|server closed the connection|connection to server was lost')
        within(30, lambda: not os.path.exists('/proc/%d' % session.pid), 'the backend of the dead postmaster')
        within(90, lambda: self.s.pids().get('postgres') not in (None, top))
        self.unharmed()

    def test_s3_killed_and_back(self):
        """reads go on from where they were"""
        session = self.held()
        os.kill(self.s.pids()['s3'], signal.SIGKILL)
        self.gate.release()
        self.assertIn("INFO:  00000: Load into table 't' completed, %d record(s) loaded successfully." % (FILES * ROWS), session.answer())
        self.assertEqual(self.s.sqlv('select count(*), count(distinct b) from t where a >= 0'), '%d|%d' % (FILES * ROWS, FILES * ROWS))
        self.s.sqlv('delete from t where a >= 0')
        self.unharmed()

    def test_s3_gone(self):
        session = self.held()
        self.gate.cut()
        said = session.answer()
        self.assertRegex(said, "ERROR:  XX000: S3CurlException: [^\n]+, CurlError [0-9]+, multiCurlError 0, CanRetry 1, UserError 0\n")
        self.assertRegex(said, '  code:      8001\n  context:   S3 key being read : s3://bkt/big/')
        self.unharmed(session)

    def test_stalled_socket(self):
        session = self.held()
        self.assertRegex(session.answer(), 'ERROR:  XX000: S3CurlException: Timeout was reached, CurlError 28, multiCurlError 0, CanRetry 1, UserError 0\n')
        self.unharmed(session)

    def test_credentials_expire(self):
        s = self.s
        user = s.new_user('loader%d' % random.randrange(1 << 30), [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        got = s.awsj('sts get-session-token --duration-seconds 900', env=user)['Credentials']
        session = self.held(auth="ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s' SESSION_TOKEN '%s'" % (got['AccessKeyId'], got['SecretAccessKey'], got['SessionToken']))
        self.accepted(s.run([SEALIFT, 'clock', '--data', s.data, '--advance', '1h']))
        self.gate.release()
        said = session.answer()
        self.assertRegex(said, 'ERROR:  XX000: S3ServiceException:The provided token has expired.,Status 400,Error ExpiredToken,')
        self.assertNotIn(got['SecretAccessKey'], said)
        self.assertNotIn(got['SessionToken'], said)
        self.accepted(s.run([SEALIFT, 'clock', '--data', s.data, '--reset']))
        self.unharmed(session)

    def test_role_session_expires(self):
        """a read that has to go on with a new request gets a new session of its role"""
        session = self.held()
        self.accepted(self.s.run([SEALIFT, 'clock', '--data', self.s.data, '--advance', '13h']))
        os.kill(self.s.pids()['s3'], signal.SIGKILL)
        try:
            self.gate.release()
            self.assertIn("INFO:  00000: Load into table 't' completed, %d record(s) loaded successfully." % (FILES * ROWS), session.answer())
        finally:
            self.accepted(self.s.run([SEALIFT, 'clock', '--data', self.s.data, '--reset']))
        self.s.sqlv('delete from t where a >= 0')
        self.unharmed()

    def test_role_session_expires_and_the_role_is_gone(self):
        session = self.held()
        self.accepted(self.s.run([SEALIFT, 'clock', '--data', self.s.data, '--advance', '13h']))
        trust = self.s.awsj('iam get-role --role-name Redshift-Loader')['Role']['AssumeRolePolicyDocument']
        nobody = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Deny', 'Principal': {'Service': 'redshift.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}
        self.accepted(self.s.aws(['iam', 'update-assume-role-policy', '--role-name', 'Redshift-Loader', '--policy-document', json.dumps(nobody)]))
        try:
            self.gate.release()
            self.assertRegex(session.answer(), 'ERROR:  42501: [^\n]*is not authorized to assume IAM Role')
        finally:
            self.accepted(self.s.aws(['iam', 'update-assume-role-policy', '--role-name', 'Redshift-Loader', '--policy-document', json.dumps(trust)]))
            self.accepted(self.s.run([SEALIFT, 'clock', '--data', self.s.data, '--reset']))
        self.unharmed(session)

    def test_key_disabled(self):
        session = self.held()
        self.accepted(self.s.aws('kms disable-key --key-id ' + self.key))
        try:
            self.gate.release()
            self.assertRegex(session.answer(), 'ERROR:  XX000: S3ServiceException:%s is disabled.,Status 400,Error KMS.DisabledException,' % self.key)
        finally:
            self.accepted(self.s.aws('kms enable-key --key-id ' + self.key))
        self.unharmed(session)

    def test_right_taken_away(self):
        session = self.held()
        self.s.put_role_policy('Redshift-Loader', [allow('s3:ListBucket')])
        try:
            self.gate.release()
            self.assertRegex(session.answer(), 'ERROR:  XX000: S3ServiceException:[^\n]*,Status 403,Error AccessDenied,')
        finally:
            self.s.put_role_policy('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        self.unharmed(session)
