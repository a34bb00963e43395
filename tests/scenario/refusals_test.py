"""Each link of the chain taken away: the load is refused with the right error and the table is as before."""
import glob
import json
import os
import time
import unittest

from harness import ACCOUNT, SOAK, TRUST, SealiftTest, allow

READ = allow(['s3:GetObject', 's3:ListBucket'])


class Refusals(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        cls.key = s.awsj('kms create-key')['KeyMetadata']
        s.aws('s3 mb s3://bkt')
        lines = ''.join('%d,name %d\n' % (i, i) for i in range(20000))
        s.write('rows.csv', lines)
        r = s.aws('s3 cp rows.csv s3://bkt/k/rows.csv --sse aws:kms --sse-kms-key-id %s' % cls.key['KeyId'])
        assert r.code == 0, r
        cls.role = s.put_role('Redshift-Loader', [READ, allow('kms:Decrypt', cls.key['Arn'])])
        s.sqlv('create table t (a integer, b varchar(30)); insert into t values (-1, $$before$$)')

    def copy(self, role=None, key='k/', **kw):
        return self.s.sql("COPY t FROM 's3://bkt/%s' CREDENTIALS 'aws_iam_role=%s' DELIMITER ','" % (key, role or self.role), **kw)

    def tearDown(self):
        self.assertEqual(self.s.sqlv('select count(*), min(a) from t'), '1|-1')

    def loads(self):
        """the same load works once nothing is taken away"""
        r = self.s.sql("BEGIN; COPY t FROM 's3://bkt/k/' IAM_ROLE '%s' DELIMITER ','; SELECT count(*) FROM t; ROLLBACK" % self.role)
        self.accepted(r)
        self.assertIn('20001', r.out)

    def test_00_the_load_works(self):
        self.loads()

    def test_01_role_not_attached(self):
        role = self.s.put_role('Loose', [READ, allow('kms:Decrypt')], attach=False)
        self.refused(self.copy(role), 'ERROR', role, 'is not associated to cluster')

    def test_02_role_not_assumable(self):
        trust = json.loads(json.dumps(TRUST).replace('redshift.amazonaws.com', 'ec2.amazonaws.com'))
        role = self.s.put_role('Ec2', [READ, allow('kms:Decrypt')], trust=trust)
        self.refused(self.copy(role), 'ERROR', 'is not authorized to assume IAM Role', role)

    def test_03_role_for_another_user_only(self):
        trust = json.loads(json.dumps(TRUST))
        trust['Statement'][0]['Condition'] = {'StringEquals': {'sts:ExternalId': 'arn:aws:redshift:us-east-1:%s:dbuser:local/somebody' % ACCOUNT}}
        role = self.s.put_role('Other', [READ, allow('kms:Decrypt')], trust=trust)
        self.refused(self.copy(role), 'ERROR', 'is not authorized to assume IAM Role')
        self.s.sqlv("create user somebody password 'Somebody1'; grant insert, select on t to somebody")
        r = self.s.sql("BEGIN; COPY t FROM 's3://bkt/k/' IAM_ROLE '%s' DELIMITER ','; ROLLBACK" % role, user='somebody', password='Somebody1')
        self.accepted(r)

    def test_04_get_object_missing(self):
        self.s.put_role_policy('Redshift-Loader', [allow('s3:ListBucket'), allow('kms:Decrypt')])
        try:
            self.refused(self.copy(), 'ERROR', 'S3ServiceException', 'Status 403', 'AccessDenied')
        finally:
            self.s.put_role_policy('Redshift-Loader', [READ, allow('kms:Decrypt', self.key['Arn'])])
        self.loads()

    def test_05_kms_decrypt_missing(self):
        self.s.put_role_policy('Redshift-Loader', [READ])
        try:
            self.refused(self.copy(), 'ERROR', 'kms:Decrypt', self.key['Arn'], '403')
        finally:
            self.s.put_role_policy('Redshift-Loader', [READ, allow('kms:Decrypt', self.key['Arn'])])
        self.loads()

    def test_06_key_policy_without_delegation(self):
        s = self.s
        before = s.awsj('kms get-key-policy --policy-name default --key-id %s' % self.key['KeyId'])['Policy']
        only_admin = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::%s:user/admin' % ACCOUNT}, 'Action': 'kms:*', 'Resource': '*'}]}
        self.accepted(s.aws(['kms', 'put-key-policy', '--policy-name', 'default', '--key-id', self.key['KeyId'], '--policy', json.dumps(only_admin)]))
        try:
            self.refused(self.copy(), 'ERROR', 'kms:Decrypt', '403')
        finally:
            self.accepted(s.aws(['kms', 'put-key-policy', '--policy-name', 'default', '--key-id', self.key['KeyId'], '--policy', before]))
        self.loads()

    def test_07_key_disabled(self):
        s = self.s
        self.accepted(s.aws('kms disable-key --key-id %s' % self.key['KeyId']))
        try:
            self.refused(self.copy(), 'ERROR', 'KMS.DisabledException', 'is disabled')
        finally:
            self.accepted(s.aws('kms enable-key --key-id %s' % self.key['KeyId']))
        self.loads()

    def damaged(self, name, change):
        """puts a fresh object, changes its sealed file, and expects the load to be refused"""
        s = self.s
        before = set(glob.glob(os.path.join(s.data, 's3/parts/*/*')))
        self.accepted(s.aws('s3 cp rows.csv s3://bkt/%s/rows.csv --sse aws:kms --sse-kms-key-id %s' % (name, self.key['KeyId'])))
        new = set(glob.glob(os.path.join(s.data, 's3/parts/*/*'))) - before
        self.assertEqual(len(new), 1)
        path = new.pop()
        with open(path, 'r+b') as f:
            change(f, os.path.getsize(path))
        self.refused(self.copy(key=name + '/'), 'ERROR')
        r = s.aws('s3 cp s3://bkt/%s/rows.csv out.csv' % name)
        self.assertNotEqual(r.code, 0)
        self.accepted(s.aws('s3 rm s3://bkt/%s/rows.csv' % name))

    def test_08_flipped_byte(self):
        def change(f, size):
            f.seek(size // 2)
            b = f.read(1)
            f.seek(size // 2)
            f.write(bytes([b[0] ^ 1]))
        self.damaged('flip', change)

    def test_09_cut_by_100_bytes(self):
        self.damaged('cut', lambda f, size: f.truncate(size - 100))

    def test_10_chunks_swapped(self):
        def change(f, size):
            chunk = 65536 + 16
            f.seek(HEADER)
            a, b = f.read(chunk), f.read(chunk)
            self.assertEqual(len(b), chunk)
            f.seek(HEADER)
            f.write(b + a)
        self.damaged('swap', change)

    def test_11_changed_signature(self):
        env = {'AWS_SECRET_ACCESS_KEY': self.s.env['AWS_SECRET_ACCESS_KEY'][:-1] + ('A' if self.s.env['AWS_SECRET_ACCESS_KEY'][-1] != 'A' else 'B')}
        self.refused(self.s.aws('s3 ls s3://bkt', env), 'SignatureDoesNotMatch')
        self.refused(self.s.aws('kms list-keys', env), 'InvalidSignatureException')
        self.refused(self.s.aws('iam list-users', env), 'SignatureDoesNotMatch')
        sql = "COPY t FROM 's3://bkt/k/' ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s' DELIMITER ','" % (self.s.env['AWS_ACCESS_KEY_ID'], env['AWS_SECRET_ACCESS_KEY'])
        self.refused(self.s.sql(sql), 'SignatureDoesNotMatch')

    def test_12_clock_20_minutes_off(self):
        script = self.s.write('skew.py', SKEW)
        # The native signer of Debian's boto3 takes the time itself.
        r = self.s.run(['/usr/bin/python3', script], env={'BOTO_DISABLE_CRT': 'true'})
        self.assertEqual(self.accepted(r).split(), ['RequestTimeTooSkewed', 'InvalidSignatureException'], r)

    def test_13_session_token_expired(self):
        """a cut or changed token is refused, and (the shortest life is 15 minutes, so in the soak) one whose time is over"""
        s = self.s
        trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': ACCOUNT}, 'Action': 'sts:AssumeRole'}]}
        s.awsj(['iam', 'create-role', '--role-name', 'Reader', '--assume-role-policy-document', json.dumps(trust)])
        s.put_role_policy('Reader', [READ, allow('kms:Decrypt')])
        c = s.awsj('sts assume-role --role-arn arn:aws:iam::%s:role/Reader --role-session-name xy --duration-seconds 900' % ACCOUNT)['Credentials']
        env = {'AWS_ACCESS_KEY_ID': c['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': c['SecretAccessKey'], 'AWS_SESSION_TOKEN': c['SessionToken']}
        self.accepted(s.aws('s3 ls s3://bkt', env))
        token = c['SessionToken']
        middle = len(token) // 2
        bad = token[:middle] + ('A' if token[middle] != 'A' else 'B') + token[middle + 1:]
        self.refused(s.aws('s3 ls s3://bkt', dict(env, AWS_SESSION_TOKEN=bad)), 'InvalidToken')
        self.refused(s.aws('s3 ls s3://bkt', dict(env, AWS_SESSION_TOKEN=token[:-8])), 'InvalidToken')
        self.refused(s.aws('s3 ls s3://bkt', dict(env, AWS_SESSION_TOKEN='')), 'InvalidAccessKeyId')
        copy = "COPY t FROM 's3://bkt/k/' ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s' SESSION_TOKEN '%s' DELIMITER ','" % (
            c['AccessKeyId'], c['SecretAccessKey'], c['SessionToken'])
        self.assertIn('20001', self.accepted(s.sql('BEGIN; %s; SELECT count(*) FROM t; ROLLBACK' % copy)))
        self.refused(s.sql(copy.replace(token, bad)), 'S3ServiceException', 'InvalidToken')
        if SOAK:
            time.sleep(901)
            self.refused(s.aws('s3 ls s3://bkt', env), 'ExpiredToken')
            self.refused(s.aws('kms list-keys', env), 'ExpiredTokenException')
            self.refused(s.sql(copy), 'S3ServiceException', 'ExpiredToken')

    def test_14_role_of_another_cluster(self):
        """a role that trusts the users of another cluster only"""
        trust = json.loads(json.dumps(TRUST))
        trust['Statement'][0]['Condition'] = {'StringLike': {'sts:ExternalId': 'arn:aws:redshift:us-east-1:%s:dbuser:elsewhere/*' % ACCOUNT}}
        role = self.s.put_role('Elsewhere', [READ, allow('kms:Decrypt')], trust=trust)
        self.refused(self.copy(role), 'is not authorized to assume IAM Role')
        self.refused(self.copy('arn:aws:iam::999999999999:role/Redshift-Loader'), 'is not associated to cluster')

    def test_15_no_such_prefix_or_bucket(self):
        self.refused(self.copy(key='none/'), 'The specified S3 prefix')
        r = self.s.sql("COPY t FROM 's3://no-such-bucket/x' IAM_ROLE '%s'" % self.role)
        self.refused(r, 'NoSuchBucket')

    def test_16_bad_rows(self):
        s = self.s
        s.write('bad.csv', '1,fine\nx,not a number\n3,%s\n' % ('long' * 20))
        self.accepted(s.aws('s3 cp bad.csv s3://bkt/bad/rows.csv'))
        self.refused(self.copy(key='bad/'), "Load into table 't' failed.  Check 'stl_load_errors' system table for details.", 'ERROR')
        got = s.sqlv("select line_number, trim(colname), trim(type), err_code, trim(err_reason), trim(raw_field_value) from stl_load_errors order by starttime desc limit 1")
        self.assertTrue(got.startswith('2|a|int4|1207|Invalid digit, Value \'x\', Pos 0, Type: Integer|x'), got)

    def test_17_bucket_policy_demands_encryption(self):
        s = self.s
        s.aws('s3 mb s3://strict')
        policy = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Deny', 'Principal': '*', 'Action': 's3:PutObject', 'Resource': 'arn:aws:s3:::strict/*',
                                                         'Condition': {'StringNotEquals': {'s3:x-amz-server-side-encryption': 'aws:kms'}}}]}
        self.accepted(s.aws(['s3api', 'put-bucket-policy', '--bucket', 'strict', '--policy', json.dumps(policy)]))
        self.refused(s.aws('s3 cp rows.csv s3://strict/a'), 'AccessDenied', 'explicit deny')
        self.accepted(s.aws('s3 cp rows.csv s3://strict/a --sse aws:kms'))


HEADER = 136  # "SLPART", version, algorithm, log2(chunk), three ids, salt, commitment: docs/decisions/5-object-format.md

SKEW = r'''
import os, datetime, botocore.auth, boto3
from botocore.exceptions import ClientError
class Moved(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return datetime.datetime.utcnow() - datetime.timedelta(minutes=20)
class Module:
    def __getattr__(self, name):
        return Moved if name == 'datetime' else getattr(datetime, name)
botocore.auth.datetime = Module()
for service, call in (('s3', lambda c: c.list_buckets()), ('kms', lambda c: c.list_keys())):
    client = boto3.client(service, endpoint_url=os.environ['AWS_ENDPOINT_URL'], region_name='us-east-1')
    try:
        call(client)
        print('accepted')
    except ClientError as e:
        print(e.response['Error']['Code'])
'''

if __name__ == '__main__':
    unittest.main()
