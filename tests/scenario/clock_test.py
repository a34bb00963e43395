"""The clock of an ephemeral instance: deletion, expiry, dates and conditions follow it; signatures and the audit log keep real time."""
import base64
import datetime
import glob
import json
import os
import re
import sqlite3
import time

from harness import SEALIFT, SealiftTest, allow

DAY = 86400


class Clock(SealiftTest):
    options = ('--ephemeral',)

    def clock(self, *options):
        """service's clock and real clock, epoch seconds"""
        out = self.accepted(self.s.run([SEALIFT, 'clock', '--data', self.s.data, *options]))
        m = re.fullmatch(r'clock  (\S+)Z\nreal   (\S+)Z\n', out)
        self.assertIsNotNone(m, out)
        return [datetime.datetime.fromisoformat(t + '+00:00').timestamp() for t in m.groups()]

    def ahead(self, *options):
        now, real = self.clock(*options)
        self.assertLess(abs(real - time.time()), 30)
        return now - real

    def tearDown(self):
        self.assertEqual(self.ahead('--reset'), 0)

    def rows(self, sql, *args):
        db = sqlite3.connect('file:%s/kms/kms.db?mode=ro' % self.s.data, uri=True)
        try:
            return db.execute(sql, args).fetchall()
        finally:
            db.close()

    def test_verb(self):
        s = self.s
        self.assertEqual(self.ahead(), 0)
        for text, seconds in (('1s', 1), ('2m', 120), ('3h', 3 * 3600), ('4d', 4 * DAY), ('1w', 7 * DAY)):
            self.assertEqual(self.ahead('--advance', text), seconds)
            self.ahead('--reset')
        self.ahead('--advance', '1d')
        self.assertEqual(self.ahead('--advance', '1d'), 2 * DAY)
        self.assertLess(abs(self.clock('--set', '2031-05-06T07:08:09Z')[0] - 1935817689), 1)
        self.assertLess(self.ahead('--set', '2001-01-01T00:00:00Z'), -20 * 365 * DAY)
        for bad in (['--advance', '30'], ['--advance', 'd'], ['--advance', '-1d'], ['--advance', '1y'], ['--advance', '999999999999999999999w'],
                    ['--advance', '900000d'], ['--set', 'tomorrow'], ['--set', '3000-01-01T00:00:00Z'], ['--set', '2031-02-30T00:00:00Z'],
                    ['--reset', '--advance', '1d'], ['--back'], ['now']):
            with self.subTest(bad):
                self.refused(s.run([SEALIFT, 'clock', '--data', s.data] + bad), 'sealift: ')
        self.assertLess(self.ahead(), -20 * 365 * DAY)  # refusals moved nothing

    def test_deletion(self):
        s = self.s
        key = s.awsj('kms create-key')['KeyMetadata']['KeyId']
        s.awsj(['kms', 'schedule-key-deletion', '--key-id', key, '--pending-window-in-days', '7'])
        self.ahead('--advance', '6d')
        self.assertEqual(s.awsj(['kms', 'describe-key', '--key-id', key])['KeyMetadata']['KeyState'], 'PendingDeletion')
        self.assertEqual(len(self.rows('SELECT id FROM kms_key WHERE id = ?', key)), 1)
        self.ahead('--advance', '25h')
        self.assertEqual(self.rows('SELECT id FROM kms_key WHERE id = ?', key), [])  # done, not only due
        self.refused(s.aws(['kms', 'describe-key', '--key-id', key]), 'NotFoundException')
        self.ahead('--reset')
        self.refused(s.aws(['kms', 'describe-key', '--key-id', key]), 'NotFoundException')

    def test_rotation(self):
        s = self.s
        key = s.awsj('kms create-key')['KeyMetadata']['KeyId']
        blob = s.awsj(['kms', 'encrypt', '--key-id', key, '--plaintext', 'fileb://' + s.write('p', 'before')])['CiphertextBlob']
        self.accepted(s.aws(['kms', 'enable-key-rotation', '--key-id', key]))
        rotations = lambda: self.rows('SELECT count(*) FROM kms_rotation WHERE key_id = ? AND at_ms > 0', key)[0][0]
        for days, want in (('364d', 0), ('2d', 1), ('366d', 2)):
            self.ahead('--advance', days)
            self.assertEqual(rotations(), want)
        self.assertEqual(base64.b64decode(s.awsj(['kms', 'decrypt', '--ciphertext-blob', 'fileb://' + s.write('b', base64.b64decode(blob))])['Plaintext']),
                         b'before')

    def test_import_expires(self):
        s = self.s
        key = s.awsj('kms create-key --origin EXTERNAL')['KeyMetadata']['KeyId']
        p = s.awsj(['kms', 'get-parameters-for-import', '--key-id', key, '--wrapping-algorithm', 'RSAES_OAEP_SHA_256', '--wrapping-key-spec', 'RSA_2048'])
        s.write('public.der', base64.b64decode(p['PublicKey']))
        s.write('token', base64.b64decode(p['ImportToken']))
        s.write('material', os.urandom(32))
        self.accepted(s.run('openssl pkeyutl -encrypt -pubin -inkey public.der -keyform DER -in material -out wrapped -pkeyopt rsa_padding_mode:oaep '
                            '-pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256'))
        end = int(time.time()) + 3 * DAY
        self.accepted(s.aws(['kms', 'import-key-material', '--key-id', key, '--import-token', 'fileb://token', '--encrypted-key-material', 'fileb://wrapped',
                             '--valid-to', str(end), '--expiration-model', 'KEY_MATERIAL_EXPIRES']))
        self.ahead('--advance', '2d')
        self.assertEqual(s.awsj(['kms', 'describe-key', '--key-id', key])['KeyMetadata']['KeyState'], 'Enabled')
        self.ahead('--advance', '2d')
        self.assertEqual(s.awsj(['kms', 'describe-key', '--key-id', key])['KeyMetadata']['KeyState'], 'PendingImport')
        self.ahead('--reset')  # the material is gone: no clock brings it back
        self.assertEqual(s.awsj(['kms', 'describe-key', '--key-id', key])['KeyMetadata']['KeyState'], 'PendingImport')

    def test_import_token_expires(self):
        s = self.s
        key = s.awsj('kms create-key --origin EXTERNAL')['KeyMetadata']['KeyId']
        p = s.awsj(['kms', 'get-parameters-for-import', '--key-id', key, '--wrapping-algorithm', 'RSAES_OAEP_SHA_256', '--wrapping-key-spec', 'RSA_2048'])
        s.write('token', base64.b64decode(p['ImportToken']))
        s.write('wrapped', os.urandom(256))
        self.ahead('--advance', '25h')
        self.refused(s.aws(['kms', 'import-key-material', '--key-id', key, '--import-token', 'fileb://token', '--encrypted-key-material', 'fileb://wrapped',
                            '--expiration-model', 'KEY_MATERIAL_DOES_NOT_EXPIRE']), 'ExpiredImportTokenException')

    def test_sessions(self):
        s = self.s
        c = s.awsj('sts get-session-token --duration-seconds 900')['Credentials']
        env = {'AWS_ACCESS_KEY_ID': c['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': c['SecretAccessKey'], 'AWS_SESSION_TOKEN': c['SessionToken']}
        s.awsj('kms list-keys', env)
        self.accepted(s.aws('s3 ls', env))
        self.ahead('--advance', '14m')
        s.awsj('kms list-keys', env)
        self.ahead('--advance', '2m')
        self.refused(s.aws('kms list-keys', env), 'ExpiredToken')
        self.refused(s.aws('s3 ls', env), 'ExpiredToken')
        # New ones live from the moved clock on.
        c = s.awsj('sts get-session-token --duration-seconds 900')['Credentials']
        self.assertGreater(datetime.datetime.fromisoformat(c['Expiration'].replace('Z', '+00:00')).timestamp(), time.time() + 1500)

    def test_current_time(self):
        s = self.s
        late = dict(allow('kms:ListKeys'), Condition={'DateGreaterThan': {'aws:CurrentTime': '2040-01-01T00:00:00Z'}})
        early = dict(allow('kms:ListAliases'), Condition={'NumericLessThan': {'aws:EpochTime': '2208988800'}})
        env = s.new_user('timed', [late, early])
        self.refused(s.aws('kms list-keys', env), 'AccessDenied')
        s.awsj('kms list-aliases', env)
        self.clock('--set', '2041-01-01T00:00:00Z')
        s.awsj('kms list-keys', env)
        self.refused(s.aws('kms list-aliases', env), 'AccessDenied')

    def test_dates_audit_and_s3(self):
        s = self.s
        before = time.time()
        self.clock('--set', '2035-06-01T00:00:00Z')
        key = s.awsj('kms create-key')['KeyMetadata']
        made = key['CreationDate']  # clients differ: a number or a text
        made = datetime.datetime.fromtimestamp(made, datetime.timezone.utc).isoformat() if isinstance(made, (int, float)) else made
        self.assertTrue(made.startswith('2035-06-01'), made)
        self.assertTrue(s.awsj('iam create-role --role-name dated --assume-role-policy-document ' + s.json_file('trust', {
            'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': s.account}, 'Action': 'sts:AssumeRole'}]}))
            ['Role']['CreateDate'].startswith('2035-06-01'))
        self.accepted(s.aws('s3 mb s3://clock'))
        self.accepted(s.aws(['s3', 'cp', s.write('o', 'x'), 's3://clock/o']))
        modified = s.awsj('s3api head-object --bucket clock --key o')['LastModified']
        self.assertNotIn('2035', modified)
        text = b''.join(open(p, 'rb').read() for p in glob.glob(s.data + '/kms/audit/*'))
        made = [m for m in re.findall(rb'"eventTime":"([^"]+)"[^\n]*?"eventName":"CreateKey"[^\n]*', text)]
        self.assertTrue(made)
        when = datetime.datetime.fromisoformat(made[-1].decode().replace('Z', '+00:00')).timestamp()
        self.assertTrue(before - 2 <= when <= time.time() + 1, made[-1])

    def test_restart_keeps_the_clock(self):
        s = self.s
        self.assertEqual(self.ahead('--advance', '30d'), 30 * DAY)
        s.down()
        self.refused(s.run([SEALIFT, 'clock', '--data', s.data]), 'not up')
        s.up()
        self.assertEqual(self.ahead(), 30 * DAY)
        s.awsj('kms list-keys')  # signatures and TLS keep real time

    def test_copy_under_a_moved_clock(self):
        s = self.s
        role = s.put_role('loader', [allow('s3:*'), allow('kms:*')])
        s.aws('s3 mb s3://clockload')
        self.accepted(s.aws(['s3', 'cp', s.write('rows', '1\n2\n'), 's3://clockload/rows']))
        s.sqlv('CREATE TABLE t (a integer)')
        for options in (('--advance', '400d'), ('--set', '2010-01-01T00:00:00Z')):
            self.ahead(*options)
            s.sqlv("COPY t FROM 's3://clockload/rows' CREDENTIALS 'aws_iam_role=%s'" % role)
        self.assertEqual(s.sqlv('SELECT count(*) FROM t'), '4')


class Ordinary(SealiftTest):
    def test_refused(self):
        s = self.s
        for options in ([], ['--advance', '30d'], ['--set', '2031-05-06T07:08:09Z'], ['--reset']):
            self.refused(s.run([SEALIFT, 'clock', '--data', s.data] + options), 'ephemeral instance only')
        self.accepted(s.run([SEALIFT, 'clock', '--help']))
