"""Certificates in service: renewed without a restart or a lost connection; a constrained CA; what kms.db holds of secrets."""
import glob
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time

from harness import SEALIFT, SealiftTest, allow


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def database(s):
    return b''.join(read(p) for p in glob.glob(s.data + '/kms/kms.db*'))


class Handshakes(SealiftTest):
    """what a client sees on both ports"""

    def context(self):
        return ssl.create_default_context(cafile=self.s.env['AWS_CA_BUNDLE'])

    def https(self):
        """an open connection to the HTTPS port, its certificate in .sock"""
        c = http.client.HTTPSConnection('127.0.0.1', int(self.s.env['AWS_ENDPOINT_URL'].rsplit(':', 1)[1]), context=self.context(), timeout=30)
        c.connect()
        return c

    def sql(self):
        """a TLS socket to the SQL port, before the login"""
        raw = socket.create_connection(('127.0.0.1', int(self.s.env['PGPORT'])), timeout=30)
        raw.sendall(struct.pack('>II', 8, 80877103))
        self.assertEqual(raw.recv(1), b'S')
        return self.context().wrap_socket(raw, server_hostname='localhost')

    def serials(self):
        """of new handshakes on both ports"""
        c, q = self.https(), self.sql()
        out = [self.serial(x) for x in (c.sock, q)]
        c.close()
        q.close()
        return out

    def serial(self, sock):
        return sock.getpeercert()['serialNumber']

class Tls(Handshakes):
    options = ('--host', 'box.example.org')

    def ask(self, c):
        c.request('GET', '/')
        r = c.getresponse()
        r.read()
        return r.status

    def test_renewed_in_service(self):
        s = self.s
        pids = s.pids()
        ca = read(s.env['AWS_CA_BUNDLE'])
        c = self.https()
        psql = subprocess.Popen(['psql', '-X', '-q', '-A', '-t'], env=s.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        psql.stdin.write('SELECT 1;\n')
        psql.stdin.flush()
        self.assertEqual(psql.stdout.readline(), '1\n')
        self.assertEqual(self.ask(c), 403)
        before = self.serials()
        self.assertEqual(before[0], before[1])
        self.assertEqual(self.serial(c.sock), before[0])
        for _ in range(3):
            self.accepted(s.run([SEALIFT, 'tls', 'renew', '--data', s.data]))
            begun, now = time.time(), before
            while time.time() - begun < 30 and (now[0] != now[1] or now == before):
                now = self.serials()
            self.assertEqual(now[0], now[1])
            self.assertNotEqual(now, before)
            before = now
            # The old connections go on.
            self.assertEqual(self.ask(c), 403)
            psql.stdin.write('SELECT 2;\n')
            psql.stdin.flush()
            self.assertEqual(psql.stdout.readline(), '2\n')
        self.assertNotEqual(self.serial(c.sock), before[0])
        self.assertEqual(psql.communicate()[0], '')
        self.assertEqual(psql.returncode, 0)
        c.close()
        self.assertEqual(read(s.env['AWS_CA_BUNDLE']), ca)
        self.assertEqual(s.pids(), pids)
        s.awsj('kms list-keys')
        s.down()
        s.up()
        self.assertEqual(self.serials(), before)  # kept

    def test_a_signal_alone_changes_nothing(self):
        before = self.serials()
        for name in ('s3', 'gateway'):
            os.kill(self.s.pids()[name], 1)
        time.sleep(0.2)
        self.assertEqual(self.serials(), before)

    def test_verb_refuses(self):
        s = self.s
        for args in (['tls'], ['tls', 'renwe'], ['tls', 'renew', 'now', '--data', s.data]):
            self.refused(s.run([SEALIFT] + args))
        self.refused(s.run([SEALIFT, 'tls', 'renew', '--data', s.work + '/none']))
        self.accepted(s.run([SEALIFT, 'tls', '--help']))

    def test_the_ca_is_constrained(self):
        text = self.s.run(['openssl', 'x509', '-in', self.s.env['AWS_CA_BUNDLE'], '-noout', '-text']).out
        self.assertRegex(text, r'X509v3 Name Constraints: critical\s+Permitted:')
        permitted = re.findall(r'(?:DNS|IP):(\S+)', text)
        self.assertEqual(permitted[:2], ['localhost', '127.0.0.1/255.255.255.255'])
        self.assertIn('box.example.org', permitted)
        c = self.https()
        names = sorted(v for _, v in c.sock.getpeercert()['subjectAltName'])
        c.close()
        self.assertEqual(names, sorted(['localhost', '127.0.0.1', '0:0:0:0:0:0:0:1', 'box.example.org']))

    def test_the_database_shows_no_secret(self):
        s = self.s
        env = s.new_user('kept', [allow('*')])
        role = s.put_role('r', [allow('s3:*')])
        self.assertIn(':role/r', role)
        raw = database(s)
        self.assertIn(b'CERTIFICATE', raw)  # the marker: what is public is found
        self.assertIn(env['AWS_ACCESS_KEY_ID'].encode(), raw)
        for secret in (b'PRIVATE KEY', env['AWS_SECRET_ACCESS_KEY'].encode(), s.env['AWS_SECRET_ACCESS_KEY'].encode()):
            self.assertNotIn(secret, raw)
        # P-256 keys in DER: SEC1's and PKCS#8's beginning.
        for der in (bytes.fromhex('30770201010420'), bytes.fromhex('308187020100301306072a8648ce3d0201')):
            self.assertNotIn(der, raw)


class Own(Handshakes):
    """a certificate of the administrator's own, beside the instance's"""

    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.mkdtemp(prefix='slt')
        cls.make('one', 'warehouse.example.com', 'DNS:warehouse.example.com,DNS:*.s3.example.com,DNS:localhost')
        cls.make('two', 'warehouse.example.com', 'DNS:warehouse.example.com')
        cls.put('one')
        cls.options = ('--tls-cert', cls.tmp + '/cert.pem', '--tls-key', cls.tmp + '/key.pem', '--host', 'box.example.org')
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.tmp)

    @classmethod
    def make(cls, name, cn, san, days=30):
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', str(days), '-subj', '/CN=' + cn,
                        '-keyout', '%s/%s.key' % (cls.tmp, name), '-out', '%s/%s.pem' % (cls.tmp, name)] + (['-addext', 'subjectAltName=' + san] if san else []),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    @classmethod
    def put(cls, name, key=None):
        shutil.copy('%s/%s.pem' % (cls.tmp, name), cls.tmp + '/cert.pem')
        shutil.copy('%s/%s.key' % (cls.tmp, key or name), cls.tmp + '/key.pem')

    def shown(self, host, sql=False):
        """the certificate that a client asking for this host gets (None: an address, so no name is sent), as PEM"""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        port = self.s.env['PGPORT'] if sql else self.s.env['AWS_ENDPOINT_URL'].rsplit(':', 1)[1]
        raw = socket.create_connection(('127.0.0.1', int(port)), timeout=30)
        if sql:
            raw.sendall(struct.pack('>II', 8, 80877103))
            self.assertEqual(raw.recv(1), b'S')
        with context.wrap_socket(raw, server_hostname=host) as t:
            return ssl.DER_cert_to_PEM_cert(t.getpeercert(True)).strip()

    def own(self, name):
        return read('%s/%s.pem' % (self.tmp, name)).decode().strip()

    def becomes(self, host, pem, sql=False):
        begun = time.time()
        while self.shown(host, sql) != pem:
            self.assertLess(time.time() - begun, 30)
            time.sleep(0.02)

    def test_by_name(self):
        s = self.s
        one = self.own('one')
        for sql in (False, True):
            for host in ('warehouse.example.com', 'bucket.s3.example.com'):
                self.assertEqual(self.shown(host, sql), one)
            # The instance's own names, other names and addresses keep its certificate, which its clients and COPY verify.
            for host in ('localhost', None, 'box.example.org', 'elsewhere.example.com', 's3.example.com'):
                self.assertNotEqual(self.shown(host, sql), one)
        s.awsj('kms list-keys')
        self.assertEqual(s.sqlv('SELECT 1'), '1')
        raw = database(s)
        self.assertIn(one.split('\n')[3].encode(), raw)
        self.assertNotIn(read(self.tmp + '/one.key').split(b'\n')[1], raw)

    def test_read_again(self):
        s = self.s
        supervisor = s.pids()['supervisor']
        for name, how in (('two', 'signal'), ('one', 'verb')):
            self.put(name)
            if how == 'signal':
                os.kill(supervisor, signal.SIGHUP)
            else:
                self.accepted(s.run([SEALIFT, 'tls', 'renew', '--data', s.data]))
            self.becomes('warehouse.example.com', self.own(name))
            self.becomes('warehouse.example.com', self.own(name), sql=True)
        # A pair that does not match is refused, and the old one stays.
        self.put('two', key='one')
        self.refused(s.run([SEALIFT, 'tls', 'renew', '--data', s.data]), "the private key is not the certificate's")
        os.kill(supervisor, signal.SIGHUP)
        self.put('one')
        self.assertEqual(self.shown('warehouse.example.com'), self.own('one'))
        # Without the options it is gone.
        s.down()
        options, s.options = s.options, []
        s.up()
        self.assertNotEqual(self.shown('warehouse.example.com'), self.own('one'))
        s.down()
        s.options = options
        s.up()
        self.assertEqual(self.shown('warehouse.example.com'), self.own('one'))

    def test_refused_at_the_start(self):
        self.make('nameless', 'warehouse.example.com', None)
        t = self.tmp
        with open(t + '/empty', 'w'):
            pass
        for cert, key, text in ((t + '/one.pem', t + '/two.key', "is not the certificate's"), (t + '/none.pem', t + '/one.key', "can't be opened"),
                                (t + '/one.pem', t + '/none.key', "can't be opened"), (t + '/one.key', t + '/one.key', "certificate can't be read"),
                                (t + '/one.pem', t + '/one.pem', "private key can't be read"), (t + '/one.pem', t + '/empty', 'is empty'),
                                (t + '/nameless.pem', t + '/nameless.key', 'names no host'), ('one.pem', t + '/one.key', 'absolute path')):
            with self.subTest(text):
                self.refused(self.s.run([SEALIFT, 'up', '--data', t + '/d', '--tls-cert', cert, '--tls-key', key]), text)
        self.refused(self.s.run([SEALIFT, 'up', '--data', t + '/d', '--tls-cert', t + '/one.pem']), 'go together')
