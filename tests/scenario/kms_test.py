"""KMS as its clients use it, over TLS: grants, rotation, states, other accounts, managed keys; with boto3 and aws."""
import json
import shlex
import ssl
import time
import urllib.error
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from harness import ACCOUNT, SEALIFT, SealiftTest, allow

OTHER = '222222222222'
DAY = 86400


class Kms(SealiftTest):
    options = ('--ephemeral',)

    @classmethod
    def prepare(cls):
        s = cls.s
        cls.admin = cls.client(s.env)
        r = s.run([SEALIFT, 'account', 'add', OTHER, '--data', s.data])
        assert r.code == 0, r
        cls.other = cls.client(dict(shlex.split(line)[1].split('=', 1) for line in r.out.splitlines()))

    @classmethod
    def client(cls, env, service='kms'):
        made = boto3.client(service, endpoint_url=cls.s.env['AWS_ENDPOINT_URL'], region_name='us-east-1', verify=cls.s.env['AWS_CA_BUNDLE'],
                            aws_access_key_id=env['AWS_ACCESS_KEY_ID'], aws_secret_access_key=env['AWS_SECRET_ACCESS_KEY'],
                            aws_session_token=env.get('AWS_SESSION_TOKEN'), config=Config(retries={'max_attempts': 0}))
        cls.addClassCleanup(made._endpoint.http_session.close)
        return made

    def user(self, name, *statements):
        return self.client(self.s.new_user(name, list(statements)))

    def key(self, **kw):
        return self.admin.create_key(**kw)['KeyMetadata']['Arn']

    def fails(self, code, call, **kw):
        with self.assertRaises(ClientError) as got:
            call(**kw)
        self.assertEqual(got.exception.response['Error']['Code'], code, got.exception)
        self.assertEqual(got.exception.response['ResponseMetadata']['HTTPStatusCode'], 400)
        return got.exception.response['Error']['Message']

    def call(self, operation, **body):
        """what an old boto3 does not know: (status, answer)"""
        env = self.s.env
        r = AWSRequest('POST', env['AWS_ENDPOINT_URL'] + '/', data=json.dumps(body),
                       headers={'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': 'TrentService.' + operation})
        SigV4Auth(Credentials(env['AWS_ACCESS_KEY_ID'], env['AWS_SECRET_ACCESS_KEY']), 'kms', 'us-east-1').add_auth(r)
        sent = urllib.request.Request(r.url, r.data.encode(), dict(r.headers))
        try:
            with urllib.request.urlopen(sent, context=ssl.create_default_context(cafile=env['AWS_CA_BUNDLE']), timeout=60) as got:
                text = got.read()
                return got.status, json.loads(text) if text else {}
        except urllib.error.HTTPError as e:
            with e:
                return e.code, json.loads(e.read())

    def answer(self, operation, **body):
        status, answer = self.call(operation, **body)
        self.assertEqual(status, 200, answer)
        return answer

    def clock(self, *options):
        self.accepted(self.s.run([SEALIFT, 'clock', '--data', self.s.data, *options]))
        self.addCleanup(self.s.run, [SEALIFT, 'clock', '--data', self.s.data, '--reset'])

    # -- grants

    def test_grant(self):
        ann, key = self.user('ann'), self.key()
        context = {'App': 'loads'}
        use = {'KeyId': key, 'KeySpec': 'AES_256', 'EncryptionContext': context}
        self.fails('AccessDeniedException', ann.generate_data_key, **use)
        made = self.admin.create_grant(KeyId=key, GranteePrincipal='arn:aws:iam::%s:user/ann' % ACCOUNT, Name='loads',
                                       Operations=['GenerateDataKey', 'Decrypt', 'RetireGrant'],
                                       Constraints={'EncryptionContextSubset': context})
        data = ann.generate_data_key(GrantTokens=[made['GrantToken']], **use)
        self.assertEqual(ann.decrypt(CiphertextBlob=data['CiphertextBlob'], EncryptionContext=context)['Plaintext'], data['Plaintext'])
        self.fails('AccessDeniedException', ann.generate_data_key, KeyId=key, KeySpec='AES_256', EncryptionContext={'App': 'other'})
        self.fails('AccessDeniedException', ann.encrypt, KeyId=key, Plaintext=b'x', EncryptionContext=context)
        message = self.fails('InvalidGrantTokenException', ann.generate_data_key, GrantTokens=['bm8='], **use)
        self.assertEqual(message, 'Invalid grant token')
        status, answer = self.call('GenerateDataKey', DryRun=True, **use)
        self.assertEqual((status, answer['__type'].split('#')[-1]), (400, 'DryRunOperationException'))
        [grant] = self.admin.list_grants(KeyId=key)['Grants']
        self.assertEqual((grant['GrantId'], grant['KeyId'], grant['Name'], grant['Constraints']),
                         (made['GrantId'], key, 'loads', {'EncryptionContextSubset': context}))
        self.assertEqual(sorted(grant['Operations']), ['Decrypt', 'GenerateDataKey', 'RetireGrant'])
        self.assertEqual(grant['IssuingAccount'], 'arn:aws:iam::%s:root' % ACCOUNT)
        self.assertLess(abs(grant['CreationDate'].timestamp() - time.time()), 600)
        ann.retire_grant(GrantToken=made['GrantToken'])
        self.fails('AccessDeniedException', ann.generate_data_key, **use)
        self.assertEqual(self.admin.list_grants(KeyId=key)['Grants'], [])

    def test_grant_of_a_role(self):
        """A role's session uses a grant of the role, through S3 too; kms:ViaService of the deny still counts."""
        s, key = self.s, self.key()
        s.put_role('worker', [allow(['s3:GetObject', 's3:PutObject'])], attach=False,
                   trust={'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': ACCOUNT}, 'Action': 'sts:AssumeRole'}]})
        c = self.client(s.env, 'sts').assume_role(RoleArn='arn:aws:iam::%s:role/worker' % ACCOUNT, RoleSessionName='one')['Credentials']
        env = {'AWS_ACCESS_KEY_ID': c['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': c['SecretAccessKey'], 'AWS_SESSION_TOKEN': c['SessionToken']}
        s3, admin_s3 = self.client(env, 's3'), self.client(s.env, 's3')
        admin_s3.create_bucket(Bucket='grants')
        put = {'Bucket': 'grants', 'Key': 'k', 'Body': b'v', 'ServerSideEncryption': 'aws:kms', 'SSEKMSKeyId': key}
        with self.assertRaises(ClientError) as got:
            s3.put_object(**put)
        self.assertEqual(got.exception.response['Error']['Code'], 'AccessDenied')
        grant = self.admin.create_grant(KeyId=key, GranteePrincipal='arn:aws:iam::%s:role/worker' % ACCOUNT,
                                        Operations=['GenerateDataKey', 'Decrypt'])
        s3.put_object(**put)
        self.assertEqual(s3.get_object(Bucket='grants', Key='k')['Body'].read(), b'v')
        self.client(env).generate_data_key(KeyId=key, NumberOfBytes=16)
        s.put_role_policy('worker', [allow(['s3:GetObject']), {
            'Effect': 'Deny', 'Action': 'kms:Decrypt', 'Resource': '*',
            'Condition': {'StringEquals': {'kms:ViaService': 's3.us-east-1.amazonaws.com'}}}])
        with self.assertRaises(ClientError) as got:
            s3.get_object(Bucket='grants', Key='k')
        self.assertEqual(got.exception.response['Error']['Code'], 'AccessDenied')
        s.put_role_policy('worker', [allow(['s3:GetObject'])])
        self.assertEqual(s3.get_object(Bucket='grants', Key='k')['Body'].read(), b'v')
        self.admin.revoke_grant(KeyId=key, GrantId=grant['GrantId'])
        with self.assertRaises(ClientError):
            s3.get_object(Bucket='grants', Key='k')

    def test_grant_ends_with_the_user(self):
        """A user made anew under the name has nothing of the old one's."""
        key, name = self.key(), 'twice'
        first = self.user(name)
        self.admin.create_grant(KeyId=key, GranteePrincipal='arn:aws:iam::%s:user/twice' % ACCOUNT, Operations=['Encrypt'])
        first.encrypt(KeyId=key, Plaintext=b'x')
        iam = self.client(self.s.env, 'iam')
        for k in iam.list_access_keys(UserName=name)['AccessKeyMetadata']:
            iam.delete_access_key(UserName=name, AccessKeyId=k['AccessKeyId'])
        iam.delete_user(UserName=name)
        self.fails('AccessDeniedException', self.user(name).encrypt, KeyId=key, Plaintext=b'x')

    def test_grants_pages(self):
        key = self.key()
        want = {self.admin.create_grant(KeyId=key, GranteePrincipal='arn:aws:iam::%s:user/admin' % ACCOUNT, Operations=['Encrypt'],
                                        RetiringPrincipal='arn:aws:iam::%s:root' % ACCOUNT)['GrantId'] for _ in range(7)}
        for call, kw in ((self.admin.list_grants, {'KeyId': key}), (self.admin.list_retirable_grants, {'RetiringPrincipal': 'arn:aws:iam::%s:root' % ACCOUNT})):
            seen, marker = [], {}
            while marker is not None:
                page = call(Limit=3, **kw, **marker)
                self.assertLessEqual(len(page['Grants']), 3)
                seen += [g['GrantId'] for g in page['Grants']]
                self.assertEqual(page['Truncated'], 'NextMarker' in page)
                marker = {'Marker': page['NextMarker']} if page['Truncated'] else None
            self.assertEqual((set(seen), len(seen)), (want, 7))
            self.fails('InvalidMarkerException', call, Marker='x', **kw)

    # -- other accounts

    def test_other_account(self):
        key = self.key()
        uid = key.split('/')[1]
        self.fails('AccessDeniedException', self.other.describe_key, KeyId=key)
        self.admin.put_key_policy(KeyId=uid, PolicyName='default', Policy=json.dumps({'Version': '2012-10-17', 'Statement': [
            {'Effect': 'Allow', 'Principal': {'AWS': [ACCOUNT, OTHER]}, 'Action': 'kms:*', 'Resource': '*'}]}))
        self.assertEqual(self.other.describe_key(KeyId=key)['KeyMetadata']['AWSAccountId'], ACCOUNT)
        self.assertFalse(self.other.get_key_rotation_status(KeyId=key)['KeyRotationEnabled'])
        blob = self.other.encrypt(KeyId=key, Plaintext=b'x')['CiphertextBlob']
        self.assertEqual(self.other.decrypt(CiphertextBlob=blob)['Plaintext'], b'x')
        mine = self.other.create_key()['KeyMetadata']['Arn']
        again = self.other.re_encrypt(CiphertextBlob=blob, DestinationKeyId=mine)
        self.assertEqual((again['SourceKeyId'], again['KeyId']), (key, mine))
        grant = self.other.create_grant(KeyId=key, GranteePrincipal='arn:aws:iam::%s:user/admin' % OTHER, Operations=['Decrypt'])
        [listed] = self.other.list_grants(KeyId=key)['Grants']
        self.assertEqual(listed['IssuingAccount'], 'arn:aws:iam::%s:root' % OTHER)
        self.other.retire_grant(KeyId=key, GrantId=grant['GrantId'])
        for call in ('disable_key', 'enable_key_rotation', 'list_resource_tags', 'schedule_key_deletion', 'list_key_policies'):
            self.fails('AccessDeniedException', getattr(self.other, call), KeyId=key)
        self.fails('NotFoundException', self.other.describe_key, KeyId=uid)
        self.admin.create_alias(AliasName='alias/shared', TargetKeyId=uid)
        arn = 'arn:aws:kms:us-east-1:%s:alias/shared' % ACCOUNT
        self.assertEqual(self.other.describe_key(KeyId=arn)['KeyMetadata']['Arn'], key)
        self.other.encrypt(KeyId=arn, Plaintext=b'x')
        self.fails('NotFoundException', self.other.describe_key, KeyId='alias/shared')

    # -- rotation and states

    def test_rotation(self):
        key = self.key()
        first = self.answer('DescribeKey', KeyId=key)['KeyMetadata']['CurrentKeyMaterialId']
        blob = self.admin.encrypt(KeyId=key, Plaintext=b'before')['CiphertextBlob']
        self.answer('EnableKeyRotation', KeyId=key, RotationPeriodInDays=90)
        status = self.answer('GetKeyRotationStatus', KeyId=key)
        self.assertEqual((status['KeyRotationEnabled'], status['RotationPeriodInDays'], status['KeyId']), (True, 90, key))
        self.assertLess(abs(status['NextRotationDate'] - time.time() - 90 * DAY), 600)
        self.clock('--advance', '89d')
        self.assertEqual(self.answer('ListKeyRotations', KeyId=key)['Rotations'], [])
        self.clock('--advance', '2d')
        [done] = self.answer('ListKeyRotations', KeyId=key)['Rotations']
        self.assertEqual((done['RotationType'], done['KeyMaterialState']), ('AUTOMATIC', 'CURRENT'))
        self.answer('RotateKeyOnDemand', KeyId=key)
        self.assertEqual([r['RotationType'] for r in self.answer('ListKeyRotations', KeyId=key)['Rotations']], ['AUTOMATIC', 'ON_DEMAND'])
        self.assertEqual(self.admin.decrypt(CiphertextBlob=blob)['Plaintext'], b'before')
        self.assertNotEqual(done['KeyMaterialId'], first)
        self.admin.schedule_key_deletion(KeyId=self.key(), PendingWindowInDays=7)
        self.clock('--advance', '8d')
        found = self.accepted(self.s.run([SEALIFT, 'audit', 'search', '--json', '--data', self.s.data]))
        events = [json.loads(line) for line in found.splitlines() if '"AwsServiceEvent"' in line]
        self.assertIn(('RotateKey', key), [(e['eventName'], e['resources'][0]['ARN']) for e in events])
        self.assertIn('DeleteKey', [e['eventName'] for e in events])
        self.admin.disable_key_rotation(KeyId=key)
        self.assertEqual(self.admin.get_key_rotation_status(KeyId=key)['KeyRotationEnabled'], False)

    def test_states(self):
        key = self.key()
        self.admin.disable_key(KeyId=key)
        self.assertEqual(self.fails('DisabledException', self.admin.encrypt, KeyId=key, Plaintext=b'x'), key + ' is disabled.')
        self.fails('DisabledException', self.admin.enable_key_rotation, KeyId=key)
        self.admin.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        self.assertEqual(self.fails('KMSInvalidStateException', self.admin.encrypt, KeyId=key, Plaintext=b'x'), key + ' is pending deletion.')
        self.admin.cancel_key_deletion(KeyId=key)
        self.assertEqual(self.admin.describe_key(KeyId=key)['KeyMetadata']['KeyState'], 'Disabled')
        self.admin.enable_key(KeyId=key)
        self.admin.encrypt(KeyId=key, Plaintext=b'x')
        external = self.key(Origin='EXTERNAL')
        self.fails('KMSInvalidStateException', self.admin.encrypt, KeyId=external, Plaintext=b'x')
        self.fails('UnsupportedOperationException', self.admin.enable_key_rotation, KeyId=external)

    def test_aws(self):
        """the command line, with its own names for everything"""
        s, key = self.s, self.key()
        made = s.awsj(['kms', 'create-grant', '--key-id', key, '--grantee-principal', 'arn:aws:iam::%s:user/admin' % ACCOUNT, '--operations', 'Encrypt',
                       'Decrypt', '--constraints', 'EncryptionContextEquals={a=b}'])
        self.assertEqual(s.awsj(['kms', 'list-grants', '--key-id', key])['Grants'][0]['GrantId'], made['GrantId'])
        self.accepted(s.aws(['kms', 'revoke-grant', '--key-id', key, '--grant-id', made['GrantId']]))
        self.refused(s.aws(['kms', 'revoke-grant', '--key-id', key, '--grant-id', made['GrantId']]), 'NotFoundException', 'not found')
        self.accepted(s.aws(['kms', 'enable-key-rotation', '--key-id', key]))
        self.assertTrue(s.awsj(['kms', 'get-key-rotation-status', '--key-id', key])['KeyRotationEnabled'])
        self.refused(s.aws(['kms', 'create-grant', '--key-id', key, '--grantee-principal', 'arn:aws:iam::%s:user/nobody' % ACCOUNT,
                            '--operations', 'Encrypt']), 'InvalidArnException', 'ARN does not refer to a valid principal')

    # -- the keys of AWS

    def test_managed_keys(self):
        for service in ('s3', 'redshift'):
            with self.subTest(service):
                name = 'alias/aws/' + service
                meta = self.admin.describe_key(KeyId=name)['KeyMetadata']
                self.assertEqual((meta['KeyManager'], meta['AWSAccountId']), ('AWS', ACCOUNT))
                self.assertEqual(self.admin.describe_key(KeyId=name)['KeyMetadata']['Arn'], meta['Arn'])
                policy = json.loads(self.admin.get_key_policy(KeyId=meta['KeyId'], PolicyName='default')['Policy'])
                self.assertEqual(policy['Statement'][0]['Condition'], {'StringEquals': {
                    'kms:CallerAccount': ACCOUNT, 'kms:ViaService': service + '.us-east-1.amazonaws.com'}})
                self.assertTrue(self.admin.get_key_rotation_status(KeyId=meta['KeyId'])['KeyRotationEnabled'])
                self.fails('AccessDeniedException', self.admin.encrypt, KeyId=name, Plaintext=b'x')
                self.fails('AccessDeniedException', self.admin.disable_key, KeyId=meta['KeyId'])
                self.fails('NotAuthorizedException', self.admin.delete_alias, AliasName=name)
        self.assertNotEqual(self.other.describe_key(KeyId='alias/aws/s3')['KeyMetadata']['Arn'],
                            self.admin.describe_key(KeyId='alias/aws/s3')['KeyMetadata']['Arn'])
        self.fails('NotFoundException', self.admin.describe_key, KeyId='alias/aws/nothing')
