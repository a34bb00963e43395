"""A throw-away instance: given access keys, further accounts; and that an ordinary one refuses them."""
import os
import subprocess
import tempfile

from harness import SEALIFT, Sealift, SealiftTest

GIVEN = ('AKIAGIVENGIVENGIVEN1', 'a-secret-of-the-callers-choice')


def key_env(key, secret):
    return {'AWS_ACCESS_KEY_ID': key, 'AWS_SECRET_ACCESS_KEY': secret}


class Ephemeral(SealiftTest):
    options = ('--ephemeral', '--access-key', GIVEN[0], '--secret-key', GIVEN[1])

    def test_given_access_keys(self):
        s = self.s
        self.assertEqual(s.env['AWS_ACCESS_KEY_ID'], GIVEN[0])
        self.assertEqual(s.awsj('sts get-caller-identity', key_env(*GIVEN))['Arn'], 'arn:aws:iam::%s:user/admin' % s.account)
        other = key_env('AKIAOTHEROTHEROTHER1', 'another/secret')
        add = [SEALIFT, 'account', 'add', '111122223333', '--data', s.data]
        self.accepted(s.run(add + ['--access-key', other['AWS_ACCESS_KEY_ID'], '--secret-key', other['AWS_SECRET_ACCESS_KEY']]))
        self.assertEqual(s.awsj('sts get-caller-identity', other)['Account'], '111122223333')
        self.refused(s.run(add), 'exists')
        self.refused(s.run(add + ['--access-key', 'AKIAOTHEROTHEROTHER2']), 'go together')

    def test_loopback_only(self):
        with tempfile.TemporaryDirectory() as d:
            self.refused(self.s.run([SEALIFT, 'up', '--ephemeral', '--listen', '0.0.0.0', '--data', d + '/d']), '127.0.0.1 only')


class Ordinary(SealiftTest):
    def test_accounts(self):
        s = self.s
        add = [SEALIFT, 'account', 'add', '111122223333', '--data', s.data]
        out = self.accepted(s.run(add))
        env = dict(line[len('export '):].replace("'", '').split('=', 1) for line in out.splitlines())
        self.assertEqual(s.awsj('sts get-caller-identity', env)['Arn'], 'arn:aws:iam::111122223333:user/admin')
        key = s.awsj('kms create-key')['KeyMetadata']['Arn']
        self.refused(s.aws(['kms', 'describe-key', '--key-id', key], env), 'AccessDenied')
        self.assertEqual(s.awsj('kms list-keys', env)['Keys'], [])
        self.refused(s.run([SEALIFT, 'account', 'add', '12', '--data', s.data]), '12 digits')
        self.refused(s.run(add + ['--access-key', 'AKIAGIVENGIVENGIVEN1', '--secret-key', 'x']), 'ephemeral instance only')
        self.refused(s.run([SEALIFT, 'account']), 'usage')
        self.accepted(s.run([SEALIFT, 'account', '--help']))

    def test_given_keys_are_refused(self):
        with tempfile.TemporaryDirectory() as d:
            self.refused(self.s.run([SEALIFT, 'up', '--access-key', 'AKIAGIVENGIVENGIVEN1', '--secret-key', 'x', '--data', d + '/d']), '--ephemeral only')

    def test_admin_socket_is_closed_to_others(self):
        s = self.s
        if os.geteuid() != 0:
            return self.assertEqual(os.stat(s.data + '/run/admin.sock').st_mode & 0o777, 0o600)
        code = 'import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])'
        r = subprocess.run(['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '/usr/bin/python3', '-c', code, s.data + '/run/admin.sock'],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn('PermissionError', r.stderr)
