"""Several accounts on one instance: what is one's own is invisible to the others, and what crosses over needs both sides. Denials explain
themselves to those who may ask; condition keys of S3, with both outcomes."""
import json
import shlex
import unittest

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

from harness import ACCOUNT, SEALIFT, SealiftTest, allow

OTHER = '222222222222'
HEADER = 'x-sealift-authorization-message'


def policy(*statements):
    return json.dumps({'Version': '2012-10-17', 'Statement': list(statements)})


def for_principal(principal, action, resource='*', effect='Allow', **condition):
    out = {'Effect': effect, 'Principal': principal, 'Action': action, 'Resource': resource}
    if condition:
        out['Condition'] = condition
    return out


class Caller:
    """boto3 clients of one identity"""

    def __init__(self, s, key, secret, token=None):
        self.s, self.keys = s, {'aws_access_key_id': key, 'aws_secret_access_key': secret, 'aws_session_token': token}

    def __getattr__(self, service):
        made = boto3.client(service, endpoint_url=self.s.env['AWS_ENDPOINT_URL'], region_name='us-east-1', verify=self.s.env['AWS_CA_BUNDLE'],
                            config=Config(retries={'max_attempts': 0}, signature_version='s3v4' if service == 's3' else None), **self.keys)
        setattr(self, service, made)
        return made


class Accounts(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        cls.a = Caller(s, s.env['AWS_ACCESS_KEY_ID'], s.env['AWS_SECRET_ACCESS_KEY'])
        r = s.run([SEALIFT, 'account', 'add', OTHER, '--data', s.data])
        assert r.code == 0, r
        env = dict(shlex.split(line)[1].split('=', 1) for line in r.out.splitlines())
        cls.b = Caller(s, env['AWS_ACCESS_KEY_ID'], env['AWS_SECRET_ACCESS_KEY'])
        cls.key = cls.a.kms.create_key()['KeyMetadata']
        cls.a.kms.create_alias(AliasName='alias/mine', TargetKeyId=cls.key['KeyId'])
        cls.a.s3.create_bucket(Bucket='bucket-a')
        cls.a.s3.put_object(Bucket='bucket-a', Key='k', Body=b'plain')
        cls.a.s3.put_object(Bucket='bucket-a', Key='sealed', Body=b'sealed', ServerSideEncryption='aws:kms', SSEKMSKeyId=cls.key['Arn'])
        cls.a.s3.put_object(Bucket='bucket-a', Key='managed', Body=b'managed', ServerSideEncryption='aws:kms')
        cls.a.iam.create_user(UserName='alice')

    def user(self, admin, name, *statements):
        admin.iam.create_user(UserName=name)
        if statements:
            admin.iam.put_user_policy(UserName=name, PolicyName='p', PolicyDocument=policy(*statements))
        k = admin.iam.create_access_key(UserName=name)['AccessKey']
        return Caller(self.s, k['AccessKeyId'], k['SecretAccessKey'])

    def denied(self, call, *texts, code=None, **kw):
        with self.assertRaises(ClientError) as e:
            call(**kw)
        r = e.exception.response
        self.assertIn(r['Error']['Code'], [code] if code else ['AccessDenied', 'AccessDeniedException'])
        for t in texts:
            self.assertIn(t, r['Error'].get('Message', ''))
        return r

    def key_policy(self, *statements):
        root = for_principal({'AWS': 'arn:aws:iam::%s:root' % ACCOUNT}, 'kms:*')
        self.a.kms.put_key_policy(KeyId=self.key['KeyId'], PolicyName='default', Policy=policy(root, *statements))

    # -- separation

    def test_others_see_nothing(self):
        b = self.b
        self.assertEqual(b.sts.get_caller_identity()['Arn'], 'arn:aws:iam::%s:user/admin' % OTHER)
        self.assertEqual(b.kms.list_keys()['Keys'], [])
        self.assertNotIn('alias/mine', [x['AliasName'] for x in b.kms.list_aliases()['Aliases']])
        users = [u['Arn'] for u in b.iam.list_users()['Users']]
        self.assertIn('arn:aws:iam::%s:user/admin' % OTHER, users)
        self.assertEqual([u for u in users if ACCOUNT in u or 'alice' in u], [])
        self.assertEqual(b.iam.list_roles()['Roles'], [])
        self.assertNotIn('bucket-a', [x['Name'] for x in b.s3.list_buckets()['Buckets']])
        self.assertNotEqual(b.s3.list_buckets()['Owner'], self.a.s3.list_buckets()['Owner'])
        self.denied(b.iam.get_user, code='NoSuchEntity', UserName='alice')
        shared = 'arn:aws:iam::aws:policy/IAMFullAccess'
        self.a.iam.attach_user_policy(UserName='alice', PolicyArn=shared)
        for caller, uses in ((self.a, 1), (b, 0)):
            self.assertEqual(caller.iam.get_policy(PolicyArn=shared)['Policy']['AttachmentCount'], uses)
            self.assertEqual([p['Arn'] == shared for p in caller.iam.list_policies(OnlyAttached=True)['Policies']].count(True), uses)
            self.assertEqual(len(caller.iam.list_entities_for_policy(PolicyArn=shared)['PolicyUsers']), uses)
        self.a.iam.detach_user_policy(UserName='alice', PolicyArn=shared)
        vague = 'the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access'
        missing = self.key['Arn'][:-12] + '000000000000'
        for arn in (self.key['Arn'], missing):
            for call in (b.kms.describe_key, b.kms.get_key_policy, b.kms.disable_key):
                r = self.denied(call, vague, arn, KeyId=arn, **({'PolicyName': 'default'} if call == b.kms.get_key_policy else {}))
                self.assertNotIn(HEADER, r['ResponseMetadata']['HTTPHeaders'])
        # An id alone is looked for in one's own account.
        self.denied(b.kms.describe_key, "does not exist", code='NotFoundException', KeyId=self.key['KeyId'])
        blob = self.a.kms.encrypt(KeyId=self.key['KeyId'], Plaintext=b'x')['CiphertextBlob']
        self.denied(b.kms.decrypt, CiphertextBlob=blob)

    def test_bucket_names_are_everybodys(self):
        self.denied(self.b.s3.create_bucket, code='BucketAlreadyExists', Bucket='bucket-a')
        self.b.s3.create_bucket(Bucket='bucket-b')
        self.assertEqual([x['Name'] for x in self.b.s3.list_buckets()['Buckets']], ['bucket-b'])
        self.assertEqual([x['Name'] for x in self.a.s3.list_buckets()['Buckets']], ['bucket-a'])
        for call, kw in ((self.b.s3.get_object, {'Key': 'k'}), (self.b.s3.list_objects_v2, {}), (self.b.s3.put_object, {'Key': 'n', 'Body': b''}),
                         (self.b.s3.delete_object, {'Key': 'k'}), (self.b.s3.get_bucket_policy, {}), (self.b.s3.delete_bucket, {})):
            r = self.denied(call, Bucket='bucket-a', **kw)
            self.assertNotIn(HEADER, r['ResponseMetadata']['HTTPHeaders'])
        self.assertEqual(self.a.s3.get_object(Bucket='bucket-a', Key='k', ExpectedBucketOwner=ACCOUNT)['Body'].read(), b'plain')
        self.denied(self.a.s3.get_object, Bucket='bucket-a', Key='k', ExpectedBucketOwner=OTHER)
        source = {'Bucket': 'bucket-a', 'Key': 'k'}
        self.a.s3.copy_object(Bucket='bucket-a', Key='k2', CopySource=source, ExpectedSourceBucketOwner=ACCOUNT)
        self.denied(self.a.s3.copy_object, Bucket='bucket-a', Key='k2', CopySource=source, ExpectedSourceBucketOwner=OTHER)

    # -- crossing over

    def test_key_use_needs_both_sides(self):
        use = ['kms:Encrypt', 'kms:GenerateDataKey*', 'kms:DescribeKey']
        able = self.user(self.b, 'able', allow('kms:*'))
        unable = self.user(self.b, 'unable')
        arn, alias = self.key['Arn'], self.key['Arn'].split(':key/')[0] + ':alias/mine'
        self.denied(able.kms.encrypt, KeyId=arn, Plaintext=b'x')
        self.key_policy(for_principal({'AWS': OTHER}, use))
        try:
            self.assertEqual(able.kms.encrypt(KeyId=arn, Plaintext=b'x')['KeyId'], arn)
            able.kms.generate_data_key(KeyId=alias, KeySpec='AES_256')
            self.denied(unable.kms.encrypt, KeyId=arn, Plaintext=b'x')
            self.denied(able.kms.decrypt, CiphertextBlob=self.a.kms.encrypt(KeyId=arn, Plaintext=b'x')['CiphertextBlob'])
            # Management does not cross over, whatever the key's policy says.
            self.key_policy(for_principal({'AWS': OTHER}, 'kms:*'))
            self.denied(able.kms.disable_key, KeyId=arn)
            self.denied(able.kms.get_key_policy, KeyId=arn, PolicyName='default')
            self.key_policy(for_principal({'AWS': OTHER}, use), for_principal({'AWS': '*'}, 'kms:Encrypt', effect='Deny', StringNotEquals={'kms:CallerAccount': ACCOUNT}))
            self.denied(able.kms.encrypt, KeyId=arn, Plaintext=b'x')
        finally:
            self.key_policy()
        self.denied(able.kms.encrypt, KeyId=arn, Plaintext=b'x')

    def test_bucket_read_with_the_owners_key(self):
        reader = self.user(self.b, 'reader', allow('s3:*'), allow('kms:Decrypt', self.key['Arn']))
        self.denied(reader.s3.get_object, Bucket='bucket-a', Key='k')
        self.a.s3.put_bucket_policy(Bucket='bucket-a', Policy=policy(
            for_principal({'AWS': 'arn:aws:iam::%s:user/reader' % OTHER}, ['s3:GetObject', 's3:PutObject', 's3:*BucketPolicy'],
                          ['arn:aws:s3:::bucket-a', 'arn:aws:s3:::bucket-a/*'])))
        try:
            self.assertEqual(reader.s3.get_object(Bucket='bucket-a', Key='k')['Body'].read(), b'plain')
            self.denied(reader.s3.get_object, 'kms:Decrypt', Bucket='bucket-a', Key='sealed')
            self.key_policy(for_principal({'AWS': 'arn:aws:iam::%s:user/reader' % OTHER}, 'kms:Decrypt', StringEquals={'kms:ViaService': 's3.us-east-1.amazonaws.com'}))
            self.assertEqual(reader.s3.get_object(Bucket='bucket-a', Key='sealed')['Body'].read(), b'sealed')
            self.denied(self.b.s3.get_object, Bucket='bucket-a', Key='sealed')
            # aws/s3 is never another account's.
            self.denied(reader.s3.get_object, 'kms:Decrypt', Bucket='bucket-a', Key='managed')
            # What is written belongs to the bucket's owner.
            reader.s3.put_object(Bucket='bucket-a', Key='gift', Body=b'gift')
            self.assertEqual(self.a.s3.get_object(Bucket='bucket-a', Key='gift')['Body'].read(), b'gift')
            self.denied(reader.s3.delete_object, Bucket='bucket-a', Key='gift')
            self.a.s3.delete_object(Bucket='bucket-a', Key='gift')
            # The policy itself is the owner's, even where it says otherwise.
            self.denied(reader.s3.get_bucket_policy, code='MethodNotAllowed', Bucket='bucket-a')
            self.denied(reader.s3.put_bucket_policy, code='MethodNotAllowed', Bucket='bucket-a', Policy=policy(for_principal('*', 's3:*', 'arn:aws:s3:::bucket-a')))
            self.denied(reader.s3.delete_bucket_policy, code='MethodNotAllowed', Bucket='bucket-a')
        finally:
            self.a.s3.delete_bucket_policy(Bucket='bucket-a')
            self.key_policy()

    def test_bucket_policies_are_checked(self):
        put, mine = self.a.s3.put_bucket_policy, 'arn:aws:s3:::bucket-a/*'
        for resource in ('arn:aws:s3:::bucket-b/*', 'arn:aws:s3:::bucket-abc', 'arn:aws:kms:::x'):
            self.denied(put, 'Policy has invalid resource', code='MalformedPolicy', Bucket='bucket-a', Policy=policy(for_principal('*', 's3:GetObject', resource)))
        for name in ('arn:aws:iam::%s:user/nobody' % ACCOUNT, 'arn:aws:iam::333333333333:root', '333333333333'):
            self.denied(put, 'Invalid principal in policy', code='MalformedPolicy', Bucket='bucket-a', Policy=policy(for_principal({'AWS': name}, 's3:GetObject', mine)))
        put(Bucket='bucket-a', Policy=policy(for_principal({'AWS': [OTHER, 'arn:aws:iam::%s:user/alice' % ACCOUNT]}, 's3:GetObject', mine)))
        self.a.s3.delete_bucket_policy(Bucket='bucket-a')

    def test_roles_across_accounts(self):
        arn = 'arn:aws:iam::%s:role/Guest' % ACCOUNT
        self.a.iam.create_role(RoleName='Guest', AssumeRolePolicyDocument=policy({'Effect': 'Allow', 'Principal': {'AWS': OTHER}, 'Action': 'sts:AssumeRole', 'Condition': {
            'StringEquals': {'sts:ExternalId': 'the-id'}}}))
        self.a.iam.put_role_policy(RoleName='Guest', PolicyName='p', PolicyDocument=policy(allow('s3:GetObject', 'arn:aws:s3:::bucket-a/*')))
        able = self.user(self.b, 'guest', allow('sts:AssumeRole', arn))
        unable = self.user(self.b, 'no-guest')
        mate = self.user(self.a, 'mate', allow('sts:AssumeRole', arn))
        self.denied(unable.sts.assume_role, RoleArn=arn, RoleSessionName='s1', ExternalId='the-id')
        self.denied(able.sts.assume_role, RoleArn=arn, RoleSessionName='s1', ExternalId='other')
        self.denied(able.sts.assume_role, RoleArn=arn, RoleSessionName='s1')
        self.denied(mate.sts.assume_role, RoleArn=arn, RoleSessionName='s1', ExternalId='the-id')
        c = able.sts.assume_role(RoleArn=arn, RoleSessionName='s1', ExternalId='the-id')['Credentials']
        guest = Caller(self.s, c['AccessKeyId'], c['SecretAccessKey'], c['SessionToken'])
        self.assertEqual(guest.sts.get_caller_identity()['Arn'], 'arn:aws:sts::%s:assumed-role/Guest/s1' % ACCOUNT)
        self.assertEqual(guest.s3.get_object(Bucket='bucket-a', Key='k')['Body'].read(), b'plain')
        self.denied(guest.s3.put_object, Bucket='bucket-a', Key='k', Body=b'')

    # -- denials

    def test_denials_explain_themselves(self):
        low = self.user(self.a, 'low', {'Sid': 'NeverThis', 'Effect': 'Deny', 'Action': 's3:GetObject', 'Resource': 'arn:aws:s3:::bucket-a/k'}, allow('s3:*'))
        for call, kw, action in ((low.kms.encrypt, {'KeyId': self.key['Arn'], 'Plaintext': b'secret'}, 'kms:Encrypt'), (low.iam.list_users, {}, 'iam:ListUsers'),
                                 (low.s3.get_object, {'Bucket': 'bucket-a', 'Key': 'k'}, 's3:GetObject'), (low.s3.get_object, {'Bucket': 'bucket-a', 'Key': 'sealed'}, 'kms:Decrypt'),
                                 (low.s3.head_object, {'Bucket': 'bucket-a', 'Key': 'k'}, 's3:GetObject'),
                                 (low.sts.get_access_key_info, {'AccessKeyId': 'AKIAAAAAAAAAAAAAAAAA'}, 'sts:GetAccessKeyInfo')):
            r = self.denied(call, code='403' if call == low.s3.head_object else None, **kw)
            message = r['ResponseMetadata']['HTTPHeaders'][HEADER]
            if call not in (low.s3.head_object, low.kms.encrypt):
                self.assertEqual(r['Error']['EncodedAuthorizationMessage'], message)
            self.denied(low.sts.decode_authorization_message, 'sts:DecodeAuthorizationMessage', EncodedMessage=message)
            self.denied(self.b.sts.decode_authorization_message, code='InvalidAuthorizationMessageException', EncodedMessage=message)
            text = self.a.sts.decode_authorization_message(EncodedMessage=message)['DecodedMessage']
            d = json.loads(text)
            self.assertEqual((d['allowed'], d['context']['action'], d['context']['principal']['arn']), (False, action, 'arn:aws:iam::%s:user/low' % ACCOUNT))
            self.assertEqual(d['explicitDeny'], action == 's3:GetObject', text)
            self.assertEqual('NeverThis' in text, action == 's3:GetObject', text)
            self.assertNotIn('secret', text)
        r = self.s.aws(['sts', 'decode-authorization-message', '--encoded-message', message])
        self.assertIn('DecodedMessage', self.accepted(r))
        # With Redshift's API, whose answers are of the query protocol too.
        message = self.denied(low.redshift.describe_clusters)['Error']['EncodedAuthorizationMessage']
        self.assertIn('redshift:DescribeClusters', self.a.sts.decode_authorization_message(EncodedMessage=message)['DecodedMessage'])

    # -- condition keys of S3

    def test_condition_keys(self):
        get, put, lst = 's3:GetObject', 's3:PutObject', 's3:ListBucket'
        k, kms = {'Bucket': 'bucket-a', 'Key': 'k'}, {'ServerSideEncryption': 'aws:kms', 'SSEKMSKeyId': self.key['Arn']}
        w = {'Bucket': 'bucket-a', 'Key': 'w', 'Body': b'w'}
        ls = {'Bucket': 'bucket-a'}
        cases = [
            # action, condition, call, arguments that pass, arguments that don't
            (lst, {'StringEquals': {'s3:prefix': 'x/'}}, 'list_objects_v2', {**ls, 'Prefix': 'x/'}, {**ls, 'Prefix': 'y/'}),
            (lst, {'StringEquals': {'s3:delimiter': '/'}}, 'list_objects_v2', {**ls, 'Delimiter': '/'}, ls),
            (lst, {'NumericLessThanEquals': {'s3:max-keys': '5'}}, 'list_objects_v2', {**ls, 'MaxKeys': 5}, {**ls, 'MaxKeys': 6}),
            (put, {'StringEquals': {'s3:x-amz-server-side-encryption': 'aws:kms'}}, 'put_object', {**w, **kms}, {**w, 'ServerSideEncryption': 'AES256'}),
            (put, {'Null': {'s3:x-amz-server-side-encryption': 'false'}}, 'put_object', {**w, 'ServerSideEncryption': 'AES256'}, w),
            (put, {'StringEquals': {'s3:x-amz-server-side-encryption-aws-kms-key-id': self.key['Arn']}}, 'put_object', {**w, **kms}, {**w, 'ServerSideEncryption': 'aws:kms'}),
            (put, {'StringEquals': {'s3:x-amz-acl': 'bucket-owner-full-control'}}, 'put_object', {**w, 'ACL': 'bucket-owner-full-control'}, w),
            (put, {'StringEquals': {'s3:x-amz-storage-class': 'STANDARD'}}, 'put_object', {**w, 'StorageClass': 'STANDARD'}, w),
            (put, {'StringLike': {'s3:x-amz-copy-source': 'bucket-a/k*'}}, 'copy_object', {'Bucket': 'bucket-a', 'Key': 'w', 'CopySource': 'bucket-a/k'},
             {'Bucket': 'bucket-a', 'Key': 'w', 'CopySource': 'bucket-a/sealed'}),
            (put, {'StringEquals': {'s3:x-amz-metadata-directive': 'REPLACE'}}, 'copy_object',
             {'Bucket': 'bucket-a', 'Key': 'w', 'CopySource': 'bucket-a/k', 'MetadataDirective': 'REPLACE'}, {'Bucket': 'bucket-a', 'Key': 'w', 'CopySource': 'bucket-a/k'}),
            (get, {'StringEquals': {'s3:VersionId': 'null'}}, 'get_object', {**k, 'VersionId': 'null'}, k),
        ]
        # The request is the same; the condition fits or does not.
        facts = [
            ({'StringEquals': {'s3:ResourceAccount': ACCOUNT}}, {'StringEquals': {'s3:ResourceAccount': OTHER}}),
            ({'StringEquals': {'aws:ResourceAccount': ACCOUNT}}, {'StringEquals': {'aws:ResourceAccount': OTHER}}),
            ({'NumericGreaterThanEquals': {'s3:TlsVersion': '1.2'}}, {'NumericLessThan': {'s3:TlsVersion': '1.2'}}),
            ({'StringEquals': {'s3:authType': 'REST-HEADER'}}, {'StringEquals': {'s3:authType': 'REST-QUERY-STRING'}}),
            ({'StringEquals': {'s3:signatureversion': 'AWS4-HMAC-SHA256'}}, {'StringEquals': {'s3:signatureversion': 'AWS'}}),
            ({'NumericLessThan': {'s3:signatureAge': '600000'}}, {'NumericGreaterThan': {'s3:signatureAge': '600000'}}),
            ({'StringLike': {'s3:x-amz-content-sha256': '?*'}}, {'StringEquals': {'s3:x-amz-content-sha256': 'UNSIGNED-PAYLOAD'}}),
            ({'Bool': {'aws:SecureTransport': 'true'}}, {'Bool': {'aws:SecureTransport': 'false'}}),
            ({'IpAddress': {'aws:SourceIp': ['127.0.0.0/8', '::1']}}, {'IpAddress': {'aws:SourceIp': '10.0.0.0/8'}}),
            ({'StringLike': {'aws:UserAgent': '*oto*'}}, {'StringLike': {'aws:UserAgent': 'curl*'}}),
            ({'Null': {'aws:Referer': 'true'}}, {'StringLike': {'aws:Referer': '*'}}),
            ({'ArnEquals': {'aws:PrincipalArn': 'arn:aws:iam::%s:user/conditional' % ACCOUNT}}, {'ArnEquals': {'aws:PrincipalArn': 'arn:aws:iam::%s:user/other' % ACCOUNT}}),
            ({'StringEquals': {'aws:PrincipalTag/team': 'blue'}}, {'StringEquals': {'aws:PrincipalTag/team': 'red'}}),
            ({'StringEquals': {'aws:username': 'conditional'}}, {'StringEquals': {'aws:username': 'other'}}),
            ({'DateGreaterThan': {'aws:CurrentTime': '2020-01-01T00:00:00Z'}}, {'DateLessThan': {'aws:CurrentTime': '2020-01-01T00:00:00Z'}}),
        ]
        u = self.user(self.a, 'conditional')
        self.a.iam.tag_user(UserName='conditional', Tags=[{'Key': 'team', 'Value': 'blue'}])

        def set_policy(action, condition):
            others = [x for x in (get, put, lst, 's3:DeleteObject', 's3:CreateBucket') if x != action]
            self.a.iam.put_user_policy(UserName='conditional', PolicyName='p', PolicyDocument=policy(
                allow(others + ['kms:*']), {'Effect': 'Allow', 'Action': action, 'Resource': '*', 'Condition': condition}))
        for action, condition, call, good, bad in cases:
            with self.subTest(condition):
                set_policy(action, condition)
                getattr(u.s3, call)(**good)
                self.denied(getattr(u.s3, call), action, **bad)
        for good, bad in facts:
            with self.subTest(good):
                set_policy(get, good)
                u.s3.get_object(**k)
                set_policy(get, bad)
                self.denied(u.s3.get_object, get, **k)
        set_policy('s3:CreateBucket', {'StringEquals': {'s3:LocationConstraint': 'eu-west-1'}})
        self.denied(u.s3.create_bucket, 's3:CreateBucket', Bucket='here')
        # Who may not, is told nothing of what else is wrong.
        self.denied(u.s3.create_bucket, 's3:CreateBucket', Bucket='here', CreateBucketConfiguration={'LocationConstraint': 'No Region'})
        u.s3.create_bucket(Bucket='there', CreateBucketConfiguration={'LocationConstraint': 'eu-west-1'})
        with self.subTest('presigned'):
            set_policy(get, {'StringEquals': {'s3:authType': 'REST-QUERY-STRING'}})
            url = u.s3.generate_presigned_url('get_object', k)
            r = self.s.run(['curl', '-s', '--cacert', self.s.env['AWS_CA_BUNDLE'], url])
            self.assertEqual(r.out, 'plain')
            set_policy(get, {'StringLike': {'aws:Referer': 'https://example.com/*'}})
            url = u.s3.generate_presigned_url('get_object', k)
            self.assertIn('AccessDenied', self.s.run(['curl', '-s', '--cacert', self.s.env['AWS_CA_BUNDLE'], url]).out)
            r = self.s.run(['curl', '-s', '--cacert', self.s.env['AWS_CA_BUNDLE'], '-e', 'https://example.com/page', url])
            self.assertEqual(r.out, 'plain')


if __name__ == '__main__':
    unittest.main()
