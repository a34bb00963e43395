"""up, env, status, down; restart of a dead child; kill -9 of everything; two instances; an ordinary user; who may open what."""
import json
import os
import pwd
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import boto3
import botocore.config
import botocore.exceptions

from harness import SANITIZED, SEALIFT, Sealift, SealiftTest, alive, within


class CutOff(unittest.TestCase):
    def test_half_made_warehouse(self):
        """a first start that a power cut ended left its folder, not yet PostgreSQL's own"""
        s = Sealift()
        self.addCleanup(s.close)
        os.makedirs(os.path.join(s.data, 'pg.new'), 0o700)
        s.up()
        self.assertEqual(s.sqlv('select 1'), '1')


class Processes(SealiftTest):
    def test_1_status_and_second_up(self):
        s = self.s
        r = s.run([SEALIFT, 'status', '--data', s.data])
        self.accepted(r)
        for word in ('keyholder', 'kms', 's3', 'gateway', 'postgres', 'isolated'):
            self.assertIn(word, r.out)
        self.refused(s.run([SEALIFT, 'up', '--data', s.data]), 'already up', 'hint')
        self.refused(s.run([SEALIFT, 'up', '--data', s.data + '/x', '--root-key', s.data + '/x/root.key', '--port', '0', '--sql-port', '0']), 'must not lie under the data directory')
        self.refused(s.run([SEALIFT, 'nonsense']), 'no verb')
        self.refused(s.run([SEALIFT, 'env', '--data', s.work + '/none']), 'no Sealift instance', 'sealift up')

    def test_1_options(self):
        s = self.s
        verbs = [line.split()[0] for line in self.accepted(s.run([SEALIFT, '--help'])).splitlines() if line.startswith('  ')]
        words = {'account': ['account add'], 'audit': ['audit', 'audit verify', 'audit head', 'audit search'], 'tls': ['tls', 'tls renew'],
                 'keys': ['keys', 'keys root', 'keys backup', 'keys restore', 'keys drill'], 'warehouse': ['warehouse', 'warehouse check', 'warehouse standby', 'warehouse promote'], 'help': []}
        for text in [w for v in verbs for w in words.get(v, [v])]:
            with self.subTest(verb=text):
                self.assertIn('usage: ', self.accepted(s.run([SEALIFT, *text.split(), '--help'])))
                if text not in ('audit', 'keys', 'tls', 'warehouse'):
                    self.refused(s.run([SEALIFT, *text.split(), '--nonsense']), 'usage: ')
                    self.refused(s.run([SEALIFT, *text.split(), '--data', '/' + 5000 * 'x']), 'path too long')

    def test_2_dead_children_come_back(self):
        s = self.s
        key = s.awsj('kms create-key')['KeyMetadata']['KeyId']
        s.sqlv('create table if not exists kept (a int); insert into kept values (1)')
        for name in ('s3', 'gateway', 'kms', 'keyholder', 'postgres'):
            with self.subTest(name=name):
                old = s.pids()[name]
                os.kill(old, signal.SIGKILL)

                def back():
                    now = s.pids()
                    return now.get(name, old) != old and s.aws('s3 ls').code == 0 and s.sql('select 1').code == 0
                within(60, back)
                self.assertIn(key, [k['KeyId'] for k in s.awsj('kms list-keys')['Keys']])
                self.assertEqual(s.sqlv('select count(*) from kept'), '1')

    def test_2a_calls_under_way_when_kms_or_the_keyholder_dies(self):
        """every call that was under way is answered or its connection ends, and all goes on"""
        s = self.s
        key = s.awsj('kms create-key')['KeyMetadata']['KeyId']
        access = dict(endpoint_url=s.env['AWS_ENDPOINT_URL'], region_name='us-east-1', verify=s.env['AWS_CA_BUNDLE'],
                      aws_access_key_id=s.env['AWS_ACCESS_KEY_ID'], aws_secret_access_key=s.env['AWS_SECRET_ACCESS_KEY'])
        config = botocore.config.Config(retries={'max_attempts': 0}, connect_timeout=10, read_timeout=30)
        clients = [boto3.client('kms', config=config, **access) for _ in range(6)]
        stop, ok, failed, odd = threading.Event(), [], [], []

        def client(kms):
            while not stop.is_set():
                begun = time.time()
                try:
                    kms.generate_data_key(KeyId=key, KeySpec='AES_256')
                    ok.append(time.time())
                except botocore.exceptions.ClientError as e:
                    status = e.response['ResponseMetadata']['HTTPStatusCode']
                    (failed if status in (500, 502, 503, 504) else odd).append(repr(e))
                    time.sleep(0.05)
                except (botocore.exceptions.ConnectionClosedError, botocore.exceptions.EndpointConnectionError) as e:
                    failed.append(repr(e))
                    time.sleep(0.05)
                except Exception as e:
                    odd.append(repr(e))
                if time.time() - begun > 20:
                    odd.append('a call took %.0f s' % (time.time() - begun))

        threads = [threading.Thread(target=client, args=(c,)) for c in clients]
        for t in threads:
            t.start()
        for name in ('kms', 'keyholder', 'kms'):
            time.sleep(1)
            os.kill(s.pids()[name], signal.SIGKILL)
            killed = time.time()
            within(60, lambda: len([x for x in ok if x > killed + 0.5]) > 6)
        stop.set()
        for t in threads:
            t.join()
        self.assertEqual(odd, [])
        self.assertTrue(failed)

    def test_2b_logs_are_bounded(self):
        """a log that grew too long moves on while its process writes"""
        log = os.path.join(self.s.data, 'log/s3.log')
        with open(log, 'ab') as f:
            f.write((b'x' * 1023 + b'\n') * (17 << 10))
        deadline = time.time() + 30
        while os.path.getsize(log) > 1 << 20 and time.time() < deadline:
            time.sleep(0.1)
        self.assertLess(os.path.getsize(log), 1 << 20)
        self.assertGreater(os.path.getsize(log + '.1'), 16 << 20)

    def test_3_kill_everything(self):
        s = self.s
        for _ in range(2):
            s.aws('s3 mb s3://bkt')
            s.write('x', 'hello')
            self.accepted(s.aws('s3 cp x s3://bkt/x --sse aws:kms'))
            s.kill_all()
            s.up()
            self.assertEqual(self.accepted(s.aws('s3 cp s3://bkt/x -')), 'hello')

    def test_3b_supervisor_alone_killed(self):
        """its children end by themselves, and a start right behind it waits for them"""
        s = self.s
        pids = s.pids()
        os.kill(pids['supervisor'], signal.SIGKILL)
        s.up()
        self.assertEqual(s.sqlv('select 1'), '1')
        within(60, lambda: not any(alive(p) for p in pids.values()))

    def test_4_down_and_up(self):
        s = self.s
        pids = list(s.pids().values())
        self.accepted(s.run([SEALIFT, 'down', '--data', s.data]))
        self.assertEqual([p for p in pids if alive(p)], [])
        self.assertEqual(s.run([SEALIFT, 'status', '--data', s.data]).code, 3)
        self.accepted(s.run([SEALIFT, 'down', '--data', s.data]))
        s.up()
        self.assertEqual(s.sqlv('select 1'), '1')

    def test_5_two_side_by_side(self):
        other = Sealift(account='111122223333')
        try:
            other.up()
            mine = self.s.awsj('sts get-caller-identity')
            theirs = other.awsj('sts get-caller-identity')
            self.assertEqual((mine['Account'], theirs['Account']), (self.s.account, '111122223333'))
            # a key of the one is unknown to the other
            r = self.s.aws('s3 ls', {k: other.env[k] for k in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY')})
            self.refused(r, 'InvalidAccessKeyId')
        finally:
            other.close()

    def as_process(self, name, code):
        """runs Python with a child's uid (as root) behind the same landlock: only what uids alone forbid is checked here"""
        status = open('/proc/%d/status' % self.s.pids()[name]).read()
        uid = int(status.split('Uid:')[1].split()[0])
        gid = int(status.split('Gid:')[1].split()[0])
        return subprocess.run(['/usr/bin/python3', '-c', code], user=uid, group=gid, extra_groups=[], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd='/')

    @unittest.skipUnless(os.geteuid() == 0, 'separate uids exist as root only; test_7 covers the ordinary user')
    def test_6_root_key_is_closed_to_the_others(self):
        s = self.s
        root = subprocess.run(['find', s.work + '/config', '-name', 'root.key'], stdout=subprocess.PIPE, text=True).stdout.strip()
        self.assertTrue(root)
        uids = set()
        for name in ('kms', 's3', 'gateway', 'postgres'):
            r = self.as_process(name, 'open(%r)' % root)
            self.assertIn('Permission denied', r.stdout, name)
            if name != 'kms':
                r = self.as_process(name, 'open(%r)' % (s.data + '/kms/kms.db'))
                self.assertIn('Permission denied', r.stdout, name)
            r = self.as_process(name, 'open(%r)' % (s.data + '/keys/domain'))
            self.assertIn('Permission denied', r.stdout, name)
            uids.add(open('/proc/%d/status' % s.pids()[name]).read().split('Uid:')[1].split()[0])
            # the keyholder has no named socket: none of its descriptors shows in the list of bound sockets
        self.assertEqual(len(uids), 4)
        bound = open('/proc/net/unix').read()
        self.assertNotIn('keyholder', bound)
        for name in ('keyholder', 'kms', 's3', 'gateway'):
            status = open('/proc/%d/status' % s.pids()[name]).read()
            self.assertIn('NoNewPrivs:\t1', status)
            self.assertIn('Seccomp:\t2', status)

    @unittest.skipIf(SANITIZED, 'once is enough')
    def test_7_ordinary_user(self):
        """as an ordinary user the instance works, and landlock keeps the root key from s3, gateway and postgres"""
        user = pwd.getpwnam('nobody')
        work = tempfile.mkdtemp(prefix='slu')
        os.chown(work, user.pw_uid, user.pw_gid)
        drop = dict(user=user.pw_uid, group=user.pw_gid, extra_groups=[]) if os.geteuid() == 0 else {}
        env = dict(PATH=os.environ['PATH'], HOME=work, XDG_CONFIG_HOME=work + '/config')
        binary = SEALIFT
        if drop:
            # the build folder may lie where others can't read
            subprocess.run(['cp', '-r', SEALIFT, work + '/sealift'], check=True)
            os.makedirs(work + '/extension')
            subprocess.run(['cp', os.path.join(os.path.dirname(SEALIFT), 'extension/sealift.so'), work + '/extension/'], check=True)
            subprocess.run(['chmod', '-R', 'a+rX', work + '/sealift', work + '/extension'], check=True)
            binary = work + '/sealift'
        try:
            r = subprocess.run([binary, 'up', '--detach', '--data', work + '/d', '--port', '0', '--sql-port', '0'], env=env, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, timeout=120, cwd=work, **drop)
            self.assertEqual(r.returncode, 0, r.stdout)
            r = subprocess.run([binary, 'status', '--data', work + '/d'], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=work, **drop)
            self.assertEqual(r.returncode, 0, r.stdout)
            self.assertIn('isolated', r.stdout)
            with open(work + '/d/run/status.json') as f:
                pids = {p['name']: p['pid'] for p in json.load(f)['processes']}
            for name in ('s3', 'gateway', 'kms'):
                self.assertIn('Seccomp:\t2', open('/proc/%d/status' % pids[name]).read())
        finally:
            subprocess.run([binary, 'down', '--data', work + '/d'], env=env, stdout=subprocess.DEVNULL, cwd=work, **drop)
            subprocess.run(['rm', '-rf', work])


if __name__ == '__main__':
    unittest.main()
