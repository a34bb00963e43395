"""S3: every member of every operation, accepted and refused."""
import xml.etree.ElementTree as ET

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.serialize import create_serializer

import s3_objects
import s3_tags
from harness import ACCOUNT
from restxml import RestXml
from s3_cases import BUCKET, NAMESPACE, refused, rebody

CHECKSUMS = 'checksums are CRC32, CRC32C, CRC64NVME, SHA1 and SHA256'
CUSTOMER = 'SSE-C is blocked on every bucket, as AWS blocks it on new ones'
DIRECTORY = 'of directory buckets'
OWNER = 'Object Ownership is BucketOwnerEnforced: there are no ACLs'
LOCK = 'no bucket has Object Lock'
UNSUPPORTED = {
    'AccessControlPolicy': OWNER, 'GrantFullControl': OWNER, 'GrantRead': OWNER, 'GrantReadACP': OWNER, 'GrantWrite': OWNER, 'GrantWriteACP': OWNER,
    'ObjectLockMode': LOCK, 'ObjectLockRetainUntilDate': LOCK, 'ObjectLockLegalHoldStatus': LOCK,
    'SSECustomerAlgorithm': CUSTOMER, 'SSECustomerKey': CUSTOMER, 'SSECustomerKeyMD5': CUSTOMER,
    'CopySourceSSECustomerAlgorithm': CUSTOMER, 'CopySourceSSECustomerKey': CUSTOMER, 'CopySourceSSECustomerKeyMD5': CUSTOMER,
    'WebsiteRedirectLocation': 'there are no websites', 'MFA': 'there are no MFA devices', 'WriteOffsetBytes': DIRECTORY,
    'IfMatchLastModifiedTime': DIRECTORY, 'IfMatchSize': DIRECTORY, 'IfMatchInitiatedTime': DIRECTORY,
    'Delete.Objects[].LastModifiedTime': DIRECTORY, 'Delete.Objects[].Size': DIRECTORY,
    'CreateBucketConfiguration.Location': DIRECTORY, 'CreateBucketConfiguration.Bucket': DIRECTORY,
}
UNSUPPORTED.update({p + 'Checksum' + kind: CHECKSUMS for p in ('', 'MultipartUpload.Parts[].') for kind in ('SHA512', 'MD5', 'XXHASH64', 'XXHASH3', 'XXHASH128')})
ONLY = {('PutBucketAcl', 'ACL'): OWNER, ('ListMultipartUploads', 'Delimiter'): 'prefixes of uploads are not rolled up'}
ROOTS = {
    'ListBuckets': 'ListAllMyBucketsResult', 'GetBucketLocation': 'LocationConstraint', 'GetBucketEncryption': 'ServerSideEncryptionConfiguration',
    'ListObjectsV2': 'ListBucketResult', 'ListObjects': 'ListBucketResult', 'ListObjectVersions': 'ListVersionsResult',
    'ListMultipartUploads': 'ListMultipartUploadsResult', 'DeleteObjects': 'DeleteResult', 'GetBucketVersioning': 'VersioningConfiguration',
    'GetBucketAcl': 'AccessControlPolicy', 'GetObjectAcl': 'AccessControlPolicy', 'GetBucketLogging': 'BucketLoggingStatus',
    'GetBucketOwnershipControls': 'OwnershipControls', 'GetBucketNotificationConfiguration': 'NotificationConfiguration',
    'GetBucketNotification': 'NotificationConfiguration', 'GetBucketAccelerateConfiguration': 'AccelerateConfiguration',
    'GetBucketRequestPayment': 'RequestPaymentConfiguration', 'CreateMultipartUpload': 'InitiateMultipartUploadResult',
    'CompleteMultipartUpload': 'CompleteMultipartUploadResult', 'ListParts': 'ListPartsResult', 'CopyObject': 'CopyObjectResult',
    'UploadPartCopy': 'CopyPartResult', 'GetObjectAttributes': 'GetObjectAttributesResponse', 'GetObjectTagging': 'Tagging', 'GetBucketTagging': 'Tagging',
}
SSE = ('ETag', 'ServerSideEncryption')
READ = SSE + ('LastModified', 'ContentLength', 'ContentType', 'AcceptRanges')
LIST = ('Name', 'Prefix', 'MaxKeys', 'IsTruncated')
ALWAYS = {
    'ListBuckets': ('Owner', 'Buckets'), 'CreateBucket': ('Location',), 'HeadBucket': ('BucketRegion', 'AccessPointAlias'),
    'PutObject': SSE, 'GetObject': READ, 'HeadObject': READ, 'UploadPart': SSE, 'CopyObject': ('ETag', 'LastModified', 'ServerSideEncryption'),
    'UploadPartCopy': ('ETag', 'LastModified', 'ServerSideEncryption'), 'CreateMultipartUpload': ('Bucket', 'Key', 'UploadId', 'ServerSideEncryption'),
    'CompleteMultipartUpload': ('Location', 'Bucket', 'Key', 'ETag', 'ServerSideEncryption'),
    'ListObjects': LIST + ('Marker',), 'ListObjectsV2': LIST + ('KeyCount',), 'ListObjectVersions': LIST + ('KeyMarker', 'VersionIdMarker'),
    'ListMultipartUploads': ('Bucket', 'KeyMarker', 'UploadIdMarker', 'Prefix', 'MaxUploads', 'IsTruncated'),
    'ListParts': ('Bucket', 'Key', 'UploadId', 'PartNumberMarker', 'NextPartNumberMarker', 'MaxParts', 'IsTruncated', 'Initiator', 'Owner', 'StorageClass'),
    'GetBucketAcl': ('Owner', 'Grants'), 'GetObjectAcl': ('Owner', 'Grants'), 'GetObjectTagging': ('TagSet',), 'GetBucketTagging': ('TagSet',), 'GetObjectAttributes': ('LastModified',), 'GetBucketRequestPayment': ('Payer',),
    'GetBucketOwnershipControls': ('Rules',), 'GetBucketEncryption': ('Rules',),
}
# Debian's botocore does not know these yet.
NEWER = ('x-amz-checksum-type', 'x-amz-checksum-crc64nvme', 'ChecksumType', 'ChecksumCRC64NVME', 'CRC64NVME', 'BucketRegion', 'BlockedEncryptionTypes',
         'content-range', 'x-amz-bucket-region', 'x-amz-access-point-alias', 'x-amz-tagging-count')
STATUSES = {'PutBucketPolicy': (204,), 'PutBucketTagging': (204,), 'GetObject': (200, 206), 'HeadObject': (200, 206)}
# What no bucket or object here can have, in AWS's words.
NEVER = {
    'GetBucketCors': ('NoSuchCORSConfiguration', 404), 'GetBucketLifecycleConfiguration': ('NoSuchLifecycleConfiguration', 404),
    'GetBucketLifecycle': ('NoSuchLifecycleConfiguration', 404), 'GetBucketWebsite': ('NoSuchWebsiteConfiguration', 404),
    'GetBucketReplication': ('ReplicationConfigurationNotFoundError', 404), 'GetPublicAccessBlock': ('NoSuchPublicAccessBlockConfiguration', 404),
    'GetObjectLockConfiguration': ('ObjectLockConfigurationNotFoundError', 404),
    'GetObjectRetention': ('InvalidRequest', 400), 'GetObjectLegalHold': ('InvalidRequest', 400),
}
FIXED = {
    'GetBucketVersioning': lambda a: 'Status' not in a, 'GetBucketLogging': lambda a: 'LoggingEnabled' not in a,
    'GetBucketNotificationConfiguration': lambda a: len(a) == 1, 'GetBucketNotification': lambda a: len(a) == 1,
    'GetBucketAccelerateConfiguration': lambda a: 'Status' not in a, 'GetBucketRequestPayment': lambda a: a['Payer'] == 'BucketOwner',
    'GetBucketOwnershipControls': lambda a: a['OwnershipControls']['Rules'] == [{'ObjectOwnership': 'BucketOwnerEnforced'}],
    'GetBucketAcl': lambda a: [(g['Grantee']['Type'], g['Permission']) for g in a['Grants']] == [('CanonicalUser', 'FULL_CONTROL')],
    'GetObjectAcl': lambda a: [(g['Grantee']['ID'], g['Permission']) for g in a['Grants']] == [(a['Owner']['ID'], 'FULL_CONTROL')],
}


class S3(RestXml):
    bare_etags = ('GetObjectAttributes',)

    def document(self, op, payload, inside, raw, faults):
        if op != 'GetBucketLocation':
            return super().document(op, payload, inside, raw, faults)
        root = ET.fromstring(raw.content)  # the answer is the root's text
        if root.tag != '{%s}LocationConstraint' % NAMESPACE or len(root):
            faults.append('the root is %s' % root.tag)
        return None

    def send(self, method, target, service='s3'):
        """signed, by hand"""
        request = AWSRequest(method, self.env['AWS_ENDPOINT_URL'] + target, headers={'x-amz-content-sha256': 'UNSIGNED-PAYLOAD'})
        S3SigV4Auth(self.client._request_signer._credentials, service, 'us-east-1').add_auth(request)
        return self.client._endpoint.http_session.send(request.prepare())

    def unbuilt(self, op):
        if op == 'ListDirectoryBuckets':  # asked of another service, which is not here
            return self.send('GET', '/', 's3express').status_code >= 400
        http = self.model.operation_model(op).http
        raw = self.send(http['method'], http['requestUri'].replace('{Bucket}', BUCKET).replace('{Key+}', 'thing'))
        if raw.status_code < 400:
            return False
        self.validate_error(op, raw)
        root = ET.fromstring(raw.content)
        return (root.findtext('Code'), raw.status_code) in (('NotImplemented', 501), ('MethodNotAllowed', 405))


def fixed_answers(t):
    thing = {'Bucket': BUCKET, 'Key': 'thing', 'ExpectedBucketOwner': ACCOUNT, 'RequestPayer': 'requester', 'VersionId': 'null'}
    t.accept('PutObject', {'Bucket': BUCKET, 'Key': 'thing', 'Body': b'x'})
    for op in list(NEVER) + list(FIXED):
        if op not in t.model.operation_names:
            continue
        good = t.fit(op, thing)
        if op in NEVER:
            t.told(op, good, *NEVER[op])
        else:
            t.accept(op, good, read_back=FIXED[op])
        refused(t, op, good)


def names(answer):
    return [b['Name'] for b in answer['Buckets']]


def buckets(t):
    eu = {'Bucket': 'conform-eu', 'ACL': 'private', 'CreateBucketConfiguration': {'LocationConstraint': 'eu-west-1'}, 'ObjectLockEnabledForBucket': False,
          'ObjectOwnership': 'BucketOwnerEnforced', 'BucketNamespace': 'global'}
    t.accept('CreateBucket', eu, read_back=lambda a: a['Location'] == '/conform-eu')
    t.accept('CreateBucket', {'Bucket': BUCKET})
    t.accept('CreateBucket', {'Bucket': BUCKET + '-gone'})
    owned = {'ExpectedBucketOwner': ACCOUNT}
    t.accept('GetBucketLocation', dict(owned, Bucket='conform-eu'), read_back=lambda a: a['LocationConstraint'] == 'eu-west-1')
    t.accept('GetBucketLocation', {'Bucket': BUCKET}, read_back=lambda a: not a['LocationConstraint'])
    t.accept('HeadBucket', dict(owned, Bucket=BUCKET), read_back=lambda a: a.get('BucketRegion', 'us-east-1') == 'us-east-1')
    configuration = 'CreateBucketConfiguration'
    new = {'Bucket': 'conform-new'}
    for member, change, code, status in (
            ('Bucket', {'Bucket': 'Upper.Case'}, 'InvalidBucketName', 400),
            ('ACL', {'ACL': 'public-read'}, 'InvalidBucketAclWithObjectOwnership', 400),
            (configuration + '.LocationConstraint', {configuration: {'LocationConstraint': 'No Region'}}, 'InvalidLocationConstraint', 400),
            (configuration + '.Location', {configuration: {'Location': {'Type': 'AvailabilityZone', 'Name': 'use1-az1'}}}, 'NotImplemented', 501),
            (configuration + '.Bucket', {configuration: {'Bucket': {'Type': 'Directory', 'DataRedundancy': 'SingleAvailabilityZone'}}}, 'NotImplemented', 501),
            ('ObjectLockEnabledForBucket', {'ObjectLockEnabledForBucket': True}, 'NotImplemented', 501),
            ('ObjectOwnership', {'ObjectOwnership': 'ObjectWriter'}, 'NotImplemented', 501),
            ('BucketNamespace', {'BucketNamespace': 'account-regional'}, 'NotImplemented', 501)):
        t.refuse('CreateBucket', member, dict(new, **change), code, status)
    t.refuse('CreateBucket', configuration, dict(new, CreateBucketConfiguration={'LocationConstraint': 'eu-west-1'}), 'MalformedXML',
             change=lambda r: rebody(r, b'<CreateBucketConfiguration><Region/></CreateBucketConfiguration>'))
    for grant in ('GrantFullControl', 'GrantRead', 'GrantReadACP', 'GrantWrite', 'GrantWriteACP'):
        t.refuse('CreateBucket', grant, dict(new, **{grant: 'id=0123'}), 'InvalidBucketAclWithObjectOwnership')
    t.refuse('HeadBucket', 'Bucket', new, '404', 404)  # none of these made it
    for op in ('GetBucketLocation', 'HeadBucket', 'DeleteBucket'):
        refused(t, op, dict(owned, Bucket=BUCKET + '-gone'))
    t.accept('DeleteBucket', dict(owned, Bucket=BUCKET + '-gone'))
    t.refuse('HeadBucket', 'Bucket', {'Bucket': BUCKET + '-gone'}, '404', 404)
    t.accept('ListBuckets', {}, read_back=lambda a: names(a) == [BUCKET, 'conform-eu'] and 'ContinuationToken' not in a)
    if t.known('ListBuckets', 'Prefix'):
        listed(t)


def listed(t):
    first = t.accept('ListBuckets', {'Prefix': 'conform', 'MaxBuckets': 1}, read_back=lambda a: names(a) == [BUCKET] and a['Prefix'] == 'conform')
    rest = {'MaxBuckets': 1, 'ContinuationToken': first['ContinuationToken']}
    t.accept('ListBuckets', rest, read_back=lambda a: names(a) == ['conform-eu'] and 'ContinuationToken' not in a)
    t.accept('ListBuckets', {'BucketRegion': 'eu-west-1'}, read_back=lambda a: [(b['Name'], b['BucketRegion']) for b in a['Buckets']] == [('conform-eu', 'eu-west-1')])
    t.accept('ListBuckets', {'Prefix': 'conform-e'}, read_back=lambda a: names(a) == ['conform-eu'])
    for member, value in (('MaxBuckets', 0), ('MaxBuckets', 10001), ('ContinuationToken', 'x'), ('BucketRegion', 'No Region')):
        t.refuse('ListBuckets', member, {member: value}, 'InvalidArgument')
    t.refuse('ListBuckets', 'Prefix', {'Prefix': 'x'}, 'InvalidURI', change=lambda r: r.update(url=r['url'].replace('prefix=x', 'prefix=%ff')))


def policies(t):
    op, owned = 'PutBucketPolicy', {'Bucket': BUCKET, 'ExpectedBucketOwner': ACCOUNT}
    text = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetBucketLocation","Resource":"arn:aws:s3:::%s"}]}' % BUCKET
    good = dict(owned, Policy=text)
    t.told('GetBucketPolicy', owned, 'NoSuchBucketPolicy', 404)
    t.accept(op, dict(good, ChecksumAlgorithm='SHA256', ConfirmRemoveSelfBucketAccess=True))
    t.accept('GetBucketPolicy', owned, read_back=lambda a: a['Policy'] == text)
    t.accept(op, dict(good, ContentMD5=s3_objects.md5(text.encode())))
    refused(t, op, good, (
        ('Policy', {'Policy': 'x'}, 'MalformedPolicy', 400),
        ('Policy', {'Policy': text.replace(BUCKET, 'other')}, 'MalformedPolicy', 400),
        ('ConfirmRemoveSelfBucketAccess', {'ConfirmRemoveSelfBucketAccess': 'maybe'}, 'InvalidArgument', 400)))
    refused(t, 'GetBucketPolicy', owned)
    refused(t, 'DeleteBucketPolicy', owned)
    t.accept('DeleteBucketPolicy', owned)
    t.told('GetBucketPolicy', owned, 'NoSuchBucketPolicy', 404)


def encryption(t, key):
    op, owned = 'PutBucketEncryption', {'Bucket': BUCKET, 'ExpectedBucketOwner': ACCOUNT}
    path = 'ServerSideEncryptionConfiguration'
    default = 'ApplyServerSideEncryptionByDefault'

    def config(*rules):
        return {path: {'Rules': list(rules)}}
    kms = {default: {'SSEAlgorithm': 'aws:kms', 'KMSMasterKeyID': key}, 'BucketKeyEnabled': True}
    plain = {default: {'SSEAlgorithm': 'AES256'}, 'BucketKeyEnabled': False}
    blocked = {'BlockedEncryptionTypes': {'EncryptionType': ['SSE-C']}} if t.known(op, path + '.Rules[].BlockedEncryptionTypes') else {}

    def rule(answer):
        return answer['ServerSideEncryptionConfiguration']['Rules'][0]
    t.accept(op, dict(owned, ChecksumAlgorithm='SHA256', **config(dict(kms, **blocked))))
    t.accept('GetBucketEncryption', owned, read_back=lambda a: rule(a) == dict(kms, **blocked))
    t.accept('PutObject', {'Bucket': BUCKET, 'Key': 'default', 'Body': b'x'}, read_back=lambda a: a['SSEKMSKeyId'] == key and a['BucketKeyEnabled'])
    t.accept('PutObject', {'Bucket': BUCKET, 'Key': 'default', 'Body': b'x', 'BucketKeyEnabled': False}, read_back=lambda a: 'BucketKeyEnabled' not in a)
    two = '.Rules[].'
    refused(t, op, dict(owned, **config(plain)), (
        (path, {path: {}}, 'MalformedXML', 400),
        (path + '.Rules', config(plain, plain), 'MalformedXML', 400),
        (path + two + default, config({default: {}}), 'MalformedXML', 400),
        (path + two + default + '.SSEAlgorithm', config({default: {'SSEAlgorithm': 'rot13'}}), 'MalformedXML', 400),
        (path + two + default + '.SSEAlgorithm', config({default: {'SSEAlgorithm': 'aws:kms:dsse'}}), 'NotImplemented', 501),
        (path + two + default + '.KMSMasterKeyID', config({default: {'SSEAlgorithm': 'AES256', 'KMSMasterKeyID': key}}), 'InvalidArgument', 400),
        (path + two + 'BlockedEncryptionTypes', config(dict(plain, BlockedEncryptionTypes={'EncryptionType': ['NONE']})), 'NotImplemented', 501),
        (path + two + 'BlockedEncryptionTypes.EncryptionType', config(dict(plain, BlockedEncryptionTypes={'EncryptionType': ['X']})), 'MalformedXML', 400)))
    t.refuse(op, path + two + 'BucketKeyEnabled', dict(owned, **config(kms)), 'MalformedXML', change=lambda r: rebody(r, r['body'].replace(b'>true<', b'>maybe<')))
    shape = t.model.operation_model(op)
    body = create_serializer('rest-xml').serialize_to_request(dict(owned, **config(plain)), shape)['body']
    t.accept(op, dict(owned, ContentMD5=s3_objects.md5(body), **config(plain)))
    refused(t, 'GetBucketEncryption', owned)
    refused(t, 'DeleteBucketEncryption', owned)
    t.accept('DeleteBucketEncryption', owned)
    t.accept('GetBucketEncryption', owned, read_back=lambda a: rule(a)[default] == {'SSEAlgorithm': 'AES256'})


def run(s):
    """the suite, for what it counted"""
    t = S3('s3', s.env, NAMESPACE, ROOTS, (), ALWAYS, NEWER, STATUSES)
    t.unsupported = {(op, m): why for op in t.model.operation_names for m, why in UNSUPPORTED.items() if t.known(op, m)}
    t.unsupported.update(ONLY)
    key = s.awsj('kms create-key')['KeyMetadata']['Arn']
    buckets(t)
    fixed_answers(t)
    policies(t)
    encryption(t, key)
    s3_objects.run(t, s, key)
    s3_tags.run(t, s)
    return t
