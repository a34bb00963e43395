"""KMS: every member of every operation that is built, accepted and refused."""
import datetime
import json
import os
import subprocess

from harness import ACCOUNT, ROOT
from json_suite import JsonSuite
from model import document, given

NO_STORES = 'there are no custom key stores'
NO_ENCLAVE = 'no attestation document can be checked, and without it the plaintext would be given out'
UNSUPPORTED = {('CreateKey', 'CustomKeyStoreId'): NO_STORES, ('CreateKey', 'XksKeyId'): NO_STORES, ('GenerateRandom', 'CustomKeyStoreId'): NO_STORES,
               ('Decrypt', 'Recipient'): NO_ENCLAVE, ('GenerateDataKey', 'Recipient'): NO_ENCLAVE, ('GenerateRandom', 'Recipient'): NO_ENCLAVE}


def under(name, *members):
    """an answer's member and what is always in it"""
    return (name,) + tuple('%s.%s' % (name, m) for m in members)


METADATA = under('KeyMetadata', 'AWSAccountId', 'KeyId', 'Arn', 'CreationDate', 'Enabled', 'Description', 'KeyUsage', 'KeyState', 'Origin',
                 'KeyManager', 'CustomerMasterKeySpec', 'KeySpec', 'EncryptionAlgorithms', 'MultiRegion')
GRANTS = ('Grants', 'Truncated') + under('Grants[]', 'KeyId', 'GrantId', 'CreationDate', 'GranteePrincipal', 'IssuingAccount', 'Operations')
DATA_KEY = ('CiphertextBlob', 'KeyId', 'KeyMaterialId')
ALWAYS = {
    'CancelKeyDeletion': ('KeyId',),
    'CreateGrant': ('GrantId', 'GrantToken'),
    'CreateKey': METADATA,
    'Decrypt': ('KeyId', 'Plaintext', 'EncryptionAlgorithm', 'KeyMaterialId'),
    'DeleteImportedKeyMaterial': ('KeyId', 'KeyMaterialId'),
    'DescribeKey': METADATA,
    'Encrypt': ('CiphertextBlob', 'KeyId', 'EncryptionAlgorithm'),
    'GenerateDataKey': DATA_KEY + ('Plaintext',),
    'GenerateDataKeyWithoutPlaintext': DATA_KEY,
    'GenerateRandom': ('Plaintext',),
    'GetKeyPolicy': ('Policy', 'PolicyName'),
    'GetKeyRotationStatus': ('KeyRotationEnabled', 'KeyId'),
    'GetParametersForImport': ('KeyId', 'ImportToken', 'PublicKey', 'ParametersValidTo'),
    'ImportKeyMaterial': ('KeyId', 'KeyMaterialId'),
    'ListAliases': ('Aliases', 'Truncated') + under('Aliases[]', 'AliasName', 'AliasArn', 'TargetKeyId', 'CreationDate', 'LastUpdatedDate'),
    'ListGrants': GRANTS,
    'ListKeyPolicies': ('PolicyNames', 'Truncated'),
    'ListKeyRotations': ('Rotations', 'Truncated') + under('Rotations[]', 'KeyId', 'KeyMaterialId', 'KeyMaterialState'),
    'ListKeys': ('Keys', 'Truncated') + under('Keys[]', 'KeyId', 'KeyArn'),
    'ListResourceTags': ('Tags', 'Truncated') + under('Tags[]', 'TagKey', 'TagValue'),
    'ListRetirableGrants': GRANTS,
    'ReEncrypt': ('CiphertextBlob', 'SourceKeyId', 'KeyId', 'SourceEncryptionAlgorithm', 'DestinationEncryptionAlgorithm', 'SourceKeyMaterialId',
                  'DestinationKeyMaterialId'),
    'RotateKeyOnDemand': ('KeyId',),
    'ScheduleKeyDeletion': ('KeyId', 'DeletionDate', 'KeyState', 'PendingWindowInDays'),
}
SYMMETRIC = ['Decrypt', 'Encrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext', 'ReEncryptFrom', 'ReEncryptTo', 'CreateGrant', 'RetireGrant',
             'DescribeKey']
VALIDATION, NOT_FOUND, UNBUILT = 'ValidationException', 'NotFoundException', 'UnsupportedOperationException'
DRY = 'The request would have succeeded, but the DryRun option is set.'
NO_KEY = '12345678-1234-1234-1234-123456789012'
ARN = 'arn:aws:kms:us-east-1:%s:' % ACCOUNT
USER = 'arn:aws:iam::%s:user/grantee' % ACCOUNT
ROTATIONS_LIMIT = 25


def later():
    """the members of answers, of AWS's newest model"""
    with open(os.path.join(ROOT, 'tests/golden/kms/model.txt'), encoding='utf-8') as f:
        lines = [line.split() for line in f]
    return {(f[0], f[2].rstrip('[]')) for f in lines if len(f) > 2 and f[1] == 'out'}


class Kms(JsonSuite):
    absent_code = UNBUILT

    def __init__(self, s):
        super().__init__('kms', s.env, UNSUPPORTED, ALWAYS, later=later())
        self.exact = 'ListKeyRotations' in self.model.operation_names  # an old model has other bounds and enums
        self.grantee = self.user('grantee')

    def key(self, **params):
        return self.accept('CreateKey', params)['KeyMetadata']

    def would(self, op, params, client=None):
        """all of it is right: only DryRun keeps the call from succeeding"""
        params = dict(params, DryRun=True)
        if self.refuse(op, 'DryRun', params, 'DryRunOperationException', client=client, text=DRY):
            shape = self.model.operation_model(op).input_shape
            self.accepted.setdefault(op, set()).update(given(shape, self.fit(op, params)))

    def pages(self, op, params, name, of):
        """page by page of one, and all at once: the same items"""
        whole = [of(i) for i in self.accept(op, dict(params, Limit=100), read_back=lambda a: not a['Truncated'])[name]]
        found, marker = [], {}
        while True:
            page = self.accept(op, dict(params, Limit=1, **marker))
            assert len(page[name]) <= 1, page
            found += [of(i) for i in page[name]]
            assert page['Truncated'] == ('NextMarker' in page), page
            if not page['Truncated']:
                break
            marker = {'Marker': page['NextMarker']}
        assert len(whole) > 1 and found == whole, (found, whole)


ROOT_ALLOWED = {'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::%s:root' % ACCOUNT}, 'Action': 'kms:*', 'Resource': '*'}
POLICY = document(ROOT_ALLOWED)
LOCKED = document(dict(ROOT_ALLOWED, Action='kms:Encrypt'))
LOCKOUT = 'The new key policy will not allow you to update the key policy in the future.'


# -- keys and their names -----------------------------------------------------------------------------------------


def create_key(t):
    made = t.key(Description='first', KeyUsage='ENCRYPT_DECRYPT', KeySpec='SYMMETRIC_DEFAULT', Origin='AWS_KMS', MultiRegion=False, Policy=POLICY,
                 BypassPolicyLockoutSafetyCheck=False, Tags=[{'TagKey': 'team', 'TagValue': 'red'}])
    t.accept('DescribeKey', {'KeyId': made['KeyId']}, read_back=lambda a: a['KeyMetadata'] == made)
    wanted = {'Description': 'first', 'KeyUsage': 'ENCRYPT_DECRYPT', 'KeySpec': 'SYMMETRIC_DEFAULT', 'Origin': 'AWS_KMS', 'MultiRegion': False}
    assert wanted.items() <= made.items() and made['KeyState'] == 'Enabled', made
    t.accept('GetKeyPolicy', {'KeyId': made['Arn']}, read_back=lambda a: json.loads(a['Policy']) == json.loads(POLICY))
    t.accept('ListResourceTags', {'KeyId': made['KeyId']}, read_back=lambda a: a['Tags'] == [{'TagKey': 'team', 'TagValue': 'red'}])
    assert t.key(CustomerMasterKeySpec='SYMMETRIC_DEFAULT')['KeySpec'] == 'SYMMETRIC_DEFAULT'
    locked = t.key(Policy=LOCKED, BypassPolicyLockoutSafetyCheck=True)
    t.refuse('DescribeKey', 'KeyId', {'KeyId': locked['KeyId']}, 'AccessDeniedException')
    t.accept('ListAliases', {'KeyId': locked['KeyId']}, read_back=lambda a: a['Aliases'] == [])  # identity policies alone decide
    for member, params, code, text in (
            ('Policy', {'Policy': LOCKED}, 'MalformedPolicyDocumentException', LOCKOUT),
            ('Policy', {'Policy': '{'}, 'MalformedPolicyDocumentException', ''),
            ('Policy', {'Policy': document(dict(ROOT_ALLOWED, Principal={'AWS': USER + 'x'}))}, 'MalformedPolicyDocumentException',
             'Policy contains a statement with one or more invalid principals.'),
            ('Policy', {'Policy': document(dict(ROOT_ALLOWED, Sid='x' * 33000))}, 'LimitExceededException', ''),
            ('BypassPolicyLockoutSafetyCheck', {'Policy': LOCKED, 'BypassPolicyLockoutSafetyCheck': False}, 'MalformedPolicyDocumentException', LOCKOUT),
            ('KeySpec', {'KeySpec': 'RSA_2048'}, VALIDATION,
             'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.'),
            ('KeySpec', {'KeySpec': 'RSA_2048', 'KeyUsage': 'SIGN_VERIFY'}, UNBUILT, 'KeySpec RSA_2048 is not supported.'),
            ('KeyUsage', {'KeyUsage': 'SIGN_VERIFY'}, VALIDATION, 'KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT'),
            ('CustomerMasterKeySpec', {'CustomerMasterKeySpec': 'SYMMETRIC_DEFAULT', 'KeySpec': 'SYMMETRIC_DEFAULT'}, VALIDATION,
             'You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.'),
            ('Origin', {'Origin': 'AWS_CLOUDHSM'}, UNBUILT, ''),
            ('MultiRegion', {'MultiRegion': True}, UNBUILT, 'Multi-Region keys are not supported.'),
            ('CustomKeyStoreId', {'CustomKeyStoreId': 'cks-1234567890abcdef0'}, UNBUILT, 'Custom key stores are not supported.'),
            ('XksKeyId', {'XksKeyId': 'x'}, UNBUILT, 'Custom key stores are not supported.'),
            ('Tags', {'Tags': [{'TagKey': 'k%d' % i, 'TagValue': ''} for i in range(51)]}, 'TagException', 'Too many tags'),
            ('Tags[].TagKey', {'Tags': [{'TagKey': 'aws:x', 'TagValue': 'y'}]}, 'TagException', 'Tags beginning with aws: are reserved'),
            ('Tags[].TagKey', {'Tags': [{'TagKey': 'x', 'TagValue': v} for v in 'ab']}, 'TagException', 'Duplicate tag keys')):
        t.refuse('CreateKey', member, params, code, text=text)
    t.refuse('CreateKey', 'Description', {'Description': 'x'}, 'AccessDeniedException', client=t.grantee, text=(
        'User: %s is not authorized to perform: kms:CreateKey on resource: * because no identity-based policy allows the kms:CreateKey action' % USER))


def key_ids(t, key, other):
    """each form of a key's name, and each way to get it wrong"""
    arn = key['Arn']
    t.accept('CreateAlias', {'AliasName': 'alias/ids', 'TargetKeyId': arn})
    for name in (key['KeyId'], arn, 'alias/ids', ARN + 'alias/ids'):
        t.accept('DescribeKey', {'KeyId': name}, read_back=lambda a: a['KeyMetadata']['Arn'] == arn)
    t.accept('DeleteAlias', {'AliasName': 'alias/ids'})
    wrong = (('x', NOT_FOUND, "Invalid keyId 'x'"), (NO_KEY, NOT_FOUND, "Key '%skey/%s' does not exist" % (ARN, NO_KEY)),
             ('mrk-' + 32 * 'a', NOT_FOUND, "Key '%skey/mrk-%s' does not exist" % (ARN, 32 * 'a')), ('mrk-x', NOT_FOUND, "Invalid keyId 'mrk-x'"),
             (ARN + 'key/' + NO_KEY, NOT_FOUND, "Key '%skey/%s' does not exist" % (ARN, NO_KEY)),
             (arn.replace('us-east-1', 'eu-west-1'), NOT_FOUND, 'Invalid arn eu-west-1'),
             ('arn:aws:s3:::bucket/key', 'InvalidArnException', 'Invalid arn arn:aws:s3:::bucket/key'),
             (arn.replace(ACCOUNT, '111111111111'), 'AccessDeniedException', 'because the resource does not exist in this Region'))
    t.accept('CreateAlias', {'AliasName': 'alias/right', 'TargetKeyId': arn})
    for op, body in right_bodies(t, key, other):
        for member in sorted({'KeyId', 'TargetKeyId', 'SourceKeyId', 'DestinationKeyId'} & set(t.members(op))):
            aliased = op in ('DescribeKey', 'Decrypt', 'Encrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext', 'ReEncrypt')
            alias = (('alias/none', NOT_FOUND, 'Alias %salias/none is not found.' % ARN),) if aliased else (
                ('alias/none', VALIDATION, 'Aliases must refer to keys. Not aliases') if member == 'TargetKeyId' else
                ('alias/none', NOT_FOUND, "Invalid keyId 'alias/none'"),)
            for value, code, text in wrong + alias:
                body = dict(body, AliasName='alias/new') if op == 'CreateAlias' else body
                t.refuse_raw(op, member, dict(body, **{member: value}), code, text=text)
    t.accept('DeleteAlias', {'AliasName': 'alias/right'})


def aliases(t, key, other):
    t.accept('CreateAlias', {'AliasName': 'alias/one', 'TargetKeyId': key['KeyId']})
    t.accept('CreateAlias', {'AliasName': 'alias/two', 'TargetKeyId': other['KeyId']})
    t.accept('ListAliases', {'KeyId': key['Arn']}, read_back=lambda a: [x['AliasName'] for x in a['Aliases']] == ['alias/one'])
    t.accept('UpdateAlias', {'AliasName': 'alias/two', 'TargetKeyId': key['Arn']})
    t.accept('ListAliases', {'KeyId': key['KeyId']}, read_back=lambda a: [(x['AliasName'], x['AliasArn'], x['TargetKeyId']) for x in a['Aliases']] == [
        ('alias/' + n, ARN + 'alias/' + n, key['KeyId']) for n in ('one', 'two')])
    t.pages('ListAliases', {}, 'Aliases', lambda a: a['AliasName'])
    t.refuse('ListAliases', 'Marker', {'Marker': 'x'}, 'InvalidMarkerException')
    t.refuse('CreateAlias', 'AliasName', {'AliasName': 'alias/one', 'TargetKeyId': other['KeyId']}, 'AlreadyExistsException',
             text='An alias with the name %salias/one already exists' % ARN)
    for op in ('CreateAlias', 'UpdateAlias', 'DeleteAlias'):
        for name, code, text in (('one', VALIDATION, 'Alias must start with the prefix "alias/". Please see '
                                  'https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html'),
                                 ('alias/a:b', VALIDATION, 'alias/a:b contains invalid characters for an alias'),
                                 ('alias/aws/mine', 'NotAuthorizedException', '')):
            t.refuse(op, 'AliasName', {'AliasName': name, 'TargetKeyId': key['KeyId']}, code, text=text)
    for op in ('UpdateAlias', 'DeleteAlias'):
        t.refuse(op, 'AliasName', {'AliasName': 'alias/none', 'TargetKeyId': key['KeyId']}, NOT_FOUND, text='Alias %salias/none is not found.' % ARN)
    for name in ('one', 'two'):
        t.accept('DeleteAlias', {'AliasName': 'alias/' + name})
    t.accept('ListAliases', {'KeyId': key['KeyId']}, read_back=lambda a: a['Aliases'] == [])


def tags(t, key):
    one = {'KeyId': key['KeyId']}
    t.accept('TagResource', dict(one, Tags=[{'TagKey': k, 'TagValue': v} for k, v in (('a', '1'), ('b', ''), ('c', '3'))]))
    t.pages('ListResourceTags', one, 'Tags', lambda tag: (tag['TagKey'], tag['TagValue']))
    t.accept('UntagResource', dict(one, TagKeys=['a', 'c']))
    t.accept('ListResourceTags', one, read_back=lambda a: a['Tags'] == [{'TagKey': 'b', 'TagValue': ''}])
    for member, tag in (('Tags', {'TagKey': 'AWS:x', 'TagValue': 'y'}), ('Tags[].TagKey', {'TagKey': 'aws:x', 'TagValue': 'y'})):
        t.refuse('TagResource', member, dict(one, Tags=[tag]), 'TagException', text='Tags beginning with aws: are reserved')
    t.refuse('TagResource', 'Tags', dict(one, Tags=[{'TagKey': 'k%d' % i, 'TagValue': ''} for i in range(50)]), 'LimitExceededException')
    t.refuse('UntagResource', 'TagKeys', dict(one, TagKeys=['k%d' % i for i in range(51)]), 'TagException', text='Too many tags')
    t.accept('ListResourceTags', one, read_back=lambda a: len(a['Tags']) == 1)


def policies(t, key):
    one = {'KeyId': key['KeyId']}
    new = document(ROOT_ALLOWED, dict(ROOT_ALLOWED, Principal={'AWS': USER}, Action='kms:ListKeyPolicies'))
    t.refuse('ListKeyPolicies', 'KeyId', one, 'AccessDeniedException', client=t.grantee)
    t.accept('PutKeyPolicy', dict(one, PolicyName='default', Policy=new, BypassPolicyLockoutSafetyCheck=False))
    t.accept('GetKeyPolicy', dict(one, PolicyName='default'), read_back=lambda a: json.loads(a['Policy']) == json.loads(new)
             and a.get('PolicyName', 'default') == 'default')
    t.accept('ListKeyPolicies', one, t.grantee, read_back=lambda a: a['PolicyNames'] == ['default'])
    for more in ({'Limit': 1}, {'Marker': 'default'}):
        t.accept('ListKeyPolicies', dict(one, **more), read_back=lambda a: a['PolicyNames'] == ['default'] and not a['Truncated'])
    for op in ('GetKeyPolicy', 'PutKeyPolicy'):
        t.refuse(op, 'PolicyName', dict(one, PolicyName='other', Policy=POLICY), NOT_FOUND, text='No such policy exists')
    t.refuse('PutKeyPolicy', 'Policy', dict(one, Policy='[]'), 'MalformedPolicyDocumentException')
    for bypass in ({}, {'BypassPolicyLockoutSafetyCheck': False}):
        t.refuse('PutKeyPolicy', 'BypassPolicyLockoutSafetyCheck', dict(one, Policy=LOCKED, **bypass), 'MalformedPolicyDocumentException', text=LOCKOUT)
    gone = t.key()['KeyId']
    t.accept('PutKeyPolicy', {'KeyId': gone, 'Policy': LOCKED, 'BypassPolicyLockoutSafetyCheck': True})
    t.refuse('GetKeyPolicy', 'KeyId', {'KeyId': gone}, 'AccessDeniedException')


def life(t):
    key = t.key()
    one, arn = {'KeyId': key['Arn']}, key['Arn']

    def described(**wanted):
        t.accept('DescribeKey', one, read_back=lambda a: wanted.items() <= a['KeyMetadata'].items())
    t.accept('UpdateKeyDescription', dict(one, Description='second'))
    described(Description='second')
    t.accept('DisableKey', one)
    described(KeyState='Disabled', Enabled=False)
    t.refuse('Encrypt', 'KeyId', dict(one, Plaintext=b'x'), 'DisabledException', text='%s is disabled.' % arn)
    t.accept('EnableKey', one)
    described(KeyState='Enabled', Enabled=True)
    t.refuse('CancelKeyDeletion', 'KeyId', one, 'KMSInvalidStateException', text='%s is not pending deletion.' % arn)
    t.accept('ScheduleKeyDeletion', dict(one, PendingWindowInDays=7), read_back=lambda a: a['KeyId'] == arn and a['PendingWindowInDays'] == 7
             and a['KeyState'] == 'PendingDeletion' and datetime.timedelta(6) < a['DeletionDate'] - key['CreationDate'] < datetime.timedelta(8))
    described(KeyState='PendingDeletion', Enabled=False)
    for op, more in (('Encrypt', {'Plaintext': b'x'}), ('ScheduleKeyDeletion', {}), ('EnableKey', {}), ('DisableKey', {}), ('TagResource', {'Tags': []}),
                     ('UntagResource', {'TagKeys': []}), ('UpdateKeyDescription', {'Description': 'x'}), ('EnableKeyRotation', {}),
                     ('DisableKeyRotation', {})):
        t.refuse(op, 'KeyId', dict(one, **more), 'KMSInvalidStateException', text='%s is pending deletion.' % arn)
    t.accept('CancelKeyDeletion', one, read_back=lambda a: a['KeyId'] == arn)
    described(KeyState='Disabled', Enabled=False)
    t.pages('ListKeys', {}, 'Keys', lambda k: (k['KeyId'], k['KeyArn']))
    t.refuse('ListKeys', 'Marker', {'Marker': 'x'}, 'InvalidMarkerException')
    t.refuse('ListKeys', 'Limit', {'Limit': 1}, 'AccessDeniedException', client=t.grantee)


def rotation(t):
    one = {'KeyId': t.key()['Arn']}
    t.accept('GetKeyRotationStatus', one, read_back=lambda a: a['KeyRotationEnabled'] is False)
    t.accept('EnableKeyRotation', dict(one, RotationPeriodInDays=90))
    t.accept('GetKeyRotationStatus', one, read_back=lambda a: a['KeyRotationEnabled'] and a.get('RotationPeriodInDays', 90) == 90)
    t.accept('DisableKeyRotation', one)
    t.accept('GetKeyRotationStatus', one, read_back=lambda a: not a['KeyRotationEnabled'] and 'NextRotationDate' not in a)
    outside = {'KeyId': t.key(Origin='EXTERNAL')['Arn']}
    for op in ('EnableKeyRotation', 'DisableKeyRotation', 'GetKeyRotationStatus'):
        t.refuse(op, 'KeyId', outside, UNBUILT, text='%s origin is EXTERNAL which is not valid for this operation.' % outside['KeyId'])
    if not t.exact:
        return
    first = t.accept('DescribeKey', one)['KeyMetadata']['CurrentKeyMaterialId']
    t.accept('RotateKeyOnDemand', one, read_back=lambda a: a['KeyId'] == one['KeyId'])
    second = t.accept('DescribeKey', one)['KeyMetadata']['CurrentKeyMaterialId']
    t.accept('ListKeyRotations', one, read_back=lambda a: [r['KeyMaterialId'] for r in a['Rotations']] == [second]
             and a['Rotations'][0]['RotationType'] == 'ON_DEMAND' and a['Rotations'][0]['KeyMaterialState'] == 'CURRENT')
    t.accept('ListKeyRotations', dict(one, IncludeKeyMaterial='ALL_KEY_MATERIAL'), read_back=lambda a: [
        (r['KeyMaterialId'], r['KeyMaterialState']) for r in a['Rotations']] == [(first, 'NON_CURRENT'), (second, 'CURRENT')])
    t.pages('ListKeyRotations', dict(one, IncludeKeyMaterial='ALL_KEY_MATERIAL'), 'Rotations', lambda r: r['KeyMaterialId'])
    t.refuse('ListKeyRotations', 'Marker', dict(one, Marker='x'), 'InvalidMarkerException')
    for _ in range(ROTATIONS_LIMIT - 1):
        t.accept('RotateKeyOnDemand', one)
    t.refuse('RotateKeyOnDemand', 'KeyId', one, 'LimitExceededException', text=(
        'The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: %s'
        % one['KeyId']))


# -- uses ---------------------------------------------------------------------------------------------------------


def uses(t, key, other):
    arn, context, algorithm = key['Arn'], {'App': 'loads', 'Zone': '1'}, 'SYMMETRIC_DEFAULT'
    blob = t.accept('Encrypt', {'KeyId': arn, 'Plaintext': b'text', 'EncryptionContext': context, 'EncryptionAlgorithm': algorithm},
                    read_back=lambda a: a['KeyId'] == arn and a['EncryptionAlgorithm'] == algorithm)['CiphertextBlob']
    opened = {'CiphertextBlob': blob, 'EncryptionContext': context, 'KeyId': key['KeyId'], 'EncryptionAlgorithm': algorithm}
    t.accept('Decrypt', opened, read_back=lambda a: (a['Plaintext'], a['KeyId']) == (b'text', arn))
    again = t.accept('ReEncrypt', {'CiphertextBlob': blob, 'SourceEncryptionContext': context, 'SourceKeyId': arn, 'DestinationKeyId': other['KeyId'],
                                   'DestinationEncryptionContext': {'New': 'x'}, 'SourceEncryptionAlgorithm': algorithm,
                                   'DestinationEncryptionAlgorithm': algorithm},
                     read_back=lambda a: (a['SourceKeyId'], a['KeyId']) == (arn, other['Arn']))['CiphertextBlob']
    t.accept('Decrypt', {'CiphertextBlob': again, 'EncryptionContext': {'New': 'x'}}, read_back=lambda a: (a['Plaintext'], a['KeyId']) == (
        b'text', other['Arn']))
    data_keys(t, key, context)
    for member, change, code, text in (
            ('CiphertextBlob', {'CiphertextBlob': b'x' + blob}, 'InvalidCiphertextException', ''),
            ('CiphertextBlob', {'CiphertextBlob': blob[:-1]}, 'InvalidCiphertextException', ''),
            ('EncryptionContext', {'EncryptionContext': {'App': 'loads', 'Zone': '2'}}, 'InvalidCiphertextException', ''),
            ('EncryptionContext', {'EncryptionContext': {}}, 'InvalidCiphertextException', ''),
            ('KeyId', {'KeyId': other['KeyId']}, 'IncorrectKeyException',
             'The key ID in the request does not identify a CMK that can perform this operation.'),
            ('EncryptionAlgorithm', {'EncryptionAlgorithm': 'RSAES_OAEP_SHA_1'}, 'InvalidKeyUsageException', ''),
            ('Recipient', {'Recipient': {'KeyEncryptionAlgorithm': 'RSAES_OAEP_SHA_256', 'AttestationDocument': b'x'}}, UNBUILT,
             'Recipient is not supported.'),
            ('DryRun', {'DryRun': True}, 'DryRunOperationException', DRY)):
        t.refuse('Decrypt', member, dict(opened, **change), code, text=text)
    moved = {'CiphertextBlob': blob, 'SourceEncryptionContext': context, 'DestinationKeyId': other['KeyId']}
    for member, change, code in (
            ('CiphertextBlob', {'CiphertextBlob': b'x'}, 'InvalidCiphertextException'),
            ('SourceEncryptionContext', {'SourceEncryptionContext': {}}, 'InvalidCiphertextException'),
            ('SourceKeyId', {'SourceKeyId': other['KeyId']}, 'IncorrectKeyException'),
            ('SourceEncryptionAlgorithm', {'SourceEncryptionAlgorithm': 'RSAES_OAEP_SHA_1'}, 'InvalidKeyUsageException'),
            ('DestinationEncryptionAlgorithm', {'DestinationEncryptionAlgorithm': 'RSAES_OAEP_SHA_1'}, 'InvalidKeyUsageException')):
        t.refuse('ReEncrypt', member, dict(moved, **change), code)
    for op in ('Decrypt', 'ReEncrypt'):
        t.refuse(op, 'CiphertextBlob', {k: v for k, v in dict(moved, KeyId=arn).items() if k != 'CiphertextBlob'}, VALIDATION,
                 text="1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null")
    t.refuse('Encrypt', 'EncryptionAlgorithm', {'KeyId': arn, 'Plaintext': b'x', 'EncryptionAlgorithm': 'RSAES_OAEP_SHA_256'}, 'InvalidKeyUsageException')
    dry_runs(t, key, other, blob, context)


def data_keys(t, key, context):
    one = {'KeyId': key['KeyId'], 'EncryptionContext': context}
    for size, length in (({'KeySpec': 'AES_256'}, 32), ({'KeySpec': 'AES_128'}, 16), ({'NumberOfBytes': 1024}, 1024)):
        made = t.accept('GenerateDataKey', dict(one, **size), read_back=lambda a: len(a['Plaintext']) == length and a['KeyId'] == key['Arn'])
        blind = t.accept('GenerateDataKeyWithoutPlaintext', dict(one, **size), read_back=lambda a: a['KeyId'] == key['Arn'])
        t.accept('Decrypt', {'CiphertextBlob': made['CiphertextBlob'], 'EncryptionContext': context}, read_back=lambda a: a['Plaintext'] == made['Plaintext'])
        t.accept('Decrypt', {'CiphertextBlob': blind['CiphertextBlob'], 'EncryptionContext': context}, read_back=lambda a: len(a['Plaintext']) == length)
        for m in (made, blind):
            t.refuse('Decrypt', 'EncryptionContext', {'CiphertextBlob': m['CiphertextBlob']}, 'InvalidCiphertextException')
    for op in ('GenerateDataKey', 'GenerateDataKeyWithoutPlaintext'):
        for member, size in (('KeySpec', {'KeySpec': 'AES_256', 'NumberOfBytes': 32}), ('NumberOfBytes', {})):
            t.refuse(op, member, dict(one, **size), VALIDATION, text='Please specify either number of bytes or key spec.')
    recipient = {'KeyEncryptionAlgorithm': 'RSAES_OAEP_SHA_256', 'AttestationDocument': b'x'}
    t.refuse('GenerateDataKey', 'Recipient', dict(one, KeySpec='AES_256', Recipient=recipient), UNBUILT, text='Recipient is not supported.')
    drawn = [t.accept('GenerateRandom', {'NumberOfBytes': 32}, read_back=lambda a: len(a['Plaintext']) == 32)['Plaintext'] for _ in '12']
    assert drawn[0] != drawn[1]
    for member, params, code, text in (('NumberOfBytes', {}, VALIDATION, 'NumberOfBytes is required.'),
                                       ('CustomKeyStoreId', {'NumberOfBytes': 1, 'CustomKeyStoreId': 'x'}, UNBUILT, 'Custom key stores are not supported.'),
                                       ('Recipient', {'NumberOfBytes': 1, 'Recipient': recipient}, UNBUILT, 'Recipient is not supported.')):
        t.refuse('GenerateRandom', member, params, code, text=text)
    t.refuse('GenerateRandom', 'NumberOfBytes', {'NumberOfBytes': 1}, 'AccessDeniedException', client=t.grantee)


def dry_runs(t, key, other, blob, context):
    one = {'KeyId': key['KeyId']}
    t.would('Encrypt', dict(one, Plaintext=b'x'))
    t.would('GenerateDataKey', dict(one, KeySpec='AES_256'))
    t.would('GenerateDataKeyWithoutPlaintext', dict(one, KeySpec='AES_256'))
    t.would('Decrypt', {'CiphertextBlob': blob, 'EncryptionContext': context})
    t.would('Decrypt', dict(one, DryRunModifiers=['IGNORE_CIPHERTEXT']))
    moved = {'SourceEncryptionContext': context, 'DestinationKeyId': other['KeyId']}
    t.would('ReEncrypt', dict(moved, CiphertextBlob=blob))
    t.would('ReEncrypt', dict(moved, SourceKeyId=key['KeyId'], DryRunModifiers=['IGNORE_CIPHERTEXT']))
    for op, params in (('Decrypt', {}), ('ReEncrypt', {'DestinationKeyId': other['KeyId']})):
        t.refuse(op, 'DryRunModifiers', dict(params, DryRunModifiers=['IGNORE_CIPHERTEXT']), VALIDATION)
        t.refuse(op, 'DryRunModifiers', dict(params, DryRun=True, DryRunModifiers=['IGNORE_CIPHERTEXT']), VALIDATION)
    # A dry run asks for the same rights.
    for op, params in (('Encrypt', dict(one, Plaintext=b'x')), ('GenerateDataKey', dict(one, KeySpec='AES_256')),
                       ('GenerateDataKeyWithoutPlaintext', dict(one, KeySpec='AES_256')), ('Decrypt', dict(one, DryRunModifiers=['IGNORE_CIPHERTEXT'])),
                       ('ReEncrypt', dict(moved, CiphertextBlob=blob))):
        t.refuse(op, 'DryRun', dict(params, DryRun=True), 'AccessDeniedException', client=t.grantee)


# -- grants -------------------------------------------------------------------------------------------------------


def create_grants(t, key, other):
    one, grantee = {'KeyId': key['KeyId']}, {'GranteePrincipal': USER}
    full = dict(one, RetiringPrincipal=USER, Operations=['Decrypt', 'DescribeKey', 'Encrypt'], Name='full', DryRun=False, **grantee,
                Constraints={'EncryptionContextSubset': {'A': '1'}, 'EncryptionContextEquals': {'A': '1', 'B': '2'}})
    made = t.accept('CreateGrant', full)
    t.accept('CreateGrant', full, read_back=lambda a: a['GrantId'] == made['GrantId'])  # Name
    t.accept('ListGrants', dict(one, GrantId=made['GrantId']), read_back=lambda a: len(a['Grants']) == 1 and all(
        a['Grants'][0][k] == v for k, v in full.items() if k not in ('KeyId', 'DryRun', 'Operations')) and a['Grants'][0]['KeyId'] == key['Arn']
             and sorted(a['Grants'][0]['Operations']) == full['Operations'])
    t.accept('Encrypt', dict(one, Plaintext=b'x', EncryptionContext={'A': '1', 'B': '2'}), t.grantee)
    for context in ({'A': '1'}, {'A': '1', 'B': '2', 'C': '3'}, {}):
        t.refuse('Encrypt', 'EncryptionContext', dict(one, Plaintext=b'x', EncryptionContext=context), 'AccessDeniedException', client=t.grantee)
    t.would('CreateGrant', dict(one, Operations=['Decrypt'], Name='dry', **grantee))
    t.accept('ListGrants', one, read_back=lambda a: 'dry' not in [g.get('Name') for g in a['Grants']])
    for member, change, code, text in (
            ('GranteePrincipal', {'GranteePrincipal': USER + 'x'}, 'InvalidArnException', 'ARN does not refer to a valid principal: %sx' % USER),
            ('RetiringPrincipal', {'RetiringPrincipal': 'x'}, 'InvalidArnException', 'ARN does not refer to a valid principal: x'),
            ('Operations', {'Operations': []}, VALIDATION, ''),
            ('Operations', {'Operations': ['Sign']}, VALIDATION, 'Grant operation Sign is not supported for a key with KeyUsage ENCRYPT_DECRYPT.'),
            ('Constraints', {'Constraints': {'EncryptionContextEquals': {str(i): '' for i in range(9)}}}, VALIDATION, ''),
            ('Constraints.EncryptionContextEquals', {'Constraints': {'EncryptionContextEquals': {str(i): '' for i in range(9)}}}, VALIDATION, ''),
            ('Constraints.EncryptionContextSubset', {'Constraints': {'EncryptionContextSubset': {'A': 'x' * 385}}}, VALIDATION, ''),
            ('GrantTokens', {'GrantTokens': ['bm8=']}, 'InvalidGrantTokenException', 'Invalid grant token')):
        t.refuse('CreateGrant', member, dict(full, **change), code, text=text)
    t.refuse('CreateGrant', 'DryRun', dict(full, DryRun=True), 'AccessDeniedException', client=t.grantee)
    t.accept('RevokeGrant', dict(one, GrantId=made['GrantId'], DryRun=False))
    t.accept('ListGrants', one, read_back=lambda a: a['Grants'] == [])
    tokens(t, key, other)


def tokens(t, key, other):
    """A token names a grant that allows what follows; without the grant nothing is."""
    one = {'KeyId': key['KeyId']}
    calls = (('DescribeKey', one), ('Encrypt', dict(one, Plaintext=b'x')), ('GenerateDataKey', dict(one, KeySpec='AES_256')),
             ('GenerateDataKeyWithoutPlaintext', dict(one, KeySpec='AES_256')),
             ('CreateGrant', dict(one, GranteePrincipal=USER, Operations=['Encrypt'])),
             ('Decrypt', {'CiphertextBlob': t.client.encrypt(KeyId=key['KeyId'], Plaintext=b'x')['CiphertextBlob']}),
             ('ReEncrypt', {'CiphertextBlob': t.client.encrypt(KeyId=key['KeyId'], Plaintext=b'x')['CiphertextBlob'], 'DestinationKeyId': key['KeyId']}))
    for op, params in calls:
        t.refuse(op, 'GrantTokens', params, 'AccessDeniedException', client=t.grantee)
    made = t.accept('CreateGrant', dict(one, GranteePrincipal=USER, Operations=SYMMETRIC))
    for op, params in calls:
        t.accept(op, dict(params, GrantTokens=[made['GrantToken']]), t.grantee)
        t.refuse(op, 'GrantTokens', dict(params, GrantTokens=['bm8=']), 'InvalidGrantTokenException', client=t.grantee, text='Invalid grant token')
    t.refuse('DescribeKey', 'KeyId', {'KeyId': other['Arn'], 'GrantTokens': [made['GrantToken']]}, 'AccessDeniedException', client=t.grantee)


def end_grants(t, key):
    one = {'KeyId': key['Arn']}
    for grant in t.client.list_grants(**one)['Grants']:
        t.accept('RevokeGrant', dict(one, GrantId=grant['GrantId']))
    root = 'arn:aws:iam::%s:root' % ACCOUNT
    made = [t.accept('CreateGrant', dict(one, GranteePrincipal=p, RetiringPrincipal=USER, Operations=['Encrypt'])) for p in (USER, USER, root)]
    ids = [m['GrantId'] for m in made]
    t.pages('ListGrants', one, 'Grants', lambda g: g['GrantId'])
    t.accept('ListGrants', dict(one, GranteePrincipal=USER), read_back=lambda a: {g['GrantId'] for g in a['Grants']} == set(ids[:2]))
    t.pages('ListRetirableGrants', {'RetiringPrincipal': USER}, 'Grants', lambda g: (g['GrantId'], g['KeyId']))
    t.accept('ListRetirableGrants', {'RetiringPrincipal': USER}, read_back=lambda a: {g['GrantId'] for g in a['Grants']} == set(ids))
    t.accept('ListRetirableGrants', {'RetiringPrincipal': root}, read_back=lambda a: a['Grants'] == [])
    for op, more in (('ListGrants', one), ('ListRetirableGrants', {'RetiringPrincipal': USER})):
        t.refuse(op, 'Marker', dict(more, Marker='x'), 'InvalidMarkerException')
    t.refuse('ListGrants', 'GrantId', dict(one, GrantId='x'), 'InvalidGrantIdException', text='Invalid grant id')
    t.refuse('ListRetirableGrants', 'RetiringPrincipal', {'RetiringPrincipal': 'x'}, 'InvalidArnException')
    t.would('RetireGrant', {'GrantToken': made[0]['GrantToken']}, t.grantee)
    t.would('RevokeGrant', dict(one, GrantId=ids[0]))
    t.accept('RetireGrant', {'GrantToken': made[0]['GrantToken'], 'DryRun': False}, t.grantee)
    t.accept('ListGrants', one, read_back=lambda a: {g['GrantId'] for g in a['Grants']} == set(ids[1:]))
    t.accept('RetireGrant', dict(one, GrantId=ids[1]), t.grantee)
    t.accept('ListGrants', one, read_back=lambda a: [g['GrantId'] for g in a['Grants']] == ids[2:])
    both = 'Please specify either a grant token or a key ID and a grant ID.'
    for member, params, code, text in (('GrantToken', {'GrantToken': 'bm8='}, 'InvalidGrantTokenException', 'Invalid grant token'),
                                       ('GrantToken', {'GrantToken': made[2]['GrantToken'], 'GrantId': ids[2]}, VALIDATION, both),
                                       ('KeyId', dict(one), VALIDATION, both), ('GrantId', {'GrantId': ids[2]}, VALIDATION, both),
                                       ('GrantId', dict(one, GrantId='x'), 'InvalidGrantIdException', 'Invalid grant id'),
                                       ('GrantId', dict(one, GrantId=ids[0]), NOT_FOUND, 'Grant ID %s not found' % ids[0])):
        t.refuse('RetireGrant', member, params, code, text=text)
    for value, code in (('x', 'InvalidGrantIdException'), (ids[0], NOT_FOUND)):
        t.refuse('RevokeGrant', 'GrantId', dict(one, GrantId=value), code)
    for op in ('RetireGrant', 'RevokeGrant'):
        t.refuse(op, 'DryRun', dict(one, GrantId=ids[0], DryRun=True), NOT_FOUND)


# -- imported material --------------------------------------------------------------------------------------------


class Importer:
    """An EXTERNAL key, its parameters, and material wrapped for it by openssl."""

    def __init__(self, t, s, algorithm, spec):
        self.one = {'KeyId': t.key(Origin='EXTERNAL')['Arn']}
        self.digest = {'RSAES_OAEP_SHA_1': 'sha1', 'RSAES_OAEP_SHA_256': 'sha256'}[algorithm]
        self.ask = dict(self.one, WrappingAlgorithm=algorithm, WrappingKeySpec=spec)
        self.parameters = t.accept('GetParametersForImport', self.ask, read_back=lambda a: a['KeyId'] == self.one['KeyId'])
        self.public = s.write('%s.der' % spec, self.parameters['PublicKey'])

    def bits(self):
        text = subprocess.run(['openssl', 'pkey', '-pubin', '-inform', 'DER', '-in', self.public, '-noout', '-text'], stdout=subprocess.PIPE, check=True)
        return int(text.stdout.split(b'(')[1].split()[0])

    def request(self, material, **more):
        wrapped = subprocess.run(['openssl', 'pkeyutl', '-encrypt', '-pubin', '-keyform', 'DER', '-inkey', self.public, '-pkeyopt',
                                  'rsa_padding_mode:oaep', '-pkeyopt', 'rsa_oaep_md:' + self.digest], input=material, stdout=subprocess.PIPE, check=True)
        return dict(self.one, ImportToken=self.parameters['ImportToken'], EncryptedKeyMaterial=wrapped.stdout, **more)


def imports(t, s):
    forever = {'ExpirationModel': 'KEY_MATERIAL_DOES_NOT_EXPIRE'}
    i = Importer(t, s, 'RSAES_OAEP_SHA_256', 'RSA_2048')
    assert i.bits() == 2048
    t.refuse('Encrypt', 'KeyId', dict(i.one, Plaintext=b'x'), 'KMSInvalidStateException', text='%s is pending import.' % i.one['KeyId'])
    good = i.request(b'm' * 32, **forever)
    foreign = Importer(t, s, 'RSAES_OAEP_SHA_1', 'RSA_3072')
    assert foreign.bits() == 3072
    soon = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(1)
    for member, change, code, text in (
            ('ImportToken', {'ImportToken': b'x'}, 'InvalidImportTokenException', ''),
            ('ImportToken', {'ImportToken': foreign.parameters['ImportToken']}, 'InvalidImportTokenException', ''),
            ('EncryptedKeyMaterial', {'EncryptedKeyMaterial': b'x' * 256}, 'InvalidCiphertextException', ''),
            ('EncryptedKeyMaterial', i.request(b'm' * 31), 'IncorrectKeyMaterialException', ''),
            ('ValidTo', {'ExpirationModel': 'KEY_MATERIAL_EXPIRES'}, VALIDATION, 'A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES'),
            ('ValidTo', {'ExpirationModel': 'KEY_MATERIAL_EXPIRES', 'ValidTo': soon - datetime.timedelta(2)}, VALIDATION, ''),
            ('ValidTo', {'ExpirationModel': 'KEY_MATERIAL_EXPIRES', 'ValidTo': soon + datetime.timedelta(366)}, VALIDATION, ''),
            ('ExpirationModel', {'ValidTo': soon}, VALIDATION, 'ValidTo can not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE'),
            ('ImportType', {'ImportType': 'EXISTING_KEY_MATERIAL'}, 'IncorrectKeyMaterialException', ''),
            ('KeyMaterialId', {'KeyMaterialId': 64 * 'a', 'ImportType': 'NEW_KEY_MATERIAL'}, VALIDATION,
             'You can not specify a KeyMaterialId with ImportType NEW_KEY_MATERIAL'),
            ('KeyMaterialId', {'KeyMaterialId': 64 * 'a'}, 'IncorrectKeyMaterialException', '')):
        t.refuse('ImportKeyMaterial', member, dict(good, **change), code, text=text)
    t.accept('ImportKeyMaterial', dict(good, ImportType='NEW_KEY_MATERIAL', KeyMaterialDescription='mine'), read_back=lambda a: a.get('KeyId', i.one['KeyId'])
             == i.one['KeyId'])
    t.accept('DescribeKey', i.one, read_back=lambda a: (a['KeyMetadata']['ExpirationModel'], a['KeyMetadata']['KeyState']) == (
        'KEY_MATERIAL_DOES_NOT_EXPIRE', 'Enabled'))
    sealed = t.accept('Encrypt', dict(i.one, Plaintext=b'text'))['CiphertextBlob']
    material = listed(t, i, 'mine', 'IMPORTED')
    t.refuse('DeleteImportedKeyMaterial', 'KeyMaterialId', dict(i.one, KeyMaterialId=64 * 'a'), NOT_FOUND)
    t.accept('DeleteImportedKeyMaterial', dict(i.one, **material), read_back=lambda a: a.get('KeyId', i.one['KeyId']) == i.one['KeyId'])
    t.accept('DescribeKey', i.one, read_back=lambda a: a['KeyMetadata']['KeyState'] == 'PendingImport' and 'ExpirationModel' not in a['KeyMetadata'])
    listed(t, i, 'mine', 'PENDING_IMPORT')
    t.refuse('ImportKeyMaterial', 'EncryptedKeyMaterial', i.request(b'n' * 32, **forever), 'IncorrectKeyMaterialException')
    t.accept('ImportKeyMaterial', i.request(b'm' * 32, ExpirationModel='KEY_MATERIAL_EXPIRES', ValidTo=soon, ImportType='EXISTING_KEY_MATERIAL', **material))
    t.accept('DescribeKey', i.one, read_back=lambda a: a['KeyMetadata']['ValidTo'] == soon and a['KeyMetadata']['KeyState'] == 'Enabled')
    t.accept('Decrypt', {'CiphertextBlob': sealed}, read_back=lambda a: a['Plaintext'] == b'text')
    for member, change in (('WrappingAlgorithm', {'WrappingAlgorithm': 'RSAES_PKCS1_V1_5'}), ('WrappingKeySpec', {'WrappingKeySpec': 'SM2'})):
        if change[member] in t.model.operation_model('GetParametersForImport').input_shape.members[member].enum:
            t.refuse('GetParametersForImport', member, dict(i.ask, **change), UNBUILT)
    ours = t.key()['Arn']
    for op, params in (('GetParametersForImport', i.ask), ('ImportKeyMaterial', good), ('DeleteImportedKeyMaterial', {})):
        t.refuse(op, 'KeyId', dict(params, KeyId=ours), UNBUILT, text='%s origin is AWS_KMS which is not valid for this operation.' % ours)


def listed(t, i, description, state):
    """the key's one material as ListKeyRotations has it: its id"""
    if not t.exact:
        return {}
    answer = t.accept('ListKeyRotations', dict(i.one, IncludeKeyMaterial='ALL_KEY_MATERIAL'), read_back=lambda a: [
        (r['KeyMaterialDescription'], r['ImportState'], r['KeyMaterialState']) for r in a['Rotations']] == [(description, state, 'CURRENT')])
    return {'KeyMaterialId': answer['Rotations'][0]['KeyMaterialId']}


# -- wrong values -------------------------------------------------------------------------------------------------


def right_bodies(t, key, other):
    """(operation, a body with which nothing is wrong), as JSON writes it, of each built operation"""
    one = {'KeyId': key['KeyId']}
    alias = {'AliasName': 'alias/right', 'TargetKeyId': key['KeyId']}
    blob = json.loads(t.client.raw.content)['CiphertextBlob'] if t.client.encrypt(KeyId=key['KeyId'], Plaintext=b'x') else None
    more = {
        'CreateAlias': alias, 'UpdateAlias': alias, 'DeleteAlias': {'AliasName': 'alias/right'},
        'CreateGrant': dict(one, GranteePrincipal=USER, Operations=['Encrypt']),
        'CreateKey': {}, 'ListKeys': {}, 'GenerateRandom': {'NumberOfBytes': 1}, 'ListRetirableGrants': {'RetiringPrincipal': USER},
        'Decrypt': {'CiphertextBlob': blob}, 'ReEncrypt': {'CiphertextBlob': blob, 'DestinationKeyId': other['KeyId']},
        'Encrypt': dict(one, Plaintext='eA=='), 'GenerateDataKey': dict(one, KeySpec='AES_256'),
        'GenerateDataKeyWithoutPlaintext': dict(one, KeySpec='AES_256'),
        'GetParametersForImport': dict(one, WrappingAlgorithm='RSAES_OAEP_SHA_256', WrappingKeySpec='RSA_2048'),
        'ImportKeyMaterial': dict(one, ImportToken='eA==', EncryptedKeyMaterial='eA==', ExpirationModel='KEY_MATERIAL_DOES_NOT_EXPIRE'),
        'PutKeyPolicy': dict(one, Policy=POLICY), 'RetireGrant': dict(one, GrantId=64 * 'a'), 'RevokeGrant': dict(one, GrantId=64 * 'a'),
        'TagResource': dict(one, Tags=[]), 'UntagResource': dict(one, TagKeys=[]), 'UpdateKeyDescription': dict(one, Description='x'),
    }
    return [(op, more.get(op, one)) for op in sorted(t.accepted)]


def wrong_values(t, key, other):
    for op, body in right_bodies(t, key, other):
        t.sweep(op, body, {'PendingWindowInDays': (7, 30)})
    t.refuse_raw('Encrypt', 'Plaintext', {'KeyId': '', 'Plaintext': ''}, VALIDATION, text=(
        "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; "
        "Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1"))
    for body in (b'{', b'[]', b'"x"', b'\xff', b'{"KeyId":"a","KeyId":"b"}'):
        t.refuse_raw('DescribeKey', 'KeyId', body, 'SerializationException')


def run(s):
    """the suite, for what it counted"""
    t = Kms(s)
    create_key(t)
    key, other = t.key(), t.key()
    aliases(t, key, other)
    tags(t, key)
    life(t)
    rotation(t)
    create_grants(t, key, other)
    end_grants(t, key)
    policies(t, key)
    uses(t, key, other)
    imports(t, s)
    key_ids(t, key, other)
    wrong_values(t, key, other)
    return t
