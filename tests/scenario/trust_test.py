"""The root of trust in use: file, passphrase and PKCS#11 token, moved from one to the next; sealed after a crash of the keyholder until unsealed."""
import base64
import http.client
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest
import urllib.parse

from harness import SEALIFT, Sealift, alive, within

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

    def sealed_answers(self):
        """whoever asks is told at once, in the protocol's own form, that the instance is sealed and what opens it; nobody waits for a deadline"""
        s, text = self.s, "The instance is sealed; 'sealift unseal' opens it."
        s.write('body', 'x')
        calls = {'kms list-keys': 'ServiceUnavailableException', 'kms create-key': 'ServiceUnavailableException', 'cloudtrail lookup-events': 'ServiceUnavailableException',
                 'iam list-users': 'ServiceUnavailable', 'sts get-caller-identity': 'ServiceUnavailable', 'redshift describe-clusters': 'ServiceUnavailable',
                 's3api list-buckets': 'ServiceUnavailable', 's3api put-object --bucket bkt --key k --body body': 'ServiceUnavailable',
                 's3api get-object --bucket bkt --key k out': 'ServiceUnavailable'}
        for call, code in calls.items():
            begun = time.time()
            r = s.aws(call)
            took = time.time() - begun
            self.assertIn('An error occurred (%s)' % code, r.err, call)
            self.assertIn(text, r.err, call)
            self.assertLess(took, 20, call)  # of which the client itself takes most
        for how, content in ((b'{}', {'X-Amz-Target': 'TrentService.ListKeys', 'Content-Type': 'application/x-amz-json-1.1'}),
                             (b'Action=ListUsers&Version=2010-05-08', {'Content-Type': 'application/x-www-form-urlencoded'}), (b'', {})):
            u = urllib.parse.urlsplit(s.env['AWS_ENDPOINT_URL'])
            c = http.client.HTTPSConnection(u.hostname, u.port, timeout=20, context=ssl.create_default_context(cafile=s.env['AWS_CA_BUNDLE']))
            begun = time.time()
            c.request('POST' if how else 'GET', '/' if how else '/bkt/k', how, content)
            answer = c.getresponse()
            body = answer.read().decode()
            c.close()
            self.assertLess(time.time() - begun, 5)
            self.assertEqual(answer.status, 503)
            self.assertIn('unseal', body)
            self.assertIn({'T': '"__type":"ServiceUnavailableException"', 'A': '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">', '': '<Error><Code>ServiceUnavailable'}
                          ['T' if 'X-Amz-Target' in content else 'A' if how else ''], body)
        begun = time.time()
        r = s.sql('select 1')
        self.assertLess(time.time() - begun, 20)
        self.refused(r, 'FATAL:  the instance is sealed', "HINT:  Its administrator opens it with 'sealift unseal'.")
        self.assertIn(b'C57P03\0', self.sql_refusal())

    def sql_refusal(self):
        """the message by which a startup packet is refused"""
        with socket.create_connection(('127.0.0.1', int(self.s.env['PGPORT'])), timeout=20) as c:
            c.sendall(struct.pack('>ii', 8, 80877103))
            self.assertEqual(c.recv(1), b'S')
            with ssl.create_default_context(cafile=self.s.env['AWS_CA_BUNDLE']).wrap_socket(c, server_hostname='localhost') as t:
                packet = b'user\0awsuser\0database\0dev\0\0'
                t.sendall(struct.pack('>ii', len(packet) + 8, 196608) + packet)
                return t.recv(4096)

    def refused(self, result, *texts):
        self.assertNotEqual(result.code, 0, result)
        for t in texts:
            self.assertIn(t, result.out + result.err)

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

    def wrong_word_takes_long(self):
        """while the keyholder tries a word, the supervisor restarts what ends and answers others"""
        pids = self.s.pids()
        second = None
        os.kill(pids['keyholder'], signal.SIGSTOP)
        tries = [subprocess.Popen([SEALIFT, 'unseal', '--passphrase-file', self.path('bad'), '--data', self.s.data], env=self.s.base_env, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True) for _ in range(2)]
        try:
            second = within(20, lambda: next((p for p in tries if p.poll() is not None), None), 'an answer to the second word')
            self.assertIn('another word is being tried', second.communicate()[0])
            os.kill(pids['kms'], signal.SIGKILL)
            within(20, lambda: self.s.pids().get('kms', pids['kms']) != pids['kms'], 'another kms')
        finally:
            os.kill(pids['keyholder'], signal.SIGCONT)
            said = ''.join(p.communicate(timeout=60)[0] for p in tries if p is not second)
        self.assertIn('passphrase', said)
        self.assertEqual([p.returncode for p in tries], [1, 1])

    def test_first_start_and_sealed(self):
        s = self.s
        s.options = ['--root', 'passphrase']
        with self.assertRaises(RuntimeError):
            s.up()
        s.options = ['--root', 'passphrase', '--passphrase-file', self.path('one')]
        s.up()
        blob = self.encrypted()
        self.assertIn('are open already', self.verb('unseal', '--passphrase-file', self.path('one'))[1])
        s.aws('s3 mb s3://bkt')
        session = subprocess.Popen(['psql', '-X', '-q', '-A', '-t'], env=s.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(session.communicate)
        session.stdin.write("select 'here';\n")
        session.stdin.flush()
        self.assertEqual(session.stdout.readline(), 'here\n')
        os.kill(s.pids()['keyholder'], signal.SIGKILL)
        deadline = time.time() + 180
        while not re.search('^keyholder +sealed', self.verb('status')[1], re.M):
            self.assertLess(time.time(), deadline)
            time.sleep(0.1)
        code, out = self.verb('status')
        self.assertNotEqual(code, 0)
        self.assertIn('SEALED       the keys are closed; next: sealift unseal', out)
        self.sealed_answers()
        session.stdin.write("select 'still here';\n")  # a session from before goes on
        session.stdin.flush()
        self.assertEqual(session.stdout.readline(), 'still here\n')
        self.wrong_word_takes_long()
        self.assertIn('is sealed', s.aws('kms list-keys').err)
        self.assertIn('sealed', self.verb('audit', 'head')[1])
        code, out = self.verb('unseal', '--passphrase-file', self.path('one'))
        self.assertIn('the next one is taken in', out)
        while self.verb('unseal', '--passphrase-file', self.path('one'))[0] != 0:
            self.assertLess(time.time(), deadline)
            time.sleep(0.3)
        while self.verb('status')[0] != 0:
            self.assertLess(time.time(), deadline + 60)
            time.sleep(0.2)
        self.opens(blob)
        self.assertEqual(s.sqlv('select 1'), '1')
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
