"""The root of trust in use: file, passphrase and PKCS#11 token, moved from one to the next; sealed after a crash of the keyholder until unsealed."""
import base64
import os
import re
import signal
import subprocess
import threading
import time
import unittest

from harness import SEALIFT, Sealift, alive

MODULE = '/usr/lib/softhsm/libsofthsm2.so'
PIN = '1234567'


class Trust(unittest.TestCase):
    def setUp(self):
        self.s = Sealift()
        self.addCleanup(self.s.close)
        for name, word in (('one', 'correct horse battery'), ('two', 'another passphrase'), ('pin', PIN), ('bad', 'not the passphrase')):
            os.chmod(self.s.write(name, word + '\n'), 0o600)

    def path(self, name):
        return os.path.join(self.s.work, name)

    def verb(self, *args):
        p = subprocess.run([SEALIFT, *args, '--data', self.s.data], env=self.s.base_env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=120, start_new_session=True)
        return p.returncode, p.stdout

    def moved(self, to, old=None, new=None):
        args = ['keys', 'root', '--to', to]
        args += ['--passphrase-file', self.path(old)] if old else []
        args += ['--new-passphrase-file', self.path(new)] if new else []
        return self.verb(*args)

    def up(self, word=None):
        self.s.options = ['--passphrase-file', self.path(word)] if word else []
        self.s.up()

    def refused_up(self, text, word=None):
        with self.assertRaises(RuntimeError) as e:
            self.up(word)
        self.assertIn(text, str(e.exception))

    def encrypted(self):
        key = self.s.awsj('kms create-key')['KeyMetadata']['KeyId']
        return self.s.awsj(['kms', 'encrypt', '--key-id', key, '--plaintext', 'fileb://' + self.s.write('plain', 'hello')])['CiphertextBlob']

    def opens(self, blob):
        self.s.write('blob', base64.b64decode(blob))
        self.assertEqual(self.s.awsj(['kms', 'decrypt', '--ciphertext-blob', 'fileb://blob'])['Plaintext'], 'aGVsbG8=')

    def token(self):
        os.mkdir(self.path('tokens'))
        self.s.base_env['SOFTHSM2_CONF'] = self.s.write('softhsm.conf', 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' % self.path('tokens'))
        subprocess.run(['softhsm2-util', '--init-token', '--free', '--label', 'sealift', '--so-pin', '87654321', '--pin', PIN], env=self.s.base_env, check=True,
                       stdout=subprocess.DEVNULL)
        return 'pkcs11:token=sealift;object=root?module-path=' + MODULE

    def test_moves(self):
        s, token = self.s, self.token()
        s.up()
        blob = self.encrypted()
        code, out = self.moved('passphrase', new='one')
        self.assertNotEqual(code, 0)
        self.assertIn('stop it first', out)
        s.down()
        self.assertEqual(self.verb('keys', 'root'), (0, 'file\n'))
        self.assertEqual(self.moved('passphrase', new='one')[0], 0)
        self.assertEqual(self.verb('keys', 'root'), (0, 'passphrase\n'))
        self.refused_up('needs a passphrase')
        self.refused_up('passphrase', 'bad')
        self.up('one')
        self.opens(blob)
        s.down()
        self.assertNotEqual(self.moved(token, old='bad', new='pin')[0], 0)
        self.assertNotEqual(self.moved(token, old='one', new='bad')[0], 0)
        self.assertEqual(self.verb('keys', 'root'), (0, 'passphrase\n'))
        code, out = self.moved(token, old='one', new='pin')
        self.assertEqual(code, 0, out)
        self.assertEqual(self.verb('keys', 'root'), (0, 'pkcs11\n'))
        self.refused_up('', 'one')
        self.up('pin')
        self.opens(blob)
        s.down()
        self.assertIn('must not lie under', self.moved('file:' + os.path.join(s.data, 'root.key'), old='pin')[1])
        code, out = self.moved('file:' + self.path('root.key'), old='pin')
        self.assertEqual(code, 0, out)
        self.assertIn('--root-key ' + self.path('root.key'), out)
        s.options = ['--root-key', self.path('root.key')]
        s.up()
        self.opens(blob)

    def test_root_under_data(self):
        s = self.s
        s.up()
        s.down()
        os.symlink(s.data, self.path('link'))
        os.mkdir(self.path('beside'))
        for under in (s.data + '/root.key', self.path('beside/../d/keys/../root.key'), self.path('link/root.key'), s.data + '/none/root.key'):
            self.assertIn('must not lie under', self.moved('file:' + under)[1])
            s.options = ['--root-key', under]
            with self.assertRaisesRegex(RuntimeError, 'must not lie under', msg=under):
                s.up()
        self.assertIn('a folder in it is not there', self.moved('file:' + self.path('none/../d/root.key'))[1])
        code, out = self.moved('file:' + self.path('beside/../beside/root.key'))
        self.assertEqual(code, 0, out)

    def test_one_at_a_time(self):
        """a change of root holds the instance's lock, from before it asks for its word; so do the children of a killed supervisor"""
        s = self.s
        s.up()
        s.down()
        os.mkfifo(self.path('fifo'), 0o600)
        first = subprocess.Popen([SEALIFT, 'keys', 'root', '--to', 'passphrase', '--new-passphrase-file', self.path('fifo'), '--data', s.data], env=s.base_env,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with open(self.path('fifo'), 'w') as word:  # opens once the first asks
            self.assertIn('another sealift command is at work', self.moved('passphrase', new='two')[1])
            self.refused_up('another sealift command is at work')
            word.write('correct horse battery\n')
        self.assertEqual((first.wait(60), first.stdout.read()), (0, 'The domain key is under its new root: passphrase\n'))
        first.stdout.close()
        self.up('one')
        pids = s.pids()
        os.kill(pids['kms'], signal.SIGSTOP)
        os.kill(pids['supervisor'], signal.SIGKILL)
        again = threading.Thread(target=self.up, args=('one',))
        again.start()
        again.join(2)
        self.assertTrue(again.is_alive() and alive(pids['kms']))
        os.kill(pids['kms'], signal.SIGCONT)
        again.join(60)
        self.assertEqual(self.verb('status')[0], 0)
        self.assertFalse(alive(pids['kms']))

    def test_first_start_and_sealed(self):
        s = self.s
        s.options = ['--root', 'passphrase']
        with self.assertRaises(RuntimeError):
            s.up()
        s.options = ['--root', 'passphrase', '--passphrase-file', self.path('one')]
        s.up()
        blob = self.encrypted()
        self.assertIn('are open already', self.verb('unseal', '--passphrase-file', self.path('one'))[1])
        os.kill(s.pids()['keyholder'], signal.SIGKILL)
        deadline = time.time() + 60
        while not re.search('^keyholder +sealed', self.verb('status')[1], re.M):
            self.assertLess(time.time(), deadline)
            time.sleep(0.1)
        self.assertNotEqual(self.verb('status')[0], 0)
        self.assertIn('sealed', self.verb('audit', 'head')[1])
        code, out = self.verb('unseal', '--passphrase-file', self.path('bad'))
        self.assertNotEqual(code, 0, out)
        code, out = self.verb('unseal', '--passphrase-file', self.path('one'))
        self.assertIn('the next one is taken in', out)
        while self.verb('unseal', '--passphrase-file', self.path('one'))[0] != 0:
            self.assertLess(time.time(), deadline)
            time.sleep(0.3)
        while self.verb('status')[0] != 0:
            self.assertLess(time.time(), deadline + 60)
            time.sleep(0.2)
        self.opens(blob)
        s.down()
        self.assertEqual(self.verb('audit', 'verify', '--passphrase-file', self.path('one'))[0], 0)
        self.assertEqual(self.verb('audit', 'verify', '--passphrase-file', self.path('bad'))[0], 1)
        self.assertIn('needs a passphrase', self.verb('audit', 'verify')[1])
        s.options = ['--root', 'file']
        with self.assertRaises(RuntimeError) as e:
            s.up()
        self.assertIn('--root is for the first start', str(e.exception))


if __name__ == '__main__':
    unittest.main()
