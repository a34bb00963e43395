"""A right taken away counts for the very next call, on every connection: what kms keeps of identities, policies and keys between requests never
outlives a change. Callers hammer on connections of their own; a call that began after the change was acknowledged must see it."""
import json
import threading
import time
import unittest

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from harness import SOAK, SealiftTest, allow

CALLERS = 8
ROUNDS = 40 if SOAK else 4


class Hammer:
    """Callers that call in a loop and note when each call began and how it ended ('' or an error code)."""

    def __init__(self, call_makers):
        self.stop = threading.Event()
        self.notes = [[] for _ in call_makers]
        self.threads = [threading.Thread(target=self.run, args=(make, notes)) for make, notes in zip(call_makers, self.notes)]
        for t in self.threads:
            t.start()

    def run(self, make, notes):
        call = make()
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                call()
                notes.append((begun, ''))
            except ClientError as e:
                notes.append((begun, e.response['Error']['Code']))
            except Exception as e:  # the test fails with it
                notes.append((begun, repr(e)))

    def wait_for(self, since, each=3):
        """until every caller has begun and ended some calls after that time"""
        deadline = time.monotonic() + 60
        while any(sum(1 for b, _ in list(n) if b > since) < each for n in self.notes):
            if time.monotonic() > deadline:
                raise AssertionError('callers hang: %r' % [n[-3:] for n in self.notes])
            time.sleep(0.005)

    def between(self, since, until):
        return {outcome for n in self.notes for b, outcome in n if since < b < until}

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()


class RevokeTest(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        cls.keys = [s.awsj('kms create-key')['KeyMetadata']['KeyId'] for _ in range(2)]
        cls.blob = cls.admin('kms').encrypt(KeyId=cls.keys[0], Plaintext=b'x')['CiphertextBlob']
        cls.user = s.new_user('carol', [allow('kms:*')])

    @classmethod
    def admin(cls, service):
        return cls.client(service, cls.s.env)

    @classmethod
    def client(cls, service, env):
        return boto3.client(service, endpoint_url=cls.s.env['AWS_ENDPOINT_URL'], region_name=cls.s.env['AWS_DEFAULT_REGION'], verify=cls.s.env['AWS_CA_BUNDLE'],
                            aws_access_key_id=env['AWS_ACCESS_KEY_ID'], aws_secret_access_key=env['AWS_SECRET_ACCESS_KEY'],
                            aws_session_token=env.get('AWS_SESSION_TOKEN'), config=Config(retries={'max_attempts': 0, 'mode': 'legacy'}))

    def decrypts(self, env):
        def make():
            kms = self.client('kms', env)
            return lambda: kms.decrypt(CiphertextBlob=self.blob)
        return make

    def toggles(self, makers, revoke, restore, code):
        """After revoke() every call that begins is refused with `code`, after restore() every one is allowed; over and over."""
        h = Hammer(makers)
        try:
            restored = time.monotonic()
            for _ in range(ROUNDS):
                h.wait_for(restored)
                about = time.monotonic()
                self.assertEqual(h.between(restored, about), {''})
                revoke()
                revoked = time.monotonic()
                h.wait_for(revoked)
                about = time.monotonic()
                self.assertEqual(h.between(revoked, about), {code})
                restore()
                restored = time.monotonic()
            h.wait_for(restored)
            self.assertEqual(h.between(restored, time.monotonic()), {''})
        finally:
            h.end()

    def callers(self, env):
        return [self.decrypts(env)] * CALLERS

    def test_policy_removed(self):
        iam = self.admin('iam')
        text = json.dumps({'Version': '2012-10-17', 'Statement': [allow('kms:*')]})
        self.toggles(self.callers(self.user), lambda: iam.delete_user_policy(UserName='carol', PolicyName='p'),
                     lambda: iam.put_user_policy(UserName='carol', PolicyName='p', PolicyDocument=text), 'AccessDeniedException')

    def test_deny_attached(self):
        iam = self.admin('iam')
        arn = iam.create_policy(PolicyName='no', PolicyDocument=json.dumps(
            {'Version': '2012-10-17', 'Statement': [{'Effect': 'Deny', 'Action': 'kms:Decrypt', 'Resource': '*'}]}))['Policy']['Arn']
        self.toggles(self.callers(self.user), lambda: iam.attach_user_policy(UserName='carol', PolicyArn=arn),
                     lambda: iam.detach_user_policy(UserName='carol', PolicyArn=arn), 'AccessDeniedException')

    def test_access_key_inactive(self):
        iam = self.admin('iam')

        def set_status(status):
            iam.update_access_key(UserName='carol', AccessKeyId=self.user['AWS_ACCESS_KEY_ID'], Status=status)

        self.toggles(self.callers(self.user), lambda: set_status('Inactive'), lambda: set_status('Active'), 'UnrecognizedClientException')

    def test_key_disabled(self):
        kms = self.admin('kms')
        self.toggles(self.callers(self.user), lambda: kms.disable_key(KeyId=self.keys[0]), lambda: kms.enable_key(KeyId=self.keys[0]), 'DisabledException')

    def test_deletion_scheduled(self):
        kms = self.admin('kms')

        def back():
            kms.cancel_key_deletion(KeyId=self.keys[0])
            kms.enable_key(KeyId=self.keys[0])

        self.toggles(self.callers(self.user), lambda: kms.schedule_key_deletion(KeyId=self.keys[0], PendingWindowInDays=7), back, 'KMSInvalidStateException')

    def test_key_policy_changed(self):
        kms = self.admin('kms')
        before = kms.get_key_policy(KeyId=self.keys[0], PolicyName='default')['Policy']
        denying = json.loads(before)
        denying['Statement'].append({'Effect': 'Deny', 'Principal': {'AWS': 'arn:aws:iam::%s:user/carol' % self.s.account}, 'Action': 'kms:Decrypt', 'Resource': '*'})
        self.toggles(self.callers(self.user), lambda: kms.put_key_policy(KeyId=self.keys[0], PolicyName='default', Policy=json.dumps(denying)),
                     lambda: kms.put_key_policy(KeyId=self.keys[0], PolicyName='default', Policy=before), 'AccessDeniedException')

    def test_grant_revoked(self):
        kms = self.admin('kms')
        dave = self.s.new_user('dave', [])
        grant = {}

        def give():
            grant['id'] = kms.create_grant(KeyId=self.keys[0], GranteePrincipal='arn:aws:iam::%s:user/dave' % self.s.account, Operations=['Decrypt'])['GrantId']

        give()
        self.toggles(self.callers(dave), lambda: kms.revoke_grant(KeyId=self.keys[0], GrantId=grant['id']), give, 'AccessDeniedException')

    def test_role_session(self):
        iam = self.admin('iam')
        iam.create_role(RoleName='reader', AssumeRolePolicyDocument=json.dumps(
            {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': self.s.account}, 'Action': 'sts:AssumeRole'}]}))
        text = json.dumps({'Version': '2012-10-17', 'Statement': [allow('kms:Decrypt')]})
        iam.put_role_policy(RoleName='reader', PolicyName='p', PolicyDocument=text)
        c = self.admin('sts').assume_role(RoleArn='arn:aws:iam::%s:role/reader' % self.s.account, RoleSessionName='session')['Credentials']
        env = {'AWS_ACCESS_KEY_ID': c['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': c['SecretAccessKey'], 'AWS_SESSION_TOKEN': c['SessionToken']}
        self.toggles(self.callers(env), lambda: iam.delete_role_policy(RoleName='reader', PolicyName='p'),
                     lambda: iam.put_role_policy(RoleName='reader', PolicyName='p', PolicyDocument=text), 'AccessDeniedException')

    def test_s3_behind_a_disabled_key(self):
        s3, kms = self.admin('s3'), self.admin('kms')
        s3.create_bucket(Bucket='revoke')
        s3.put_object(Bucket='revoke', Key='o', Body=b'data', ServerSideEncryption='aws:kms', SSEKMSKeyId=self.keys[1])

        def make():
            own = self.admin('s3')
            return lambda: own.get_object(Bucket='revoke', Key='o')['Body'].read()

        self.toggles([make] * CALLERS, lambda: kms.disable_key(KeyId=self.keys[1]), lambda: kms.enable_key(KeyId=self.keys[1]), 'KMS.DisabledException')

    def test_alias_moved(self):
        """the call after a move uses the other key"""
        kms = self.admin('kms')
        kms.create_alias(AliasName='alias/moving', TargetKeyId=self.keys[0])
        clients = [self.client('kms', self.user) for _ in range(CALLERS)]
        for i in range(2 * ROUNDS):
            target = self.keys[i % 2]
            kms.update_alias(AliasName='alias/moving', TargetKeyId=target)
            for c in clients:
                self.assertTrue(c.encrypt(KeyId='alias/moving', Plaintext=b'x')['KeyId'].endswith(target))


if __name__ == '__main__':
    unittest.main()
