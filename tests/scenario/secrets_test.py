"""Secrets of SQL and bodies of objects are in no file under the data directory, in no log, in no view."""
import os
import secrets
import threading
import time
import unittest

from harness import SealiftTest, allow


def found(folder, needles):
    """(file, needle) of every needle in any file; whole files, so a needle can't hide at a block's edge"""
    out = []
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            try:
                if not os.path.isfile(path):
                    continue
                with open(path, 'rb') as f:
                    data = f.read()
            except OSError:
                continue
            out += [(path, n) for n in needles if n in data]
    return out


class Secrets(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        s.aws('s3 mb s3://bkt')
        s.write('rows.csv', ''.join('%d,x\n' % i for i in range(300000)))
        assert s.aws('s3 cp rows.csv s3://bkt/rows.csv').code == 0
        s.sqlv('create table t (a integer, b varchar(30))')

    def test_scanner_finds_a_planted_marker(self):
        """the scan itself can fail"""
        marker = b'planted' + secrets.token_hex(16).encode()
        path = os.path.join(self.s.data, 'planted')
        with open(path, 'wb') as f:
            f.write(b'x' * 4090 + marker)
        self.assertEqual(found(self.s.data, [marker]), [(path, marker)])
        os.unlink(path)

    def test_copy_secret(self):
        s = self.s
        env = s.new_user('loader', [allow('s3:*')])
        key, secret = env['AWS_ACCESS_KEY_ID'], env['AWS_SECRET_ACCESS_KEY']
        wrong = 'WRONG' + secrets.token_hex(20)
        token = 'TOKEN' + secrets.token_hex(40)
        good = "COPY t FROM 's3://bkt/rows.csv' ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s' DELIMITER ','" % (key, secret)
        self.accepted(s.sql(good))
        self.accepted(s.sql("COPY t FROM 's3://bkt/rows.csv' CREDENTIALS 'aws_access_key_id=%s;aws_secret_access_key=%s' DELIMITER ','" % (key, secret)))
        self.refused(s.sql(good.replace(secret, wrong)), 'SignatureDoesNotMatch')
        self.refused(s.sql("COPY t FROM 's3://bkt/rows.csv' CREDENTIALS 'aws_access_key_id=%s;aws_secret_access_key=%s;token=%s' CSV" % (key, secret, token)), 'ERROR')
        self.refused(s.sql("COPY t FROM 's3://bkt/rows.csv' ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s' SOMETHING ELSE" % (key, secret)), 'ERROR')
        self.refused(s.sql("COPY t FROM 's3://bkt/rows.csv' CREDENTIALS 'aws_access_key_id=%s;aws_secret_access_key=%s' CREDENTIALS" % (key, secret)), 'ERROR')
        self.refused(s.sql("COPY missing FROM 's3://bkt/rows.csv' ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s'" % (key, secret)), 'does not exist')
        # what other sessions see while it runs, then killed in the middle
        seen, stop = [], threading.Event()

        def watch():
            while not stop.is_set():
                seen.append(s.sql("select query from pg_stat_activity where query ilike '%copy%' and pid <> pg_backend_pid(); select statement from pg_prepared_statements").out)
        watcher = threading.Thread(target=watch)
        watcher.start()
        runner = threading.Thread(target=lambda: s.sql('begin; %s; select pg_sleep(2); rollback' % good))
        runner.start()
        time.sleep(1.5)
        stop.set()
        watcher.join()
        text = '\n'.join(seen)
        self.assertIn('sealed:1:', text, 'the watcher saw the statement')
        for x in (secret, wrong, token):
            self.assertNotIn(x, text)
        s.kill_all()
        runner.join()
        needles = [secret.encode(), wrong.encode(), token.encode()]
        self.assertEqual(found(s.data, needles), [])
        s.up()
        self.assertEqual(found(s.data, needles), [])
        password = 'Pass' + secrets.token_hex(10) + '1A'
        s.sqlv("CREATE USER someone PASSWORD '%s'" % password)
        s.sqlv("ALTER USER someone PASSWORD '%sx'" % password)
        self.assertEqual(s.sqlv('select 1', user='someone', password=password + 'x'), '1')
        self.refused(s.sql("CREATE USER someone PASSWORD '%s'" % password), 'already exists')
        self.assertEqual(found(s.data, [password.encode()]), [])

    def test_markers_in_objects(self):
        s = self.s
        marker = b'MARKER' + secrets.token_hex(24).encode()
        small = s.write('small', b'a' * 1000 + marker + b'b' * 1000)
        large = s.write('large', (marker + secrets.token_bytes(8190)) * 2500)  # 20 MB: multipart from 8 MiB on
        key = s.awsj('kms create-key')['KeyMetadata']['KeyId']
        for i, options in enumerate(('', '--sse AES256', '--sse aws:kms', '--sse aws:kms --sse-kms-key-id ' + key)):
            for name, path in (('small', small), ('large', large)):
                self.accepted(s.aws('s3 cp %s s3://bkt/m%d/%s %s' % (name, i, name, options)))
                self.accepted(s.aws('s3 cp s3://bkt/m%d/%s back' % (i, name)))
                with open(path, 'rb') as a, open(os.path.join(s.work, 'back'), 'rb') as b:
                    self.assertEqual(a.read(), b.read())
        s.aws('s3 rm s3://bkt/m0/large')
        self.assertEqual(found(s.data, [marker]), [])

    def test_keys_and_credentials(self):
        """the data directory holds neither the root key, nor admin's secret, nor the master password"""
        s = self.s
        root = [os.path.join(b, n) for b, _, names in os.walk(s.work + '/config') for n in names if n == 'root.key']
        self.assertEqual(len(root), 1)
        self.assertEqual(os.stat(root[0]).st_mode & 0o777, 0o600)
        with open(root[0], 'rb') as f:
            key = f.read()
        self.assertEqual(len(key), 32)
        needles = [key, key.hex().encode(), s.env['AWS_SECRET_ACCESS_KEY'].encode(), s.env['PGPASSWORD'].encode(), b'PRIVATE KEY']
        self.assertEqual(found(s.data, needles), [])


if __name__ == '__main__':
    unittest.main()
