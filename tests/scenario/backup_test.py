"""The key store's backup: drilled, altered, restored on a machine that has nothing else; old ciphertexts and copied objects open there."""
import base64
import json
import os
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../faults'))

from harness import SEALIFT, Sealift, SealiftTest  # noqa: E402
from instance import Clients  # noqa: E402

WORD = 'correct horse battery'


class Backup(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        for name, word in (('word', WORD), ('bad', 'not the passphrase'), ('root', 'another passphrase')):
            os.chmod(s.write(name, word + '\n'), 0o600)
        cls.keys = [s.awsj('kms create-key')['KeyMetadata']['KeyId'] for _ in range(3)]
        cls.blobs = [cls.encrypted(k) for k in cls.keys[:2]]
        client = Clients(s, s.work + '/ca.pem')
        client.call('RotateKeyOnDemand', KeyId=cls.keys[0])
        client.forget()
        cls.blobs.append(cls.encrypted(cls.keys[0]))
        assert s.aws(['kms', 'disable-key', '--key-id', cls.keys[2]]).code == 0
        assert s.aws(['kms', 'schedule-key-deletion', '--key-id', s.awsj('kms create-key')['KeyMetadata']['KeyId']]).code == 0
        s.awsj('kms create-key --origin EXTERNAL')
        cls.material = os.urandom(32)
        cls.imported(cls.material)
        s.aws('s3 mb s3://bkt')
        cls.body = os.urandom(200000)
        s.write('body', cls.body)
        assert s.aws(['s3', 'cp', 'body', 's3://bkt/kms', '--sse', 'aws:kms', '--sse-kms-key-id', cls.keys[0]]).code == 0
        assert s.aws(['s3', 'cp', 'body', 's3://bkt/s3']).code == 0
        cls.file = cls.backup('up')

    @classmethod
    def encrypted(cls, key):
        s = cls.s
        return s.awsj(['kms', 'encrypt', '--key-id', key, '--plaintext', 'fileb://' + s.write('plain', 'of ' + key)])['CiphertextBlob'], 'of ' + key

    @classmethod
    def imported(cls, material):
        s = cls.s
        key = s.awsj('kms create-key --origin EXTERNAL')['KeyMetadata']['KeyId']
        p = s.awsj(['kms', 'get-parameters-for-import', '--key-id', key, '--wrapping-algorithm', 'RSAES_OAEP_SHA_256', '--wrapping-key-spec', 'RSA_2048'])
        s.write('public.der', base64.b64decode(p['PublicKey']))
        s.write('token', base64.b64decode(p['ImportToken']))
        s.write('material', material)
        assert s.run('openssl pkeyutl -encrypt -pubin -inkey public.der -keyform DER -in material -out wrapped -pkeyopt rsa_padding_mode:oaep '
                     '-pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256').code == 0
        r = s.aws(['kms', 'import-key-material', '--key-id', key, '--import-token', 'fileb://token', '--encrypted-key-material', 'fileb://wrapped',
                   '--expiration-model', 'KEY_MATERIAL_DOES_NOT_EXPIRE'])
        assert r.code == 0, r

    @classmethod
    def verb(cls, *args, env=None):
        p = subprocess.run([SEALIFT, 'keys', *args], env=dict(cls.s.base_env, **(env or {})), cwd=cls.s.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=120, start_new_session=True)
        return p.returncode, p.stdout

    @classmethod
    def backup(cls, name, *options, word='word'):
        code, out = cls.verb('backup', '--to', name, '--passphrase-file', word, '--data', cls.s.data, *options)
        assert code == 0, out
        return os.path.join(cls.s.work, name)

    def drill(self, name, word='word'):
        before = self.left()
        out = self.verb('drill', '--from', name, '--passphrase-file', word, '--data', self.s.data)
        self.assertEqual(self.left(), before)
        return out

    def left(self):
        """folders of drills, and processes of theirs"""
        found = [n for d in ('/dev/shm', os.environ.get('TMPDIR', '/tmp')) for n in os.listdir(d) if n.startswith('sealift-drill-')]
        ps = subprocess.run(['ps', '-eo', 'args'], stdout=subprocess.PIPE, text=True).stdout
        return sorted(found), 'sealift-drill-' in ps

    def events(self, name, data=None):
        p = subprocess.run([SEALIFT, 'audit', 'search', '--event', name, '--json', '--data', data or self.s.data], env=self.s.base_env, stdout=subprocess.PIPE, text=True)
        return [json.loads(line) for line in p.stdout.splitlines()]

    def test_1_drill(self):
        s = self.s
        self.assertEqual(os.stat(self.file).st_mode & 0o7777, 0o600)
        self.assertEqual([n for n in os.listdir(s.data + '/kms') if n.startswith('backup')], [])
        code, out = self.drill('up')
        self.assertEqual(code, 0, out)
        db = subprocess.run(['/usr/bin/python3', '-c', 'import sqlite3, sys; d = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True)\n'
                             'print(d.execute("select count(*) from kms_key").fetchone()[0])', s.data + '/kms/kms.db'], stdout=subprocess.PIPE, text=True)
        n = int(db.stdout)
        self.assertIn('keys         %d of %d genuine and usable, ' % (n, n), out)
        materials = int(out.split('usable, ')[1].split()[0])
        self.assertEqual(materials, n)  # one has none, one has two
        for line in ('database     1 of 1 sound', 'access keys  1 of 1 open', 'audit heads  1 of 1 signed by this store', 'verdict      the backup restores'):
            self.assertIn(line, out)
        made, drilled = self.events('BackupKeyStore'), self.events('DrillKeyStore')
        self.assertEqual(len(made), 1)
        self.assertEqual([e.get('errorCode') for e in drilled], [None])
        self.assertEqual(drilled[0]['requestParameters'], made[0]['requestParameters'])

    def test_2_holds_no_secret(self):
        s = self.s
        with open(self.file, 'rb') as f:
            data = f.read()
        with open(os.path.join(os.path.dirname(self.root_key()), 'client.json')) as f:
            client = json.load(f)
        with open(self.root_key(), 'rb') as f:
            root = f.read()
        self.assertIn(s.account.encode(), data)  # the search finds what is there
        for what in (self.material, root, WORD.encode(), client['secretAccessKey'].encode(), client['masterPassword'].encode(), client['accessKeyId'].encode(),
                     self.keys[0].encode(), b'SQLite format', b'PRIVATE KEY', b'"Statement"'):
            self.assertNotIn(what, data)

    def root_key(self):
        r = subprocess.run(['find', self.s.work + '/config', '-name', 'root.key'], stdout=subprocess.PIPE, text=True)
        return r.stdout.split()[0]

    def test_3_altered(self):
        """each part's bytes through the command; every byte and every cut in tests/unit/cli/backup_file_test.c"""
        with open(self.file, 'rb') as f:
            whole = f.read()
        domain = whole.index(b'SLDOMAIN')
        body = domain + 8 + 2 + 32 + 3 + 12 + 48 + 32
        self.assertEqual(self.drill('up', 'bad')[0], 1)
        self.assertIn('the passphrase does not open it', self.drill('up', 'bad')[1])
        flips = {0: 'not a backup', 8: 'version', 12: 'its header was altered', 25: 'its header was altered', 55: 'not well-formed',
                 domain - 3: 'not well-formed', domain + 3: 'not a domain key file', domain + 20: 'does not open it', domain + 70: 'does not open it',
                 body - 10: 'its header was altered', body: 'part 1 does not open', body + 70000: 'part 2 does not open', len(whole) - 1: 'does not open'}
        for at, text in flips.items():
            with self.subTest(at=at):
                self.s.write('altered', whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1:])
                code, out = self.drill('altered')
                self.assertIn(code, (1, 2))
                self.assertIn(text, out)
        for name, data in (('cut', whole[:-20000]), ('cut header', whole[:body - 5]), ('longer', whole + b'x'), ('empty', b'')):
            with self.subTest(name=name):
                self.s.write('altered', data)
                code, out = self.drill('altered')
                self.assertEqual(code, 2, out)
                self.assertNotIn('the backup restores', out)
        self.assertIn('No such file', self.drill('none')[1])
        self.assertTrue(any(e.get('errorCode') for e in self.events('DrillKeyStore')))

    def test_4_refusals(self):
        s = self.s
        os.chmod(s.write('short', 'short\n'), 0o600)
        code, out = self.verb('backup', '--to', 'x', '--passphrase-file', 'short', '--data', s.data)
        self.assertIn('at least 8 bytes', out)
        self.assertEqual((code, os.path.exists(s.work + '/x')), (1, False))
        self.assertIn('needs a passphrase', self.verb('backup', '--to', 'x', '--data', s.data)[1])
        self.assertIn('--to FILE is missing', self.verb('backup', '--data', s.data)[1])
        self.assertIn('--data DIR is missing', self.verb('restore', '--from', 'up', '--passphrase-file', 'word')[1])
        code, out = self.verb('restore', '--from', 'up', '--passphrase-file', 'word', '--data', s.data)
        self.assertIn('is not empty', out)
        self.assertEqual(self.verb('backup', '--to', 'none/x', '--passphrase-file', 'word', '--data', s.data)[0], 1)
        self.assertEqual([n for n in os.listdir(s.data + '/kms') if n.startswith('backup')], [])
        self.accepted(s.aws('kms list-keys'))
        # what opens the instance is needed for its backup
        root = self.root_key()
        os.rename(root, root + '.away')
        try:
            self.assertEqual(self.verb('backup', '--to', 'x', '--passphrase-file', 'word', '--data', s.data)[0], 1)
        finally:
            os.rename(root + '.away', root)
        self.assertFalse(os.path.exists(s.work + '/x'))

    def test_5_restore(self):
        """as on a new machine: no root key, no credentials; once under a passphrase, once under a file of one's choice, from a stopped instance"""
        s = self.s
        s.down()
        self.backup('down')
        code, out = self.drill('down')
        self.assertEqual(code, 0, out)
        old, config = s.data, s.base_env['XDG_CONFIG_HOME']
        for i, (root, name, options) in enumerate((('passphrase', 'up', ['--passphrase-file', 'root']), ('file:%s/my.key' % s.work, 'down', ['--root-key', s.work + '/my.key']))):
            s.base_env['XDG_CONFIG_HOME'] = s.work + '/config%d' % i
            s.data = s.work + '/r%d' % i
            self.assertEqual(self.verb('restore', '--from', name, '--data', s.data, '--passphrase-file', 'bad', '--root', root, '--root-passphrase-file', 'root')[0], 1)
            self.assertEqual(os.listdir(s.data), [])
            self.assertIn('must not lie under', self.verb('restore', '--from', name, '--data', s.data, '--passphrase-file', 'word', '--root', 'file:' + s.data + '/k')[1])
            self.assertEqual(os.listdir(s.data), [])
            code, out = self.verb('restore', '--from', name, '--data', s.data, '--passphrase-file', 'word', '--root', root, '--root-passphrase-file', 'root')
            self.assertEqual(code, 0, out)
            shutil.rmtree(s.data + '/s3')
            subprocess.run(['cp', '-a', old + '/s3', s.data + '/s3'], check=True)
            s.options = [o if not o.startswith('root') else s.work + '/' + o for o in options]
            s.up()
            for blob, text in self.blobs:
                s.write('blob', base64.b64decode(blob))
                self.assertEqual(base64.b64decode(s.awsj(['kms', 'decrypt', '--ciphertext-blob', 'fileb://blob'])['Plaintext']).decode(), text)
            self.refused(s.aws(['kms', 'encrypt', '--key-id', self.keys[2], '--plaintext', 'fileb://plain']), 'DisabledException')
            for key in ('kms', 's3'):
                self.accepted(s.aws('s3 cp s3://bkt/%s back' % key))
                with open(s.work + '/back', 'rb') as f:
                    self.assertEqual(f.read(), self.body)
            self.assertEqual(s.sqlv('select 1'), '1')  # with the master user's password of old
            self.assertEqual([e.get('errorCode') for e in self.events('RestoreKeyStore', s.data)], [None])
            s.down()
        s.data, s.base_env['XDG_CONFIG_HOME'], s.options = old, config, []

    def test_6_killed(self):
        """a backup that is killed leaves no file under its name, and the next one works; kms's snapshot goes at the next start"""
        s = self.s
        for i in range(3):
            p = subprocess.Popen([SEALIFT, 'keys', 'backup', '--to', 'killed', '--passphrase-file', 'word', '--data', s.data], env=s.base_env, cwd=s.work,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.time() + 60
            while i and p.poll() is None and not os.path.exists(s.data + '/kms/backup.db') and time.time() < deadline:
                time.sleep(0.001)
            p.kill()
            p.wait()
            if os.path.exists(s.work + '/killed'):
                self.assertEqual(self.drill('killed')[0], 0)
                os.unlink(s.work + '/killed')
        self.backup('killed')
        self.assertEqual(self.drill('killed')[0], 0)
        s.up()
        self.assertEqual([n for n in os.listdir(s.data + '/kms') if n.startswith('backup')], [])


class WordNeeded(unittest.TestCase):
    def test_root_is_a_passphrase(self):
        s = Sealift()
        self.addCleanup(s.close)
        for name, word in (('word', WORD), ('root', 'another passphrase')):
            os.chmod(s.write(name, word + '\n'), 0o600)
        s.options = ['--root', 'passphrase', '--passphrase-file', s.work + '/root']
        s.up()

        def backup(*options):
            p = subprocess.run([SEALIFT, 'keys', 'backup', '--to', s.work + '/b', '--data', s.data, '--passphrase-file', s.work + '/word', *options], env=s.base_env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, start_new_session=True)
            return p.returncode, p.stdout
        self.assertIn('the root key needs a passphrase', backup()[1])
        self.assertEqual(backup('--root-passphrase-file', s.work + '/word')[0], 1)
        self.assertFalse(os.path.exists(s.work + '/b'))
        code, out = backup('--root-passphrase-file', s.work + '/root')
        self.assertEqual(code, 0, out)
        self.assertEqual(s.aws('kms list-keys').code, 0)


if __name__ == '__main__':
    unittest.main()
