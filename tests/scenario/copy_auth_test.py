"""Every form in which COPY names who loads: one that is accepted, and what each is refused for."""
import unittest

from harness import SealiftTest, allow

FORM = 'Invalid credentials. Must be of the format: credentials'


class CopyAuth(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        s.aws('s3 mb s3://bkt')
        s.write('file', '1\n')
        assert s.aws('s3 cp file s3://bkt/one').code == 0
        reads = allow(['s3:GetObject', 's3:ListBucket'])
        cls.role = s.put_role('Loader', [reads])
        cls.bare = s.put_role('Bare', [allow('s3:ListAllMyBuckets')])
        cls.loose = s.put_role('Loose', [reads], attach=False)
        # Hop may only assume Far, which trusts it and may read
        cls.far = 'arn:aws:iam::%s:role/Far' % s.account
        cls.hop = s.put_role('Hop', [allow('sts:AssumeRole', cls.far)])
        trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': cls.hop}, 'Action': 'sts:AssumeRole'}]}
        s.put_role('Far', [reads], attach=False, trust=trust)
        keys = s.new_user('loader', [reads, allow('sts:GetSessionToken')])
        cls.key, cls.secret = keys['AWS_ACCESS_KEY_ID'], keys['AWS_SECRET_ACCESS_KEY']
        keys = s.new_user('nobody', [])
        cls.other_key, cls.other_secret = keys['AWS_ACCESS_KEY_ID'], keys['AWS_SECRET_ACCESS_KEY']
        cls.session = s.awsj(['sts', 'get-session-token'], {'AWS_ACCESS_KEY_ID': cls.key, 'AWS_SECRET_ACCESS_KEY': cls.secret})['Credentials']
        s.sqlv('create table t (a integer)')

    def copy(self, auth):
        return self.s.sql("TRUNCATE t; COPY t FROM 's3://bkt/one' " + auth)

    def loads(self, *forms):
        for auth in forms:
            with self.subTest(auth.split("'")[0]):
                self.accepted(self.copy(auth))
                self.assertEqual(self.s.sqlv('select * from t'), '1')

    def refuses(self, auth, *texts):
        with self.subTest(auth.split("'")[0]):
            self.refused(self.copy(auth), *texts)

    def test_role(self):
        self.loads("IAM_ROLE '%s'" % self.role, "CREDENTIALS 'aws_iam_role=%s'" % self.role, "WITH CREDENTIALS AS 'aws_iam_role=%s'" % self.role)
        self.refuses("IAM_ROLE '%s'" % self.loose, 'The requested role %s is not associated to cluster' % self.loose)
        self.refuses("IAM_ROLE '%s'" % self.bare, 'S3ServiceException:', 'Status 403,Error AccessDenied')
        self.refuses("IAM_ROLE 'arn:aws:iam::%s:role/None'" % self.s.account, 'is not associated to cluster')
        self.refuses("IAM_ROLE ''", FORM)
        self.refuses("CREDENTIALS 'aws_iam_role='", FORM)
        self.refuses("CREDENTIALS 'aws_iam_role=%s;token=x'" % self.role, FORM)

    def test_chain(self):
        self.loads("IAM_ROLE '%s,%s'" % (self.hop, self.far), "CREDENTIALS 'aws_iam_role=%s,%s'" % (self.hop, self.far))
        self.refuses("IAM_ROLE '%s,%s'" % (self.role, self.far), 'is not authorized to assume IAM Role')
        self.refuses("IAM_ROLE '%s'" % self.hop, 'Error AccessDenied')
        self.refuses("IAM_ROLE '%s'" % ','.join([self.hop] * 11), 'chains at most 10 roles')

    def test_default_role(self):
        self.refuses('IAM_ROLE default', 'default')
        self.accepted(self.s.aws(['redshift', 'modify-cluster-iam-roles', '--cluster-identifier', 'local', '--default-iam-role-arn', self.role]))
        self.loads('IAM_ROLE default')

    def test_keys(self):
        self.loads("ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s'" % (self.key, self.secret),
                   "SECRET_ACCESS_KEY AS '%s' ACCESS_KEY_ID AS '%s'" % (self.secret, self.key),
                   "CREDENTIALS 'aws_access_key_id=%s;aws_secret_access_key=%s'" % (self.key, self.secret))
        self.refuses("ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s'" % (self.other_key, self.other_secret), 'Error AccessDenied')
        self.refuses("ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s'" % (self.key, self.other_secret), 'SignatureDoesNotMatch')
        self.refuses("ACCESS_KEY_ID 'AKIAIOSFODNN7EXAMPLE' SECRET_ACCESS_KEY 'x'", 'InvalidAccessKeyId')
        self.refuses("ACCESS_KEY_ID '%s'" % self.key, FORM)
        self.refuses("SECRET_ACCESS_KEY '%s'" % self.secret, FORM)
        self.refuses("CREDENTIALS 'aws_access_key_id=%s'" % self.key, FORM)
        self.refuses("CREDENTIALS 'aws_access_key_id = %s;aws_secret_access_key=%s'" % (self.key, self.secret), FORM)
        self.refuses("CREDENTIALS 'AWS_ACCESS_KEY_ID=%s;AWS_SECRET_ACCESS_KEY=%s'" % (self.key, self.secret), FORM)

    def test_session(self):
        key, secret, token = (self.session[n] for n in ('AccessKeyId', 'SecretAccessKey', 'SessionToken'))
        self.loads("ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s' SESSION_TOKEN '%s'" % (key, secret, token),
                   "ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s' TOKEN '%s'" % (key, secret, token),
                   "CREDENTIALS 'aws_access_key_id=%s;aws_secret_access_key=%s;token=%s'" % (key, secret, token))
        self.refuses("ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s'" % (key, secret), 'InvalidAccessKeyId')
        self.refuses("ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s' TOKEN '%s'" % (key, secret, token[:-8]), 'Error InvalidToken')
        self.refuses("SESSION_TOKEN '%s'" % token, FORM)

    def test_one_form_alone(self):
        keys = "ACCESS_KEY_ID '%s' SECRET_ACCESS_KEY '%s'" % (self.key, self.secret)
        for auth in ("IAM_ROLE '%s' %s" % (self.role, keys), "%s IAM_ROLE default" % keys, "IAM_ROLE default CREDENTIALS 'aws_iam_role=%s'" % self.role,
                     "CREDENTIALS 'aws_iam_role=%s' %s" % (self.role, keys)):
            self.refuses(auth, 'COPY has more than one form of authorization')
        self.refuses("CREDENTIALS 'aws_iam_role=%s;aws_access_key_id=%s;aws_secret_access_key=%s'" % (self.role, self.key, self.secret), FORM)
        self.refuses('', 'COPY from S3 needs IAM_ROLE, CREDENTIALS or ACCESS_KEY_ID and SECRET_ACCESS_KEY')


if __name__ == '__main__':
    unittest.main()
