"""STS: every member, accepted and refused."""
import time

from harness import ACCOUNT, allow
from model import Suite, document

NO_DEVICES = 'there are no MFA devices: no code can be right'
UNSUPPORTED = {
    ('AssumeRole', 'SerialNumber'): NO_DEVICES,
    ('AssumeRole', 'TokenCode'): NO_DEVICES,
    ('AssumeRole', 'ProvidedContexts'): 'contexts of an identity centre would change what the session may do',
    ('GetSessionToken', 'SerialNumber'): NO_DEVICES,
    ('GetSessionToken', 'TokenCode'): NO_DEVICES,
}
CREDENTIALS = ('Credentials',)
ALWAYS = {'AssumeRole': CREDENTIALS + ('AssumedRoleUser',), 'GetSessionToken': CREDENTIALS, 'GetCallerIdentity': ('Arn', 'UserId', 'Account'),
          'GetAccessKeyInfo': ('Account',), 'DecodeAuthorizationMessage': ('DecodedMessage',)}
VALIDATION = 'ValidationError'


def whoami(t, answer):
    c = answer['Credentials']
    return t.client_of({'AWS_ACCESS_KEY_ID': c['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': c['SecretAccessKey'], 'AWS_SESSION_TOKEN': c['SessionToken']})


def assume_role(t, s, user):
    trust = {'Version': '2012-10-17', 'Statement': [{
        'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::%s:user/conform' % ACCOUNT},
        'Action': ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
        'Condition': {'StringEquals': {'sts:ExternalId': 'ex:1', 'aws:RequestTag/team': 'red', 'sts:TransitiveTagKeys': 'team'}}}]}
    arn = t.role('conform', trust, allow('sts:GetAccessKeyInfo'))
    managed, narrow = (t.iam().create_policy(PolicyName=n, PolicyDocument=document(allow(a)))['Policy']['Arn']
                       for n, a in (('conform-all', '*'), ('conform-kms', 'kms:*')))
    good = {'RoleArn': arn, 'RoleSessionName': 'sess', 'DurationSeconds': 900, 'ExternalId': 'ex:1', 'SourceIdentity': 'alice',
            'Tags': [{'Key': 'team', 'Value': 'red'}], 'TransitiveTagKeys': ['team'], 'PolicyArns': [{'arn': managed}],
            'Policy': document({'Effect': 'Deny', 'Action': 'sts:GetAccessKeyInfo', 'Resource': '*'})}
    # ExternalId and the tags: the trust policy asks for them.
    got = t.accept('AssumeRole', good, user, read_back=lambda a: a['AssumedRoleUser']['Arn'].endswith(':assumed-role/conform/sess')
                   and a['SourceIdentity'] == 'alice' and a['PackedPolicySize'] > 0)
    # Policy and PolicyArns: the role may do it, and the session unless one of them is against it.
    info = {'AccessKeyId': s.env['AWS_ACCESS_KEY_ID']}
    t.refuse('GetAccessKeyInfo', 'AccessKeyId', info, 'AccessDenied', 403, whoami(t, got))
    free = {k: v for k, v in good.items() if k != 'Policy'}
    t.accept('GetAccessKeyInfo', info, whoami(t, t.accept('AssumeRole', free, user)), read_back=lambda a: a['Account'] == ACCOUNT)
    bound = t.accept('AssumeRole', dict(free, PolicyArns=[{'arn': narrow}]), user)
    t.refuse('GetAccessKeyInfo', 'AccessKeyId', info, 'AccessDenied', 403, whoami(t, bound))
    # DurationSeconds: against the default of an hour.
    left = got['Credentials']['Expiration'].timestamp() - time.time()
    assert left <= 905, left
    t.refuse('GetAccessKeyInfo', 'AccessKeyId', {'AccessKeyId': s.env['AWS_ACCESS_KEY_ID']}, 'AccessDenied', 403, whoami(t, got))
    for member, change, code, status in (
            ('RoleArn', {'RoleArn': 'short'}, VALIDATION, 400),
            ('RoleArn', {'RoleArn': arn + 'x'}, 'AccessDenied', 403),
            ('RoleSessionName', {'RoleSessionName': 'a b'}, VALIDATION, 400),
            ('RoleSessionName', {'RoleSessionName': 'x' * 65}, VALIDATION, 400),
            ('DurationSeconds', {'DurationSeconds': 899}, VALIDATION, 400),
            ('DurationSeconds', {'DurationSeconds': 3601}, VALIDATION, 400),
            ('DurationSeconds', {'DurationSeconds': 'long'}, VALIDATION, 400),
            ('ExternalId', {'ExternalId': 'e'}, VALIDATION, 400),
            ('ExternalId', {'ExternalId': 'ex:2'}, 'AccessDenied', 403),
            ('SourceIdentity', {'SourceIdentity': 'x'}, VALIDATION, 400),
            ('Tags', {'Tags': [{'Key': 'k%d' % i, 'Value': 'v'} for i in range(51)]}, VALIDATION, 400),
            ('Tags[].Key', {'Tags': [{'Key': 'aws:x', 'Value': 'red'}]}, VALIDATION, 400),
            ('Tags[].Value', {'Tags': [{'Key': 'team', 'Value': 'x' * 257}]}, VALIDATION, 400),
            ('Tags[].Value', {'Tags': [{'Key': 'team', 'Value': 'blue'}]}, 'AccessDenied', 403),
            ('TransitiveTagKeys', {'TransitiveTagKeys': ['other']}, VALIDATION, 400),
            ('PolicyArns', {'PolicyArns': [{'arn': managed}] * 11}, VALIDATION, 400),
            ('PolicyArns[].arn', {'PolicyArns': [{'arn': 'arn:aws:iam::aws:policy/NoSuchPolicy'}]}, VALIDATION, 400),
            ('Policy', {'Policy': '{'}, 'MalformedPolicyDocument', 400),
            ('SerialNumber', {'SerialNumber': 'arn:aws:iam::%s:mfa/x' % ACCOUNT}, 'AccessDenied', 403),
            ('TokenCode', {'TokenCode': '123456'}, 'AccessDenied', 403),
            ('ProvidedContexts', {'ProvidedContexts': [{'ProviderArn': 'arn:aws:iam::aws:contextProvider/x', 'ContextAssertion': 'abcd'}]}, VALIDATION, 400)):
        t.refuse('AssumeRole', member, dict(good, **change), code, status, user)


def user_operations(t, s, user):
    me = 'arn:aws:iam::%s:user/conform' % ACCOUNT
    t.accept('GetCallerIdentity', {}, user, read_back=lambda a: (a['Arn'], a['Account']) == (me, ACCOUNT))
    got = t.accept('GetSessionToken', {'DurationSeconds': 900}, user, read_back=lambda a: a['Credentials']['Expiration'].timestamp() - time.time() < 905)
    assert whoami(t, got).get_caller_identity()['Arn'] == me
    for member, params, code, status in (
            ('DurationSeconds', {'DurationSeconds': 129601}, VALIDATION, 400),
            ('DurationSeconds', {'DurationSeconds': 'long'}, VALIDATION, 400),
            ('SerialNumber', {'SerialNumber': 'GAHT12345678'}, 'AccessDenied', 403),
            ('TokenCode', {'TokenCode': '123456'}, 'AccessDenied', 403)):
        t.refuse('GetSessionToken', member, params, code, status, user)
    t.accept('GetAccessKeyInfo', {'AccessKeyId': s.env['AWS_ACCESS_KEY_ID']}, read_back=lambda a: a['Account'] == ACCOUNT)
    t.refuse('GetAccessKeyInfo', 'AccessKeyId', {'AccessKeyId': 'AKIA'}, VALIDATION)
    denied = t.refuse('GetAccessKeyInfo', 'AccessKeyId', {'AccessKeyId': s.env['AWS_ACCESS_KEY_ID']}, 'AccessDenied', 403, user)
    message = denied['Error']['EncodedAuthorizationMessage']
    t.accept('DecodeAuthorizationMessage', {'EncodedMessage': message}, read_back=lambda a: 'sts:GetAccessKeyInfo' in a['DecodedMessage'])
    t.refuse('DecodeAuthorizationMessage', 'EncodedMessage', {'EncodedMessage': 'x' + message}, 'InvalidAuthorizationMessageException')
    t.refuse('DecodeAuthorizationMessage', 'EncodedMessage', {'EncodedMessage': 'x' * 10241}, VALIDATION)


def run(s):
    """the suite, for what it counted"""
    t = Suite('sts', s.env, UNSUPPORTED, ALWAYS)
    user = t.user('conform', allow('sts:AssumeRole'))
    assume_role(t, s, user)
    user_operations(t, s, user)
    return t
