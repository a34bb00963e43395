"""IAM as its clients use it, over TLS with boto3: rotation of access keys, versions of policies in effect, and a role's life as Terraform leads it."""
import json
import unittest

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

from harness import ACCOUNT, TRUST, SealiftTest, allow


def document(*statements):
    return json.dumps({'Version': '2012-10-17', 'Statement': list(statements)})


class Iam(SealiftTest):
    @classmethod
    def prepare(cls):
        cls.clients = []
        cls.iam = cls.client('iam', cls.s.env['AWS_ACCESS_KEY_ID'], cls.s.env['AWS_SECRET_ACCESS_KEY'])

    @classmethod
    def tearDownClass(cls):
        for c in cls.clients:
            c._endpoint.http_session.close()
        super().tearDownClass()

    @classmethod
    def client(cls, service, key, secret):
        made = boto3.client(service, endpoint_url=cls.s.env['AWS_ENDPOINT_URL'], region_name='us-east-1', verify=cls.s.env['AWS_CA_BUNDLE'],
                            aws_access_key_id=key, aws_secret_access_key=secret, config=Config(retries={'max_attempts': 0}))
        cls.clients.append(made)
        return made

    def code(self, call, **kw):
        with self.assertRaises(ClientError) as e:
            call(**kw)
        return e.exception.response['Error']['Code']

    def user(self, name):
        self.iam.create_user(UserName=name)
        k = self.iam.create_access_key(UserName=name)['AccessKey']
        return k['AccessKeyId'], k['SecretAccessKey']

    def test_rotation_of_access_keys(self):
        """the second key, the first inactive, the first again, the first deleted: each counts at once"""
        first = self.user('rotating')
        k = self.iam.create_access_key(UserName='rotating')['AccessKey']
        second = (k['AccessKeyId'], k['SecretAccessKey'])
        self.assertEqual(self.code(self.iam.create_access_key, UserName='rotating'), 'LimitExceeded')
        one, two = self.client('sts', *first), self.client('sts', *second)
        for c in (one, two):
            self.assertEqual(c.get_caller_identity()['Arn'], 'arn:aws:iam::%s:user/rotating' % ACCOUNT)
        self.iam.update_access_key(UserName='rotating', AccessKeyId=first[0], Status='Inactive')
        self.assertEqual(self.code(one.get_caller_identity), 'InvalidClientTokenId')
        two.get_caller_identity()
        self.assertEqual({k['AccessKeyId']: k['Status'] for k in self.iam.list_access_keys(UserName='rotating')['AccessKeyMetadata']},
                         {first[0]: 'Inactive', second[0]: 'Active'})
        self.iam.update_access_key(UserName='rotating', AccessKeyId=first[0], Status='Active')
        one.get_caller_identity()
        self.iam.delete_access_key(UserName='rotating', AccessKeyId=first[0])
        self.assertEqual(self.code(one.get_caller_identity), 'InvalidClientTokenId')
        self.assertEqual(self.code(self.iam.delete_access_key, UserName='rotating', AccessKeyId=first[0]), 'NoSuchEntity')
        self.assertEqual(self.code(self.iam.delete_user, UserName='rotating'), 'DeleteConflict')
        two.get_caller_identity()

    def test_last_use_outlives_a_stop(self):
        key = self.user('lasting')
        self.client('sts', *key).get_caller_identity()
        used = self.iam.get_access_key_last_used(AccessKeyId=key[0])
        self.assertEqual((used['UserName'], used['AccessKeyLastUsed']['ServiceName'], used['AccessKeyLastUsed']['Region']), ('lasting', 'sts', 'us-east-1'))
        self.s.down()
        self.s.up()
        iam = self.client('iam', self.s.env['AWS_ACCESS_KEY_ID'], self.s.env['AWS_SECRET_ACCESS_KEY'])
        self.assertEqual(iam.get_access_key_last_used(AccessKeyId=key[0])['AccessKeyLastUsed'], used['AccessKeyLastUsed'])
        type(self).iam = iam

    def test_versions_of_a_policy_count_at_once(self):
        kms = self.client('kms', *self.user('versioned'))
        arn = self.iam.create_policy(PolicyName='versions', PolicyDocument=document(allow('kms:ListKeys')))['Policy']['Arn']
        self.iam.attach_user_policy(UserName='versioned', PolicyArn=arn)
        kms.list_keys()
        self.iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow('kms:ListAliases')), SetAsDefault=True)
        self.assertEqual(self.code(kms.list_keys), 'AccessDeniedException')
        kms.list_aliases()
        self.iam.set_default_policy_version(PolicyArn=arn, VersionId='v1')
        kms.list_keys()
        for _ in range(3):
            self.iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow('kms:*')))
        self.assertEqual(self.code(self.iam.create_policy_version, PolicyArn=arn, PolicyDocument=document(allow('kms:*'))), 'LimitExceeded')
        self.assertEqual(self.code(self.iam.delete_policy_version, PolicyArn=arn, VersionId='v1'), 'DeleteConflict')
        self.iam.delete_policy_version(PolicyArn=arn, VersionId='v2')
        self.assertEqual([(v['VersionId'], v['IsDefaultVersion']) for v in self.iam.list_policy_versions(PolicyArn=arn)['Versions']],
                         [('v5', False), ('v4', False), ('v3', False), ('v1', True)])
        limit = self.iam.create_policy(PolicyName='limit', PolicyDocument=document(allow('kms:ListAliases')))['Policy']['Arn']
        self.iam.put_user_permissions_boundary(UserName='versioned', PermissionsBoundary=limit)
        self.assertEqual(self.code(kms.list_keys), 'AccessDeniedException')
        self.iam.delete_user_permissions_boundary(UserName='versioned')
        kms.list_keys()

    def test_a_role_as_terraform_leads_it(self):
        """made, read back whole, changed, and removed in the order that DeleteConflict asks for"""
        iam, name = self.iam, 'loader'
        tags = [{'Key': 'team', 'Value': 'données'}]
        made = iam.create_role(RoleName=name, Path='/etl/', AssumeRolePolicyDocument=json.dumps(TRUST), Description='loads', MaxSessionDuration=7200, Tags=tags)
        policy = iam.create_policy(PolicyName='read', Path='/etl/', PolicyDocument=document(allow('s3:GetObject')), Tags=tags)['Policy']['Arn']
        iam.attach_role_policy(RoleName=name, PolicyArn=policy)
        iam.put_role_policy(RoleName=name, PolicyName='inline', PolicyDocument=document(allow('kms:Decrypt')))
        role = iam.get_role(RoleName=name)['Role']
        self.assertEqual((role['Arn'], role['Path'], role['MaxSessionDuration'], role['Tags'], role['AssumeRolePolicyDocument']),
                         (made['Role']['Arn'], '/etl/', 7200, tags, TRUST))
        self.assertEqual(iam.list_role_policies(RoleName=name)['PolicyNames'], ['inline'])
        self.assertEqual(iam.list_attached_role_policies(RoleName=name)['AttachedPolicies'], [{'PolicyName': 'read', 'PolicyArn': policy}])
        self.assertEqual(iam.list_policy_tags(PolicyArn=policy)['Tags'], tags)
        self.assertEqual([r['RoleName'] for r in iam.list_entities_for_policy(PolicyArn=policy)['PolicyRoles']], [name])
        iam.tag_policy(PolicyArn=policy, Tags=[{'Key': 'stage', 'Value': 'test'}])
        iam.untag_policy(PolicyArn=policy, TagKeys=['team'])
        self.assertEqual(iam.get_policy(PolicyArn=policy)['Policy']['Tags'], [{'Key': 'stage', 'Value': 'test'}])
        iam.update_role(RoleName=name, Description='loads more', MaxSessionDuration=3600)
        other = json.loads(json.dumps(TRUST).replace('redshift', 'ec2'))
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(other))
        role = iam.get_role(RoleName=name)['Role']
        self.assertEqual((role['Description'], role['MaxSessionDuration'], role['AssumeRolePolicyDocument']), ('loads more', 3600, other))
        self.assertEqual(iam.list_instance_profiles_for_role(RoleName=name)['InstanceProfiles'], [])
        self.assertEqual(self.code(iam.delete_role, RoleName=name), 'DeleteConflict')
        self.assertEqual(self.code(iam.delete_policy, PolicyArn=policy), 'DeleteConflict')
        iam.delete_role_policy(RoleName=name, PolicyName='inline')
        self.assertEqual(self.code(iam.delete_role, RoleName=name), 'DeleteConflict')
        iam.detach_role_policy(RoleName=name, PolicyArn=policy)
        iam.delete_policy(PolicyArn=policy)
        iam.delete_role(RoleName=name)
        self.assertEqual(self.code(iam.get_role, RoleName=name), 'NoSuchEntity')
        self.assertEqual(self.code(iam.list_policy_tags, PolicyArn=policy), 'NoSuchEntity')

    def test_pages_and_prefixes(self):
        names = ['page%02d' % i for i in range(7)]
        for i, n in enumerate(names):
            self.iam.create_group(GroupName=n, Path='/pages/%s/' % ('even' if i % 2 == 0 else 'odd'))
        pages = list(self.iam.get_paginator('list_groups').paginate(PathPrefix='/pages/', PaginationConfig={'PageSize': 3}))
        self.assertEqual([len(p['Groups']) for p in pages], [3, 3, 1])
        self.assertEqual([g['GroupName'] for p in pages for g in p['Groups']], names)
        self.assertEqual([g['GroupName'] for g in self.iam.list_groups(PathPrefix='/pages/odd/')['Groups']], names[1::2])
        for n in names:
            self.iam.delete_group(GroupName=n)


if __name__ == '__main__':
    unittest.main()
