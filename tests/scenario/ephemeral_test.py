"""A throw-away instance: given access keys, further accounts; and that an ordinary one refuses them."""
import json
import os
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

from harness import SEALIFT, SOAK, Sealift, SealiftTest, allow

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


def reset(s, headers=None):
    """status and JSON answer of POST /moto-api/reset"""
    q = urllib.request.Request(s.env['AWS_ENDPOINT_URL'] + '/moto-api/reset', method='POST', headers=headers or {})
    try:
        with urllib.request.urlopen(q, context=ssl.create_default_context(cafile=s.env['AWS_CA_BUNDLE']), timeout=120) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


OK = (200, {'status': 'ok'})


class Reset(SealiftTest):
    options = ('--ephemeral',)

    def fill(self):
        """something of every kind; the ARN of a role attached to the cluster"""
        s = self.s
        key = s.awsj('kms create-key')['KeyMetadata']['KeyId']
        s.awsj(['kms', 'create-alias', '--alias-name', 'alias/k', '--target-key-id', key])
        s.awsj(['kms', 'tag-resource', '--key-id', key, '--tags', 'TagKey=a,TagValue=b'])
        role = s.put_role('loader', [allow('s3:*'), allow('kms:*')])
        s.awsj(['kms', 'create-grant', '--key-id', key, '--grantee-principal', role, '--operations', 'Decrypt'])
        self.user = s.new_user('somebody', [allow('*')])
        s.awsj('iam create-group --group-name g')
        self.accepted(s.aws('iam add-user-to-group --group-name g --user-name admin'))
        s.awsj(['iam', 'create-policy', '--policy-name', 'p', '--policy-document', json.dumps({'Version': '2012-10-17', 'Statement': [allow('*')]})])
        self.accepted(s.aws('s3 mb s3://filled'))
        self.accepted(s.aws(['s3', 'cp', s.write('o', '1\n2\n'), 's3://filled/o', '--sse', 'aws:kms', '--sse-kms-key-id', key]))
        s.awsj('s3api create-multipart-upload --bucket filled --key m')
        s.sqlv('CREATE TABLE t (a integer)')
        s.sqlv("COPY t FROM 's3://filled/o' CREDENTIALS 'aws_iam_role=%s'" % role)
        s.sqlv("CREATE USER bob PASSWORD 'Passw0rd'")
        s.sqlv('CREATE DATABASE other')
        s.sqlv('CREATE TABLE bobs (a integer)', user='bob', password='Passw0rd', database='other')
        return role

    def grants(self):
        db = sqlite3.connect('file:%s/kms/kms.db?mode=ro' % self.s.data, uri=True)
        try:
            return db.execute('SELECT count(*) FROM kms_grant').fetchone()[0]
        finally:
            db.close()

    def part_files(self):
        return [f for _, _, files in os.walk(self.s.data + '/s3/parts') for f in files]

    def check_empty(self):
        s = self.s
        self.assertEqual(s.awsj('sts get-caller-identity')['Arn'], 'arn:aws:iam::%s:user/admin' % s.account)
        self.assertEqual(s.awsj('kms list-keys')['Keys'], [])
        self.assertEqual([a for a in s.awsj('kms list-aliases')['Aliases'] if not a['AliasName'].startswith('alias/aws/')], [])
        self.assertEqual([u['UserName'] for u in s.awsj('iam list-users')['Users']], ['admin'])
        self.assertEqual(s.awsj('iam list-roles')['Roles'], [])
        self.assertEqual(s.awsj('iam list-groups')['Groups'], [])
        self.assertEqual(s.awsj('iam list-groups-for-user --user-name admin')['Groups'], [])
        self.assertEqual(s.awsj('iam list-policies --scope Local')['Policies'], [])
        self.assertEqual(s.awsj('iam list-attached-user-policies --user-name admin')['AttachedPolicies'][0]['PolicyName'], 'AdministratorAccess')
        self.assertEqual(len(s.awsj('iam list-access-keys --user-name admin')['AccessKeyMetadata']), 1)
        self.assertEqual(s.awsj('redshift describe-clusters')['Clusters'][0]['IamRoles'], [])
        self.assertEqual(s.awsj('s3api list-buckets')['Buckets'], [])
        self.assertEqual(self.part_files(), [])
        self.assertEqual(self.grants(), 0)
        self.assertEqual(s.sqlv("SELECT datname FROM pg_database WHERE datname NOT LIKE 'template_' ORDER BY 1"), 'dev\nsealift')
        self.assertEqual(s.sqlv("SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' ORDER BY 1"), 'awsuser\nsealift\nsealift_admin\nsealift_gateway\nsealift_standby')
        self.assertEqual(s.sqlv("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"), '0')

    def test_all_is_emptied(self):
        s = self.s
        self.assertEqual(reset(s), OK)
        self.fill()
        self.assertNotEqual(self.part_files(), [])
        self.assertEqual(self.grants(), 1)
        # What a test may have done to the admins of both kinds.
        s.awsj('iam create-access-key --user-name admin')
        self.accepted(s.aws('iam attach-user-policy --user-name admin --policy-arn arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess'))
        s.sqlv("ALTER USER awsuser PASSWORD 'An0therOne'")
        self.accepted(s.run([SEALIFT, 'clock', '--data', s.data, '--advance', '30d']))
        self.assertEqual(reset(s), OK)
        self.assertEqual(len(s.awsj('iam list-attached-user-policies --user-name admin')['AttachedPolicies']), 1)
        self.check_empty()
        self.refused(s.aws('kms list-keys', self.user), 'UnrecognizedClientException')
        out = self.accepted(s.run([SEALIFT, 'clock', '--data', s.data]))
        self.assertEqual(out.split()[1][:13], out.split()[3][:13])
        self.fill()  # all works again, under the same names
        self.assertEqual(s.sqlv('SELECT sum(a) FROM t'), '3')
        self.assertEqual(reset(s), OK)
        self.check_empty()
        s.down()
        s.up()
        self.check_empty()

    def test_refused(self):
        s = self.s
        self.accepted(s.aws('s3 mb s3://stays'))
        for origin in ('https://example.com', 'null', ''):
            self.assertEqual(reset(s, {'Origin': origin}), (403, {'status': 'refused'}))
        self.accepted(s.aws('s3 rb s3://stays'))

    def test_sessions_end(self):
        s = self.s
        p = subprocess.Popen(['psql', '-X', '-q', '-c', 'SELECT pg_sleep(60)'], env=s.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while s.sqlv("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'") == '0':
            time.sleep(0.05)
        begun = time.time()
        self.assertEqual(reset(s), OK)
        self.assertIn('terminating connection', p.communicate(timeout=30)[0])
        self.assertLess(time.time() - begun, 30)

    def test_other_accounts_stay(self):
        s = self.s
        out = self.accepted(s.run([SEALIFT, 'account', 'add', '222233334444', '--data', s.data]))
        env = dict(line[len('export '):].replace("'", '').split('=', 1) for line in out.splitlines())
        s.awsj('kms create-key', env)
        self.assertEqual(reset(s), OK)
        self.assertEqual(s.awsj('kms list-keys', env)['Keys'], [])

    def test_many(self):
        s = self.s
        begun, n = time.time(), 300 if SOAK else 10
        for _ in range(n):
            self.assertEqual(reset(s), OK)
        self.assertLess((time.time() - begun) / n, 2)
        self.check_empty()

    def client(self, service):
        config = botocore.config.Config(retries={'max_attempts': 0}, s3={'addressing_style': 'path'})
        return boto3.client(service, endpoint_url=self.s.env['AWS_ENDPOINT_URL'], region_name='us-east-1', verify=self.s.env['AWS_CA_BUNDLE'],
                            aws_access_key_id=self.s.env['AWS_ACCESS_KEY_ID'], aws_secret_access_key=self.s.env['AWS_SECRET_ACCESS_KEY'], config=config)

    def test_requests_see_before_or_after(self):
        """Requests that need several parts at once, beside resets: each succeeds, or fails as on an empty instance; and once empty, it stays so."""
        s = self.s
        s3, kms = self.client('s3'), self.client('kms')
        for _ in range(20 if SOAK else 3):
            key = kms.create_key()['KeyMetadata']['KeyId']
            s3.create_bucket(Bucket='both')
            s3.put_object(Bucket='both', Key='o', Body=b'x', ServerSideEncryption='aws:kms', SSEKMSKeyId=key)
            s.sqlv('CREATE TABLE before (a integer)')
            stop, wrong, seen = threading.Event(), [], {}

            def hammer(name, call, after):
                ended = False
                while not stop.is_set():
                    try:
                        call()
                        result = 'before'
                    except botocore.exceptions.ClientError as e:
                        result = e.response['Error']['Code']
                    if result not in ('before', after) or (result == 'before' and ended):
                        wrong.append((name, result, ended))
                    ended = ended or result == after
                    seen.setdefault(name, set()).add(result)

            def put():
                s3.put_object(Bucket='both', Key='n', Body=b'y', ServerSideEncryption='aws:kms', SSEKMSKeyId=key)

            def login():
                r = s.sql('SELECT count(*) FROM before')
                if r.code != 0:
                    code = 'gone' if 'does not exist' in r.err and 'relation' in r.err or 'terminating connection' in r.err else r.err
                    raise botocore.exceptions.ClientError({'Error': {'Code': code}}, 'login')

            threads = [threading.Thread(target=hammer, args=a) for a in (
                ('put', put, 'NoSuchBucket'),
                ('get', lambda: s3.get_object(Bucket='both', Key='o')['Body'].read(), 'NoSuchBucket'),
                ('encrypt', lambda: kms.encrypt(KeyId=key, Plaintext=b'p'), 'NotFoundException'),
                ('login', login, 'gone'))]
            for t in threads:
                t.start()
            begun = time.time()
            while time.time() - begun < 60 and len(seen) < 4:
                time.sleep(0.02)
            self.assertEqual(reset(s), OK)
            while time.time() - begun < 120 and any(len(v) < 2 for v in seen.values()):
                time.sleep(0.02)
            stop.set()
            for t in threads:
                t.join(60)
            self.assertEqual(wrong, [], s.logs())
            self.assertEqual({n: len(v) for n, v in seen.items()}, {'put': 2, 'get': 2, 'encrypt': 2, 'login': 2}, seen)


class Ordinary(SealiftTest):
    def test_reset_is_refused(self):
        s = self.s
        self.accepted(s.aws('s3 mb s3://stays'))
        s.sqlv('CREATE TABLE stays (a integer)')
        self.assertEqual(reset(s), (403, {'status': 'refused'}))
        self.accepted(s.aws('s3 rb s3://stays'))
        s.sqlv('DROP TABLE stays')

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
