"""S3: what the operations have in common, and the refusals of their common members."""
import base64
import hashlib

BUCKET = 'conform'
NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/'
LONG = 'x' * 8200
ACL = ('AccessControlListNotSupported', 400)
LOCK = ('InvalidRequest', 400)
ABSENT = ('NotImplemented', 501)
TOO_LARGE = ('RequestHeaderSectionTooLarge', 400)
ARGUMENT = ('InvalidArgument', 400)
# member: a value that no operation takes, and the answer to it
COMMON = {
    'Bucket': ('no-bucket-has-this-name', 'NoSuchBucket', 404), 'ExpectedBucketOwner': ('999999999999', 'AccessDenied', 403),
    'ExpectedSourceBucketOwner': ('999999999999', 'AccessDenied', 403),
    'Key': ('x' * 1025, 'KeyTooLongError', 400), 'VersionId': ('x', *ARGUMENT), 'RequestPayer': ('owner', *ARGUMENT), 'UploadId': ('0' * 32, 'NoSuchUpload', 404),
    'ACL': ('public-read', *ACL), 'GrantFullControl': ('id=1', *ACL), 'GrantRead': ('id=1', *ACL), 'GrantReadACP': ('id=1', *ACL), 'GrantWriteACP': ('id=1', *ACL),
    'ObjectLockMode': ('GOVERNANCE', *LOCK), 'ObjectLockRetainUntilDate': ('2030-01-01T00:00:00Z', *LOCK), 'ObjectLockLegalHoldStatus': ('ON', *LOCK),
    'StorageClass': ('GLACIER', 'InvalidStorageClass', 400), 'WebsiteRedirectLocation': ('/x', *ABSENT), 'MFA': ('device 123456', *ABSENT), 'WriteOffsetBytes': (5, *ABSENT),
    'IfMatchLastModifiedTime': ('2030-01-01T00:00:00Z', *ABSENT), 'IfMatchSize': (1, *ABSENT), 'IfMatchInitiatedTime': ('2030-01-01T00:00:00Z', *ABSENT),
    'BypassGovernanceRetention': (True, *ARGUMENT), 'OptionalObjectAttributes': (['Colour'], *ARGUMENT), 'ChecksumMode': ('MAYBE', *ARGUMENT),
    'CacheControl': (LONG, *TOO_LARGE), 'ContentDisposition': (LONG, *TOO_LARGE), 'ContentEncoding': (LONG, *TOO_LARGE), 'ContentLanguage': (LONG, *TOO_LARGE),
    'ContentType': (LONG, *TOO_LARGE), 'Metadata': ({'k': 'x' * 2048}, 'MetadataTooLarge', 400), 'ServerSideEncryption': ('rot13', *ARGUMENT),
    'SSEKMSKeyId': ('alias/none', 'KMS.NotFoundException', 400), 'SSEKMSEncryptionContext': ('!', *ARGUMENT), 'BucketKeyEnabled': ('maybe', *ARGUMENT),
    'ContentMD5': ('x', 'InvalidDigest', 400), 'PartNumber': ('x', *ARGUMENT),
    'IfMatch': ('"00000000000000000000000000000000"', 'PreconditionFailed', 412),
}
COMMON.update({'Response' + h: ('\u2603', *ARGUMENT) for h in ('CacheControl', 'ContentDisposition', 'ContentEncoding', 'ContentLanguage', 'ContentType')})
COMMON.update({'Checksum' + kind: ('AAAA', *ABSENT) for kind in ('SHA512', 'MD5', 'XXHASH64', 'XXHASH3', 'XXHASH128')})
CUSTOMER = {'SSECustomerAlgorithm': 'AES256', 'SSECustomerKey': '0' * 32, 'SSECustomerKeyMD5': 'MDAwMA=='}


def rebody(request, body):
    """another body, with the digest that it then has"""
    for name in [h for h in request['headers'] if h.lower().startswith(('x-amz-checksum-', 'x-amz-sdk-checksum', 'content-md5'))]:
        del request['headers'][name]
    request['body'] = body
    request['headers']['Content-MD5'] = base64.b64encode(hashlib.md5(body).digest()).decode()


def header(name, value):
    """with this header, and without the checksum that botocore would add later on"""
    def change(request):
        request['context'].pop('checksum', None)
        request['headers'][name] = value
    return change


def refuse(t, op, member, params, code, status, **kw):
    """an answer to HEAD has no body: its status is all that is told"""
    head = t.model.operation_model(op).http['method'] == 'HEAD'
    return t.refuse(op, member, params, str(status) if head else code, status, **kw)


def refused(t, op, good, cases=(), without=()):
    """the operation's own cases, and the common ones of each member that has none of its own"""
    for member, change, code, status in cases:
        refuse(t, op, member, dict(good, **change), code, status)
    own = {c[0] for c in cases} | set(without)
    write = t.known(op, 'ServerSideEncryption')
    for member in t.members(op):
        if member in own:
            continue
        if member in COMMON:
            value, code, status = COMMON[member]
            refuse(t, op, member, dict(good, **{member: value}), code, status)
        elif member in CUSTOMER:
            code, status = ('AccessDenied', 403) if write else ('InvalidRequest', 400)
            refuse(t, op, member, dict(good, **{member: CUSTOMER[member]}), code, status)
        elif member.startswith('CopySourceSSECustomer'):
            refuse(t, op, member, dict(good, **{member: CUSTOMER[member[len('CopySource'):]]}), 'InvalidRequest', 400)
        elif member == 'Expires':
            refuse(t, op, member, dict(good, Expires='2030-01-01T00:00:00Z'), *TOO_LARGE, change=header('Expires', LONG))
        elif member == 'ResponseExpires':
            refuse(t, op, member, dict(good, ResponseExpires='2030-01-01T00:00:00Z'), *ARGUMENT,
                   change=lambda r: r.update(url=r['url'] + ('&' if '?' in r['url'] else '?') + 'response-expires=%E2%98%83'))
        elif member == 'ChecksumAlgorithm':
            checksum_algorithm(t, op, good)


def checksum_algorithm(t, op, good):
    name = t.model.operation_model(op).input_shape.members['ChecksumAlgorithm'].serialization['name']
    code = ('InvalidArgument', 400) if name == 'x-amz-checksum-algorithm' else ('InvalidRequest', 400)
    refuse(t, op, 'ChecksumAlgorithm', good, *code, change=header(name, 'ROT13'))
