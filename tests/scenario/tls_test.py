"""Certificates in service: renewed without a restart or a lost connection; a constrained CA; what kms.db holds of secrets."""
import glob
import http.client
import os
import re
import socket
import ssl
import struct
import subprocess
import time

from harness import SEALIFT, SealiftTest, allow


class Tls(SealiftTest):
    options = ('--host', 'box.example.org')

    def context(self):
        return ssl.create_default_context(cafile=self.s.env['AWS_CA_BUNDLE'])

    def https(self):
        """an open connection to the HTTPS port, its server certificate in .sock"""
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

    def ask(self, c):
        c.request('GET', '/')
        r = c.getresponse()
        r.read()
        return r.status

    def test_renewed_in_service(self):
        s = self.s
        pids = s.pids()
        ca = open(s.env['AWS_CA_BUNDLE']).read()
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
        self.assertEqual(open(s.env['AWS_CA_BUNDLE']).read(), ca)
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
        raw = b''.join(open(p, 'rb').read() for p in glob.glob(s.data + '/kms/kms.db*'))
        self.assertIn(b'CERTIFICATE', raw)  # the marker: what is public is found
        self.assertIn(env['AWS_ACCESS_KEY_ID'].encode(), raw)
        for secret in (b'PRIVATE KEY', env['AWS_SECRET_ACCESS_KEY'].encode(), s.env['AWS_SECRET_ACCESS_KEY'].encode()):
            self.assertNotIn(secret, raw)
        # P-256 keys in DER: SEC1's and PKCS#8's beginning.
        for der in (bytes.fromhex('30770201010420'), bytes.fromhex('308187020100301306072a8648ce3d0201')):
            self.assertNotIn(der, raw)
