"""IAM: every member, accepted and refused. What the model says about members (needed, lengths, ranges, patterns, values) is refused one by one, made of
the model itself; what only IAM knows stands beside the accepted calls."""
import json
import re
import time

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError
from harness import ACCOUNT, SEALIFT, TRUST, allow
from model import Suite

ONE_PAGE = 'there are no instance profiles: no answer has a marker'
UNSUPPORTED = {('ListInstanceProfilesForRole', 'Marker'): ONE_PAGE}
LISTED, CREATED = 'lists say less', 'the answer to a creation says less'
NEVER = {'PasswordLastUsed': 'there are no passwords of a console', 'ListInstanceProfilesForRole Marker': ONE_PAGE, 'InstanceProfiles[]': ONE_PAGE,
         'CreateRole Role.Description': CREATED, 'CreateRole Role.MaxSessionDuration': CREATED, 'CreateRole Role.RoleLastUsed': CREATED,
         'CreatePolicy Policy.Description': CREATED, 'CreatePolicyVersion PolicyVersion.Document': CREATED, 'ListPolicyVersions Versions[].Document': LISTED}
NEVER.update(dict.fromkeys(('%s[].%s' % i for i in (
    ('Users', 'PermissionsBoundary'), ('Users', 'Tags'), ('Roles', 'PermissionsBoundary'), ('Roles', 'Tags'), ('Roles', 'RoleLastUsed'),
    ('Policies', 'Description'), ('Policies', 'Tags'))), LISTED))
VALIDATION, MISSING, THERE, INPUT, CONFLICT, LIMIT, POLICY = (
    'ValidationError', 'NoSuchEntity', 'EntityAlreadyExists', 'InvalidInput', 'DeleteConflict', 'LimitExceeded', 'MalformedPolicyDocument')
OTHER = '210987654321'
MINE = 'arn:aws:iam::%s:' % ACCOUNT
ADMIN = 'arn:aws:iam::aws:policy/AdministratorAccess'
NAME = 'The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-'
PATH = 'The specified value for %s is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.'
PREFIX = ('The specified value for pathPrefix is invalid. It must begin with the / character and contain only alphanumeric characters and/or / characters.')
TAG_KEYS = ('Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1, '
            'Member must satisfy regular expression pattern: %s, Member must not be null]')
# A value that a pattern does not fit, by the end of the member's path.
UNFIT = {'AccessKeyId': 'AKIA-AAAAAAAAAAAAAAA', 'VersionId': 'two', 'Marker': '\u4e00', 'Description': 'a \u2014 b', 'PolicyDocument': '{"\u4e00":1}',
         'AssumeRolePolicyDocument': '{"\u4e00":1}', 'Tags[].Key': 'a!', 'Tags[].Value': '<'}
VALUES = {'Status': 'Active, Inactive'}  # where the model has more than a client may ask for
PATTERNS = {'Description': r'[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*'}  # older models know another


def document(*statements):
    return json.dumps({'Version': '2012-10-17', 'Statement': list(statements)})


class Iam(Suite):
    def __init__(self, env):
        super().__init__('iam', env, UNSUPPORTED, never=NEVER)
        self.good = {}  # operation -> parameters that were accepted

    def accept(self, op, params=None, client=None, read_back=None):
        answer = super().accept(op, params, client, read_back)
        best = self.good.setdefault(op, {})
        if len(params or {}) > len(best):
            self.good[op] = params
        return answer

    def structure(self, shape, element, path, faults, always=()):
        super().structure(shape, element, path, faults, always)
        # Older models asked for it, though there is none before the first use.
        faults[:] = [f for f in faults if f != 'AccessKeyLastUsed.LastUsedDate is missing']

    def value(self, shape, e, path, faults):
        # AWS answers "Policy", whatever its model says (awsdocs/iam-user-guide, issue 82).
        if shape.name == 'PermissionsBoundaryAttachmentType' and e.text == 'Policy':
            return None
        return super().value(shape, e, path, faults)

    def every(self, op, *cases):
        """refusals of one operation: member, parameters, code, status, text"""
        for member, params, code, status, text in cases:
            self.refuse(op, member, params, code, status, text=text)

    def pages(self, op, params, items, names):
        """two pages of one item each, of a list that begins with these names"""
        def of(answer):
            return [i if isinstance(i, str) else next(v for k, v in i.items() if k in (
                'UserName', 'RoleName', 'GroupName', 'PolicyName', 'Key', 'VersionId', 'AccessKeyId') and (k != 'UserName' or 'AccessKeyId' not in i))
                for i in answer[items]]
        first = self.accept(op, dict(params, MaxItems=1), read_back=lambda a: a['IsTruncated'] and of(a) == names[:1])
        self.accept(op, dict(params, MaxItems=1, Marker=first['Marker']), read_back=lambda a: of(a) == names[1:2] and a['IsTruncated'] == (len(names) > 2))

    # -- what the model says ----------------------------------------------------------------------------------------

    def wrong_values(self, op, path, shape):
        """(value, what the validator says) for a member's shape"""
        limits, name = shape.metadata, path.split('.')[-1]
        low, high = limits.get('min'), limits.get('max')
        if shape.type_name == 'integer':
            return [(low - 1, 'Member must have value greater than or equal to %d' % low), (high + 1, 'Member must have value less than or equal to %d' % high),
                    ('many', 'Member must have value greater than or equal to %d' % low)]
        if shape.type_name == 'string' and shape.enum:
            return [('Other', 'Member must satisfy enum value set: [%s]' % VALUES.get(path, ', '.join(shape.enum)))]
        out = []
        if shape.type_name == 'string' and low:
            out.append(('x' * (low - 1), 'Member must have length greater than or equal to %d' % low))
        if shape.type_name == 'string' and high and high < 100000:
            out.append(('x' * (high + 1), 'Member must have length less than or equal to %d' % high))
        unfit = UNFIT.get(path, UNFIT.get(name))
        if shape.type_name == 'string' and unfit and limits.get('pattern'):
            out.append((unfit, 'Member must satisfy regular expression pattern: %s' % PATTERNS.get(name, limits['pattern'])))
        return out

    def by_model(self, op):
        good, shape = self.good[op], self.model.operation_model(op).input_shape

        def refused(path, at, params, what):
            self.refuse(op, path, params, VALIDATION, text="1 validation error detected: Value at '%s' failed to satisfy constraint: %s" % (at, what))
        for name, m in shape.members.items() if shape else ():
            at = name[0].lower() + name[1:]
            if name in shape.required_members:
                refused(name, at, {k: v for k, v in good.items() if k != name}, 'Member must not be null')
            for value, what in self.wrong_values(op, name, m):
                refused(name, at, dict(good, **{name: value}), what)
            if m.type_name == 'boolean':
                self.refuse(op, name, good, VALIDATION, text="Value at '%s' failed to satisfy constraint" % at,
                            change=lambda request, name=name: request['body'].update({name: 'maybe'}))
            if name == 'Tags':
                refused(name, at, dict(good, Tags=[{'Key': 'k%d' % i, 'Value': ''} for i in range(51)]), 'Member must have length less than or equal to 50')
                for part in ('Key', 'Value'):
                    tag = {'Key': 'k', 'Value': 'v'}
                    for value, what in self.wrong_values(op, 'Tags[].' + part, m.member.members[part]):
                        refused('Tags[].' + part, 'tags.1.member.' + part.lower(), dict(good, Tags=[dict(tag, **{part: value})]), what)
            if name == 'TagKeys':
                refused(name, at, dict(good, TagKeys=['k%d' % i for i in range(51)]), 'Member must have length less than or equal to 50')
                for key in ('', 'k' * 129, 'a!'):
                    refused(name, at, dict(good, TagKeys=[key]), TAG_KEYS % m.member.metadata['pattern'])
            if name.endswith('Name'):
                self.refuse(op, name, dict(good, **{name: 'a b'}), VALIDATION, text=NAME % at)
            if name in ('Path', 'NewPath'):
                for bad in ('team', '/team', 'team/', '/te am/'):
                    self.refuse(op, name, dict(good, **{name: bad}), VALIDATION, text=PATH % at)
            if name == 'PathPrefix':
                for bad in ('team/', '/te am/'):
                    self.refuse(op, name, dict(good, **{name: bad}), VALIDATION, text=PREFIX)

    def denied(self, op, client):
        """whoever has no right to it learns nothing else"""
        try:
            self.call(op, self.fit(op, self.good[op]), client)
        except ClientError as e:
            self.validate_error(op, client.raw)
            if e.response['Error']['Code'] != 'AccessDenied' or 'is not authorized to perform: iam:%s on resource: ' % op not in e.response['Error']['Message']:
                raise AssertionError('%s: %r' % (op, e.response)) from None
            self.calls['refused'] += 1
        else:
            raise AssertionError('%s: anybody may' % op)


# -- users, roles and groups: what they have in common ------------------------------------------------------------------

def entity(t, kind, policy):
    """create, read, list, move, inline and managed policies"""
    name_of, low, one, two = kind + 'Name', kind.lower(), kind.lower() + '-1', kind.lower() + '-2'
    named = {name_of: one}
    trust = {'AssumeRolePolicyDocument': json.dumps(TRUST)} if kind == 'Role' else {}
    tags = {} if kind == 'Group' else {'Tags': [{'Key': 'team', 'Value': 'données'}, {'Key': 'empty', 'Value': ''}], 'PermissionsBoundary': policy}
    role = {'Description': 'loads', 'MaxSessionDuration': 7200} if kind == 'Role' else {}
    whole = dict(named, Path='/conform/a/', **trust, **tags, **role)
    arn = '%s%s/conform/a/%s' % (MINE, low, one)
    gone = 'The %s with name absent cannot be found.' % low

    def same(e):
        return (e[name_of], e['Path'], e['Arn'], e.get('Tags'), e.get('PermissionsBoundary', {}).get('PermissionsBoundaryArn')) == (
            one, '/conform/a/', arn, tags.get('Tags') and sorted(tags['Tags'], key=lambda x: x['Key']), tags.get('PermissionsBoundary'))
    t.accept('Create' + kind, whole, read_back=lambda a: same(a[kind]) if kind == 'Group' else a[kind]['Arn'] == arn)
    t.accept('Get' + kind, named, read_back=lambda a: same(a[kind]) and all(a[kind][k] == v for k, v in role.items())
             and a[kind].get('AssumeRolePolicyDocument') == (TRUST if kind == 'Role' else None))
    t.accept('Create' + kind, dict({name_of: two}, Path='/conform/b/', **trust))
    t.every('Create' + kind, (name_of, dict(whole, **{name_of: one.upper()}), THERE, 409, '%s with name %s already exists.' % (kind, one.upper())))
    if tags:
        t.every('Create' + kind,
                ('PermissionsBoundary', dict(whole, **{name_of: 'x', 'PermissionsBoundary': MINE + 'not_a_policy/x'}), INPUT, 400,
                 'ARN %snot_a_policy/x is not valid.' % MINE),
                ('PermissionsBoundary', dict(whole, **{name_of: 'x', 'PermissionsBoundary': policy + 'x'}), MISSING, 404,
                 'Scope ARN: %sx does not exist or is not attachable.' % policy),
                ('Tags[].Key', dict(whole, **{name_of: 'x', 'Tags': [{'Key': k, 'Value': ''} for k in ('A', 'a')]}), INPUT, 400,
                 'Duplicate tag keys found. Please note that Tag keys are case insensitive.'),
                ('Tags[].Key', dict(whole, **{name_of: 'x', 'Tags': [{'Key': 'AWS:a', 'Value': ''}]}), INPUT, 400, 'System tags cannot be added/updated/deleted.'))
    lists, items = 'List%ss' % kind, kind + 's'
    t.accept(lists, {'PathPrefix': '/conform/b'}, read_back=lambda a: [e[name_of] for e in a[items]] == [two])
    t.pages(lists, {'PathPrefix': '/conform/'}, items, [one, two])
    for op in ('Get', 'Delete', 'Update'):
        t.every(op + kind, (name_of, {name_of: 'absent'}, MISSING, 404, gone))
    inline(t, kind, named, gone)
    managed(t, kind, named, policy, gone)


def inline(t, kind, named, gone):
    name_of, low, of = kind + 'Name', kind.lower(), kind + 'Policy'
    texts = {'p1': document(allow('s3:GetObject')), 'p2': document(allow('kms:Decrypt'))}
    for name, text in texts.items():
        put = dict(named, PolicyName=name, PolicyDocument=text)
        t.accept('Put' + of, put)
        t.accept('Get' + of, dict(named, PolicyName=name), read_back=lambda a: a['PolicyDocument'] == json.loads(text) and a[name_of] == named[name_of])
    most = {'User': 2048, 'Role': 10240, 'Group': 5120}[kind]
    t.every('Put' + of,
            (name_of, dict(put, **{name_of: 'absent'}), MISSING, 404, gone),
            ('PolicyDocument', dict(put, PolicyDocument='{'), POLICY, 400, 'Syntax errors in policy.'),
            ('PolicyDocument', dict(put, PolicyDocument=document(allow('Get'))), POLICY, 400,
             'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.'),
            ('PolicyDocument', dict(put, PolicyDocument=document(allow('s3:Get', 'bucket'))), POLICY, 400, 'Resource bucket must be in ARN format or "*".'),
            ('PolicyDocument', dict(put, PolicyDocument=document(allow('s3:' + 'x' * most))), LIMIT, 409,
             'Maximum policy size of %d bytes exceeded for %s %s' % (most, low, named[name_of])))
    t.accept('Get' + of, dict(named, PolicyName='p2'), read_back=lambda a: a['PolicyDocument'] == json.loads(texts['p2']))
    t.pages('List%sPolicies' % kind, named, 'PolicyNames', ['p1', 'p2'])
    for op in ('Get', 'Delete'):
        t.every(op + of, (name_of, {name_of: 'absent', 'PolicyName': 'p1'}, MISSING, 404, gone),
                ('PolicyName', dict(named, PolicyName='p3'), MISSING, 404, 'The %s policy with name p3 cannot be found.' % low))
    t.every('List%sPolicies' % kind, (name_of, {name_of: 'absent'}, MISSING, 404, gone))
    for name in texts:
        t.accept('Delete' + of, dict(named, PolicyName=name))
    t.accept('List%sPolicies' % kind, named, read_back=lambda a: a['PolicyNames'] == [])


def managed(t, kind, named, policy, gone):
    name_of, of, lists = kind + 'Name', kind + 'Policy', 'ListAttached%sPolicies' % kind
    for arn in (ADMIN, policy, policy):
        t.accept('Attach' + of, dict(named, PolicyArn=arn))
    t.accept(lists, dict(named, PathPrefix='/conform/'), read_back=lambda a: a['AttachedPolicies'] == [{'PolicyName': 'limit', 'PolicyArn': policy}])
    t.pages(lists, named, 'AttachedPolicies', ['limit', 'AdministratorAccess'])
    t.every(lists, (name_of, {name_of: 'absent'}, MISSING, 404, gone))
    t.every('Attach' + of, ('PolicyArn', dict(named, PolicyArn=policy + 'x'), MISSING, 404, 'Policy %sx does not exist or is not attachable.' % policy),
            ('PolicyArn', dict(named, PolicyArn=policy.replace(ACCOUNT, OTHER)), MISSING, 404, 'does not exist or is not attachable.'))
    t.every('Detach' + of, ('PolicyArn', dict(named, PolicyArn='arn:aws:iam::aws:policy/IAMFullAccess'), MISSING, 404,
                            'Policy arn:aws:iam::aws:policy/IAMFullAccess was not found.'))
    for op in ('Attach', 'Detach'):
        t.every(op + of, (name_of, {name_of: 'absent', 'PolicyArn': policy}, MISSING, 404, gone),
                ('PolicyArn', dict(named, PolicyArn='longpolicynamebutnoarn'), VALIDATION, 400, 'ARN longpolicynamebutnoarn is not valid.'))
    uses(t, kind, named, policy)
    for arn in (ADMIN, policy):
        t.every('Delete' + kind, (name_of, named, CONFLICT, 409, 'Cannot delete entity, must detach all policies first.'))
        t.accept('Detach' + of, dict(named, PolicyArn=arn))
    t.accept(lists, named, read_back=lambda a: a['AttachedPolicies'] == [])


def uses(t, kind, named, policy):
    """ListEntitiesForPolicy, while the policy is attached to one of this kind"""
    op, listed, name = 'ListEntitiesForPolicy', 'Policy%ss' % kind, named[kind + 'Name']
    for params, there in (({'EntityFilter': kind}, True), ({'EntityFilter': 'Group' if kind == 'User' else 'User', 'PolicyUsageFilter': 'PermissionsPolicy'}, False),
                          ({'PathPrefix': '/conform/a/', 'PolicyUsageFilter': 'PermissionsPolicy'}, True), ({'PathPrefix': '/conform/b/'}, False),
                          ({'PolicyUsageFilter': 'PermissionsBoundary'}, kind != 'Group'), ({'EntityFilter': 'LocalManagedPolicy'}, False)):
        t.accept(op, dict({'PolicyArn': policy}, **params), read_back=lambda a: (name in [e[kind + 'Name'] for e in a[listed]]) == there)


def boundaries_and_tags(t, kind, policy):
    name_of, named, gone = kind + 'Name', {kind + 'Name': kind.lower() + '-2'}, 'The %s with name absent cannot be found.' % kind.lower()
    put, drop = 'Put%sPermissionsBoundary' % kind, 'Delete%sPermissionsBoundary' % kind
    t.accept(put, dict(named, PermissionsBoundary=policy))
    t.accept('Get' + kind, named, read_back=lambda a: a[kind]['PermissionsBoundary'] == {'PermissionsBoundaryType': 'Policy', 'PermissionsBoundaryArn': policy})
    t.every(put, (name_of, {name_of: 'absent', 'PermissionsBoundary': policy}, MISSING, 404, gone),
            ('PermissionsBoundary', dict(named, PermissionsBoundary=policy + 'x'), MISSING, 404, 'Scope ARN: %sx does not exist or is not attachable.' % policy),
            ('PermissionsBoundary', dict(named, PermissionsBoundary=MINE + 'not_a_policy/x'), INPUT, 400, 'ARN %snot_a_policy/x is not valid.' % MINE))
    t.accept(drop, named)
    t.accept('Get' + kind, named, read_back=lambda a: 'PermissionsBoundary' not in a[kind])
    t.every(drop, (name_of, named, MISSING, 404, 'does not have a permissions boundary.'), (name_of, {name_of: 'absent'}, MISSING, 404, gone))
    tags(t, kind, named, 'b')
    for op, more in (('Tag', {'Tags': [{'Key': 'a', 'Value': ''}]}), ('Untag', {'TagKeys': ['a']})):
        t.every(op + kind, (name_of, dict({name_of: 'absent'}, **more), MISSING, 404, gone))
    t.every('List%sTags' % kind, (name_of, {name_of: 'absent'}, MISSING, 404, gone))


def tags(t, kind, named, other_case):
    """Tag…, List…Tags, Untag…; `other_case`: what is left of "b" when it is set again as "B"."""
    def tag(**pairs):
        t.accept('Tag' + kind, dict(named, Tags=[{'Key': k, 'Value': v} for k, v in pairs.items()]))

    def now(**pairs):
        t.accept('List%sTags' % kind, named, read_back=lambda a: {x['Key']: x['Value'] for x in a['Tags']} == pairs)
    tag(a='1', b='')
    now(a='1', b='')
    t.pages('List%sTags' % kind, named, 'Tags', ['a', 'b'])
    tag(a='2')
    now(a='2', b='')
    if other_case == 'b':
        tag(B='3')
        now(a='2', B='3')
        t.accept('Untag' + kind, dict(named, TagKeys=['b']))
    else:
        tag(B='3')
        now(a='2', b='', B='3')
        t.accept('Untag' + kind, dict(named, TagKeys=['b', 'B']))
    now(a='2')
    t.every('Tag' + kind, ('Tags[].Key', dict(named, Tags=[{'Key': 'aws:x', 'Value': ''}]), INPUT, 400, 'System tags cannot be added/updated/deleted.'),
            ('Tags[].Key', dict(named, Tags=[{'Key': 'k', 'Value': ''}] * 2), INPUT, 400, 'Duplicate tag keys found.'),
            ('Tags', dict(named, Tags=[{'Key': 'k%d' % i, 'Value': ''} for i in range(50)]), LIMIT, 409, 'The number of tags has reached the maximum limit.'))
    now(a='2')
    t.every('List%sTags' % kind, ('Marker', dict(named, Marker='nothing'), VALIDATION, 400, 'Invalid Marker.'))


# -- each kind's own ------------------------------------------------------------------------------------------------------

def users_and_groups(t):
    both, absent = {'GroupName': 'group-1', 'UserName': 'user-1'}, 'The %s with name absent cannot be found.'
    for g in ('group-1', 'group-2'):
        t.accept('AddUserToGroup', {'GroupName': g, 'UserName': 'user-1'})
    t.accept('AddUserToGroup', {'GroupName': 'group-1', 'UserName': 'user-2'})
    t.accept('GetGroup', {'GroupName': 'group-2'}, read_back=lambda a: [u['UserName'] for u in a['Users']] == ['user-1'])
    t.pages('GetGroup', {'GroupName': 'group-1'}, 'Users', ['user-1', 'user-2'])
    t.pages('ListGroupsForUser', {'UserName': 'user-1'}, 'Groups', ['group-1', 'group-2'])
    t.every('ListGroupsForUser', ('UserName', {'UserName': 'absent'}, MISSING, 404, absent % 'user'))
    for op in ('AddUserToGroup', 'RemoveUserFromGroup'):
        t.every(op, ('GroupName', dict(both, GroupName='absent'), MISSING, 404, absent % 'group'), ('UserName', dict(both, UserName='absent'), MISSING, 404, absent % 'user'),
                ('UserName', {'GroupName': 'absent', 'UserName': 'absent'}, MISSING, 404, absent % 'user'))
    t.every('DeleteGroup', ('GroupName', {'GroupName': 'group-2'}, CONFLICT, 409, 'Cannot delete entity, must remove users from group first.'))
    t.every('DeleteUser', ('UserName', {'UserName': 'user-2'}, CONFLICT, 409, 'Cannot delete entity, must remove users from group first.'))
    for g, u in (('group-1', 'user-1'), ('group-1', 'user-2'), ('group-2', 'user-1'), ('group-2', 'user-1')):
        t.accept('RemoveUserFromGroup', {'GroupName': g, 'UserName': u})
    t.accept('GetGroup', {'GroupName': 'group-1'}, read_back=lambda a: a['Users'] == [])


def keys(t, s, me):
    made = [t.accept('CreateAccessKey', {'UserName': 'user-1'})['AccessKey'] for _ in range(2)]
    one, two = (k['AccessKeyId'] for k in made)
    of = {'UserName': 'user-1'}
    t.every('CreateAccessKey', ('UserName', of, LIMIT, 409, 'Cannot exceed quota for AccessKeysPerUser: 2'),
            ('UserName', {'UserName': 'absent'}, MISSING, 404, 'The user with name absent cannot be found.'))
    first = min(one, two) if made[0]['CreateDate'] == made[1]['CreateDate'] else one
    t.pages('ListAccessKeys', of, 'AccessKeyMetadata', [first, two if first == one else one])
    t.every('ListAccessKeys', ('UserName', {'UserName': 'absent'}, MISSING, 404, 'The user with name absent cannot be found.'),
            ('Marker', dict(of, Marker='nothing'), VALIDATION, 400, 'Invalid Marker.'))
    t.accept('UpdateAccessKey', dict(of, AccessKeyId=one, Status='Inactive'))
    t.accept('ListAccessKeys', of, read_back=lambda a: {k['AccessKeyId']: k['Status'] for k in a['AccessKeyMetadata']} == {one: 'Inactive', two: 'Active'})
    unknown = 'AKIAIOSFODNN7EXAMPLE'
    for op, more in (('UpdateAccessKey', {'Status': 'Active'}), ('DeleteAccessKey', {})):
        t.every(op, ('AccessKeyId', dict(of, AccessKeyId=unknown, **more), MISSING, 404, 'The Access Key with id %s cannot be found.' % unknown),
                ('AccessKeyId', dict(more, AccessKeyId=one), MISSING, 404, 'The Access Key with id %s cannot be found.' % one),
                ('UserName', dict(more, UserName='absent', AccessKeyId=one), MISSING, 404, 'The user with name absent cannot be found.'))
    t.every('DeleteUser', ('UserName', of, CONFLICT, 409, 'Cannot delete entity, must delete access keys first.'))
    for k in (one, two):
        t.accept('DeleteAccessKey', dict(of, AccessKeyId=k))
    t.accept('ListAccessKeys', of, read_back=lambda a: a['AccessKeyMetadata'] == [])
    last_used(t, s, me)
    # Without a name, the caller is meant.
    t.accept('ListAccessKeys', {}, me, read_back=lambda a: [k['UserName'] for k in a['AccessKeyMetadata']] == ['conform-iam'])
    t.accept('GetUser', {}, me, read_back=lambda a: a['User']['UserName'] == 'conform-iam')


def last_used(t, s, me):
    """of a key never used, of one in use, of a key that no longer is, of another account's, and of a role"""
    op, never = 'GetAccessKeyLastUsed', {'ServiceName': 'N/A', 'Region': 'N/A'}
    fresh = t.client.create_access_key(UserName='user-1')['AccessKey']
    own = {'AccessKeyId': me._request_signer._credentials.access_key}
    new = {'AccessKeyId': fresh['AccessKeyId']}
    t.accept(op, new, read_back=lambda a: (a['UserName'], a['AccessKeyLastUsed']) == ('user-1', never))
    kms = boto3.client('kms', endpoint_url=s.env['AWS_ENDPOINT_URL'], region_name='eu-west-3', verify=s.env['AWS_CA_BUNDLE'],
                       aws_access_key_id=fresh['AccessKeyId'], aws_secret_access_key=fresh['SecretAccessKey'], config=Config(retries={'max_attempts': 0}))
    before = int(time.time())
    try:
        kms.list_keys()  # denied: a use all the same
    except ClientError as e:
        assert e.response['Error']['Code'] == 'AccessDeniedException', e
    t.accept(op, new, read_back=lambda a: (a['AccessKeyLastUsed']['ServiceName'], a['AccessKeyLastUsed']['Region']) == ('kms', 'eu-west-3')
             and before <= a['AccessKeyLastUsed']['LastUsedDate'].timestamp() <= time.time())
    t.accept(op, own, me, read_back=lambda a: (a['UserName'], a['AccessKeyLastUsed']['ServiceName'], a['AccessKeyLastUsed']['Region']) == ('conform-iam', 'iam', 'us-east-1'))
    foreign = re.search(r'AKIA[A-Z2-7]{16}', s.run([SEALIFT, 'account', 'add', OTHER, '--data', s.data]).out).group()
    t.client.delete_access_key(UserName='user-1', AccessKeyId=fresh['AccessKeyId'])
    for key in (fresh['AccessKeyId'], foreign, 'AKIAIOSFODNN7EXAMPLE'):
        t.refuse(op, 'AccessKeyId', {'AccessKeyId': key}, 'AccessDenied', 403, me,
                 'User: %suser/conform-iam is not authorized to perform iam:GetAccessKeyLastUsed on resource: access key %s' % (MINE, key))
    t.good[op] = {'AccessKeyId': s.env['AWS_ACCESS_KEY_ID']}  # one that is there
    role_used(t, s, me)


def role_used(t, s, me):
    trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': ACCOUNT}, 'Action': 'sts:AssumeRole'}]}
    t.client.create_role(RoleName='used', AssumeRolePolicyDocument=json.dumps(trust))
    t.accept('GetRole', {'RoleName': 'used'}, read_back=lambda a: a['Role']['RoleLastUsed'] == {})
    sts = boto3.client('sts', endpoint_url=s.env['AWS_ENDPOINT_URL'], region_name='us-east-1', verify=s.env['AWS_CA_BUNDLE'],
                       aws_access_key_id=s.env['AWS_ACCESS_KEY_ID'], aws_secret_access_key=s.env['AWS_SECRET_ACCESS_KEY'])
    c = sts.assume_role(RoleArn=MINE + 'role/used', RoleSessionName='conform')['Credentials']
    session = t.client_of({'AWS_ACCESS_KEY_ID': c['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': c['SecretAccessKey'], 'AWS_SESSION_TOKEN': c['SessionToken']})
    t.refuse('GetUser', 'UserName', {'UserName': 'user-1'}, 'AccessDenied', 403, session)
    t.accept('GetRole', {'RoleName': 'used'}, read_back=lambda a: a['Role']['RoleLastUsed']['Region'] == 'us-east-1')
    t.client.delete_role(RoleName='used')


def roles(t, policy):
    named = {'RoleName': 'role-1'}
    ec2 = json.loads(json.dumps(TRUST).replace('redshift', 'ec2'))
    t.accept('UpdateRole', dict(named, Description='moves', MaxSessionDuration=43200))
    t.accept('GetRole', named, read_back=lambda a: (a['Role']['Description'], a['Role']['MaxSessionDuration']) == ('moves', 43200))
    t.accept('UpdateRole', named)
    t.accept('GetRole', named, read_back=lambda a: (a['Role']['Description'], a['Role']['MaxSessionDuration']) == ('moves', 43200))
    t.accept('UpdateAssumeRolePolicy', dict(named, PolicyDocument=json.dumps(ec2)))
    t.accept('GetRole', named, read_back=lambda a: a['Role']['AssumeRolePolicyDocument'] == ec2)
    create, update = {'RoleName': 'role-3', 'AssumeRolePolicyDocument': None}, dict(named, PolicyDocument=None)
    statement = ec2['Statement'][0]
    for change, code, status, text in (
            ('{', POLICY, 400, 'This policy contains invalid Json'),
            (document(dict(statement, Action='s3:GetObject')), POLICY, 400, 'AssumeRole policy may only specify STS AssumeRole actions.'),
            (document(dict(statement, Resource='*')), POLICY, 400, 'Has prohibited field Resource'),
            (document(dict(statement, Principal={'AWS': MINE + 'user/absent'})), POLICY, 400, 'Invalid principal in policy: "AWS":"%suser/absent"' % MINE),
            (document(dict(statement, Condition={'StringEquals': {'aws:SourceAccount': ['%012d' % i for i in range(400)]}})), LIMIT, 409,
             'Cannot exceed quota for ACLSizePerRole: 4096')):
        t.every('CreateRole', ('AssumeRolePolicyDocument', dict(create, AssumeRolePolicyDocument=change), code, status, text))
        t.every('UpdateAssumeRolePolicy', ('PolicyDocument', dict(update, PolicyDocument=change), code, status, text))
    t.accept('GetRole', named, read_back=lambda a: a['Role']['AssumeRolePolicyDocument'] == ec2)
    gone = 'The role with name absent cannot be found.'
    t.every('UpdateAssumeRolePolicy', ('RoleName', dict(update, RoleName='absent', PolicyDocument=json.dumps(TRUST)), MISSING, 404, gone))
    profiles = 'ListInstanceProfilesForRole'
    t.accept(profiles, dict(named, MaxItems=10), read_back=lambda a: a['InstanceProfiles'] == [])
    t.every(profiles, ('RoleName', {'RoleName': 'absent'}, MISSING, 404, gone), ('Marker', dict(named, Marker='x'), VALIDATION, 400, 'Invalid Marker.'))


def moves(t, kind):
    """UpdateUser and UpdateGroup: a new name and a new path, whose holder stays the same"""
    name_of, one, new = kind + 'Name', kind.lower() + '-1', 'New%sName' % kind
    was = t.accept('Get' + kind, {name_of: one})[kind]
    t.every('Update' + kind, (new, {name_of: one, new: kind.lower() + '-2'}, THERE, 409, '%s with name %s-2 already exists.' % (kind, kind.lower())))
    t.accept('Update' + kind, {name_of: one, new: one + 'x', 'NewPath': '/conform/c/'})
    t.accept('Get' + kind, {name_of: one + 'x'}, read_back=lambda a: (a[kind]['Path'], a[kind][kind + 'Id']) == ('/conform/c/', was[kind + 'Id']))
    t.every('Get' + kind, (name_of, {name_of: one}, MISSING, 404, 'The %s with name %s cannot be found.' % (kind.lower(), one)))
    t.accept('Update' + kind, {name_of: one + 'x', new: one})


def policies(t, policy):
    named, gone = {'PolicyArn': policy}, 'Policy %sx was not found.' % policy
    other = {'PolicyArn': policy.replace(ACCOUNT, OTHER)}
    t.accept('GetPolicy', named, read_back=lambda a: (a['Policy']['Path'], a['Policy']['Description'], a['Policy']['Tags']) == (
        '/conform/', 'ça', [{'Key': 'A', 'Value': '2'}, {'Key': 'a', 'Value': '1'}]))
    create = {'PolicyName': 'limit', 'PolicyDocument': document(allow('kms:*'))}
    t.every('CreatePolicy', ('PolicyName', create, THERE, 409, 'A policy called limit already exists. Duplicate names are not allowed.'),
            ('PolicyDocument', dict(create, PolicyName='x', PolicyDocument='{'), POLICY, 400, 'Syntax errors in policy.'),
            ('PolicyDocument', dict(create, PolicyName='x', PolicyDocument=document(allow('s3:' + 'x' * 6144))), LIMIT, 409, 'Cannot exceed quota for PolicySize: 6144'),
            ('Path', dict(create, PolicyName='x', Path='/a//b/'), VALIDATION, 400, PATH % 'path'),
            ('Tags[].Key', dict(create, PolicyName='x', Tags=[{'Key': 'k', 'Value': ''}] * 2), INPUT, 400, 'Duplicate tag keys found.'))
    t.accept('ListPolicies', {'Scope': 'Local', 'PathPrefix': '/conform/'}, read_back=lambda a: [p['PolicyName'] for p in a['Policies']] == ['limit', 'second'])
    t.pages('ListPolicies', {'Scope': 'Local', 'PathPrefix': '/conform/'}, 'Policies', ['limit', 'second'])
    t.accept('ListPolicies', {'Scope': 'AWS'}, read_back=lambda a: all(':aws:policy' in p['Arn'] for p in a['Policies']))
    t.accept('ListPolicies', {'OnlyAttached': True, 'Scope': 'All'}, read_back=lambda a: {'AdministratorAccess'} <= {p['PolicyName'] for p in a['Policies']}
             and all(p['AttachmentCount'] for p in a['Policies']))
    t.accept('ListPolicies', {'PolicyUsageFilter': 'PermissionsBoundary'}, read_back=lambda a: [p['PolicyName'] for p in a['Policies']] == ['limit'])
    bounded, page = [], {'PolicyArn': policy, 'PolicyUsageFilter': 'PermissionsBoundary', 'MaxItems': 1}
    for last in (False, True):
        a = t.accept('ListEntitiesForPolicy', page, read_back=lambda a: a['IsTruncated'] != last)
        bounded += [e[k] for e in a['PolicyUsers'] + a['PolicyRoles'] for k in ('UserName', 'RoleName') if k in e]
        page = dict(page, Marker=a.get('Marker'))
    assert sorted(bounded) == ['role-1', 'user-1'], bounded
    t.every('ListPolicies', ('Marker', {'Marker': 'nothing'}, VALIDATION, 400, 'Invalid Marker.'))
    tags(t, 'Policy', {'PolicyArn': policy.replace('limit', 'second')}, 'B')
    for op, more in (('GetPolicy', {}), ('DeletePolicy', {}), ('ListPolicyVersions', {}), ('ListPolicyTags', {}), ('ListEntitiesForPolicy', {}),
                     ('TagPolicy', {'Tags': [{'Key': 'a', 'Value': ''}]}), ('UntagPolicy', {'TagKeys': ['a']}),
                     ('CreatePolicyVersion', {'PolicyDocument': document(allow('kms:*'))})):
        t.every(op, ('PolicyArn', dict({'PolicyArn': policy + 'x'}, **more), MISSING, 404, gone),
                ('PolicyArn', dict(other, **more), MISSING, 404, 'was not found.'),
                ('PolicyArn', dict({'PolicyArn': 'longpolicynamebutnoarn'}, **more), VALIDATION, 400, 'ARN longpolicynamebutnoarn is not valid.'))
        if op.startswith(('Delete', 'Tag', 'Untag', 'Create')):
            t.every(op, ('PolicyArn', dict({'PolicyArn': ADMIN}, **more), 'AccessDenied', 403, 'Policy is outside your own account.'))
    versions(t, policy.replace('limit', 'second'))
    t.every('DeletePolicy', ('PolicyArn', named, CONFLICT, 409, 'Cannot delete a policy attached to entities.'))


def versions(t, policy):
    named, text = {'PolicyArn': policy}, document(allow('kms:List*'))
    t.accept('CreatePolicyVersion', dict(named, PolicyDocument=text), read_back=lambda a: not a['PolicyVersion']['IsDefaultVersion'])
    t.accept('CreatePolicyVersion', dict(named, PolicyDocument=text, SetAsDefault=True), read_back=lambda a: a['PolicyVersion']['VersionId'] == 'v3')
    t.accept('GetPolicy', named, read_back=lambda a: a['Policy']['DefaultVersionId'] == 'v3')
    t.accept('GetPolicyVersion', dict(named, VersionId='v2'), read_back=lambda a: a['PolicyVersion']['Document'] == json.loads(text))
    t.pages('ListPolicyVersions', named, 'Versions', ['v3', 'v2', 'v1'])
    t.every('ListPolicyVersions', ('Marker', dict(named, Marker='v9'), VALIDATION, 400, 'Invalid Marker.'))
    for op in ('GetPolicyVersion', 'SetDefaultPolicyVersion', 'DeletePolicyVersion'):
        for arn, version in ((policy, 'v9'), (policy, 'v1.x'), (policy + 'x', 'v1')):
            t.every(op, ('VersionId' if arn == policy else 'PolicyArn', {'PolicyArn': arn, 'VersionId': version}, MISSING, 404,
                         'Policy %s version %s does not exist or is not attachable.' % (arn, version)))
        t.every(op, ('PolicyArn', {'PolicyArn': 'longpolicynamebutnoarn', 'VersionId': 'v1'}, VALIDATION, 400, 'ARN longpolicynamebutnoarn is not valid.'))
    t.accept('SetDefaultPolicyVersion', dict(named, VersionId='v1'))
    t.accept('GetPolicy', named, read_back=lambda a: a['Policy']['DefaultVersionId'] == 'v1')
    t.every('DeletePolicyVersion', ('VersionId', dict(named, VersionId='v1'), CONFLICT, 409, 'Cannot delete the default version of a policy.'))
    t.every('CreatePolicyVersion', ('PolicyDocument', dict(named, PolicyDocument='{'), POLICY, 400, 'Syntax errors in policy.'))
    for _ in range(2):
        t.accept('CreatePolicyVersion', dict(named, PolicyDocument=text))
    t.every('CreatePolicyVersion', ('PolicyArn', dict(named, PolicyDocument=text), LIMIT, 409,
                                    'A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.'))
    t.every('DeletePolicy', ('PolicyArn', named, CONFLICT, 409, "This policy has more than one version. Before you delete a policy, you must delete the policy's versions."))
    for v in ('v2', 'v3', 'v4', 'v5'):
        t.accept('DeletePolicyVersion', dict(named, VersionId=v))
    t.accept('ListPolicyVersions', named, read_back=lambda a: [v['VersionId'] for v in a['Versions']] == ['v1'])
    t.accept('DeletePolicy', named)
    t.every('GetPolicy', ('PolicyArn', named, MISSING, 404, 'Policy %s was not found.' % policy))


def user(t, name, *statements):
    """a user's client, made without counting"""
    t.client.create_user(UserName=name)
    if statements:
        t.client.put_user_policy(UserName=name, PolicyName='p', PolicyDocument=document(*statements))
    k = t.client.create_access_key(UserName=name)['AccessKey']
    return t.client_of({'AWS_ACCESS_KEY_ID': k['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': k['SecretAccessKey']})


def run(s):
    """the suite, for what it counted"""
    t = Iam(s.env)
    nobody, me = user(t, 'conform-none'), user(t, 'conform-iam', allow('iam:*'))
    policy = t.accept('CreatePolicy', {'PolicyName': 'limit', 'Path': '/conform/', 'Description': 'ça', 'PolicyDocument': document(allow('kms:*')),
                                       'Tags': [{'Key': 'a', 'Value': '1'}, {'Key': 'A', 'Value': '2'}]})['Policy']['Arn']
    t.accept('CreatePolicy', {'PolicyName': 'second', 'Path': '/conform/', 'PolicyDocument': document(allow('s3:*'))})
    for kind in ('User', 'Role', 'Group'):
        entity(t, kind, policy)
    for kind in ('User', 'Role'):
        boundaries_and_tags(t, kind, policy)
    users_and_groups(t)
    keys(t, s, me)
    roles(t, policy)
    moves(t, 'User')
    moves(t, 'Group')
    policies(t, policy)
    for kind in ('User', 'Role', 'Group'):
        for n in (1, 2):
            t.accept('Delete' + kind, {kind + 'Name': '%s-%d' % (kind.lower(), n)})
        t.accept('List%ss' % kind, {'PathPrefix': '/conform/'}, read_back=lambda a: a[kind + 's'] == [])
    t.accept('DeletePolicy', {'PolicyArn': policy})
    for op in sorted(t.good):
        t.by_model(op)
        t.denied(op, nobody)
    two = "2 validation errors detected: Value at 'userName' failed to satisfy constraint: Member must not be null; Value at 'policyArn' failed to satisfy constraint"
    t.every('AttachUserPolicy', ('UserName', {'PolicyArn': 'short'}, VALIDATION, 400, two))
    return t
