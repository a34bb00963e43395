"""S3's operations on objects and uploads: every member, accepted and refused."""
import base64
import hashlib
import json
import zlib
from datetime import datetime, timedelta, timezone

from harness import ACCOUNT, allow
from s3_cases import BUCKET, CUSTOMER, header, rebody, refuse, refused

BODY = b'twelve bytes'
ETAG = '"%s"' % hashlib.md5(BODY).hexdigest()
OTHER = '"00000000000000000000000000000000"'
PAST, FUTURE = (datetime.now(timezone.utc) + timedelta(hours=h) for h in (-1, 1))
OWNED = {'Bucket': BUCKET, 'ExpectedBucketOwner': ACCOUNT, 'RequestPayer': 'requester'}
HEADERS = {'CacheControl': 'no-store', 'ContentDisposition': 'attachment', 'ContentEncoding': 'gzip', 'ContentLanguage': 'de', 'ContentType': 'text/x'}
TOO_LONG = header('Content-Length', str(5 << 30 | 1))
CONTENT = dict(HEADERS, Expires=datetime(2030, 1, 1, tzinfo=timezone.utc), Metadata={'colour': 'red'})


def b64(data):
    return base64.b64encode(data).decode()


def md5(data):
    return b64(hashlib.md5(data).digest())


def crc(data, polynomial, bits):
    """reflected, all ones before and after"""
    ones = (1 << bits) - 1
    v = ones
    for byte in data:
        v ^= byte
        for _ in range(8):
            v = v >> 1 ^ (polynomial if v & 1 else 0)
    return b64((v ^ ones).to_bytes(bits // 8, 'big'))


SUMS = {
    'CRC32': lambda d: b64(zlib.crc32(d).to_bytes(4, 'big')), 'CRC32C': lambda d: crc(d, 0x82f63b78, 32), 'CRC64NVME': lambda d: crc(d, 0x9a6c9329ac4bc9b5, 64),
    'SHA1': lambda d: b64(hashlib.sha1(d).digest()), 'SHA256': lambda d: b64(hashlib.sha256(d).digest()),
}


def same_content(head):
    return all(head[n] == v for n, v in CONTENT.items() if n != 'Expires') and '2030' in str(head.get('Expires') or head['ResponseMetadata']['HTTPHeaders']['expires'])


def span(answer):
    return answer['ResponseMetadata']['HTTPHeaders']['content-range']


def read(answer):
    return answer['Body'].read()


def encrypted(t, op, good, key, read_back):
    """the members of encryption; read_back(wanted) looks at what was made"""
    context = b64(json.dumps({'team': 'red'}).encode())
    got = t.accept(op, dict(good, ServerSideEncryption='aws:kms', SSEKMSKeyId=key, SSEKMSEncryptionContext=context, BucketKeyEnabled=True))
    assert (got['ServerSideEncryption'], got['SSEKMSKeyId'], got['SSEKMSEncryptionContext'], got['BucketKeyEnabled']) == ('aws:kms', key, context, True), got
    read_back(got, {'ServerSideEncryption': 'aws:kms', 'SSEKMSKeyId': key, 'BucketKeyEnabled': True})
    kms = dict(good, ServerSideEncryption='aws:kms')
    return (
        ('SSEKMSKeyId', dict(kms, SSEKMSKeyId='alias/none'), 'KMS.NotFoundException', 400),
        ('SSEKMSKeyId', dict(good, ServerSideEncryption='AES256', SSEKMSKeyId=key), 'InvalidArgument', 400),
        ('SSEKMSEncryptionContext', dict(kms, SSEKMSEncryptionContext='!'), 'InvalidArgument', 400),
        ('BucketKeyEnabled', dict(kms, BucketKeyEnabled='maybe'), 'InvalidArgument', 400))


def put(t, key):
    op, good = 'PutObject', dict(OWNED, Key='put', Body=BODY)
    made = {'Bucket': BUCKET, 'Key': 'put'}
    t.accept(op, dict(good, ACL='bucket-owner-full-control', StorageClass='STANDARD', ContentLength=len(BODY), ContentMD5=md5(BODY), IfNoneMatch='*', **CONTENT),
             read_back=lambda a: a['ETag'] == ETAG)
    t.accept('HeadObject', made, read_back=lambda a: same_content(a) and a['ContentLength'] == len(BODY))
    t.accept('GetObject', made, read_back=lambda a: same_content(a) and read(a) == BODY)
    for kind, total in SUMS.items():
        member = 'Checksum' + kind
        t.accept(op, dict(good, IfMatch=ETAG, **{member: total(BODY)}))
        if t.known(op, member):
            t.accept('HeadObject', dict(made, ChecksumMode='ENABLED'), read_back=lambda a: a[member] == total(BODY))
            refuse(t, op, member, dict(good, **{member: total(b'other')}), 'BadDigest', 400)
    t.accept(op, dict(good, ChecksumAlgorithm='SHA256'))
    t.accept('HeadObject', dict(made, ChecksumMode='ENABLED'), read_back=lambda a: a['ChecksumSHA256'] == SUMS['SHA256'](BODY))
    cases = encrypted(t, op, good, key, lambda got, want: t.accept('HeadObject', made, read_back=lambda a: want.items() <= a.items()))
    refused(t, op, good, cases + (
        ('Body', {'Body': b'another body', 'ContentMD5': md5(BODY)}, 'BadDigest', 400),
        ('ContentMD5', {'ContentMD5': md5(b'other')}, 'BadDigest', 400),
        ('IfMatch', {'IfMatch': OTHER}, 'PreconditionFailed', 412),
        ('IfNoneMatch', {'IfNoneMatch': '*'}, 'PreconditionFailed', 412),
        ('IfNoneMatch', {'IfNoneMatch': OTHER}, 'NotImplemented', 501)))
    t.refuse(op, 'ContentLength', good, 'EntityTooLarge', change=TOO_LONG)


def gets(t):
    made = dict(OWNED, Key='read', VersionId='null')
    t.accept('PutObject', {'Bucket': BUCKET, 'Key': 'read', 'Body': BODY})
    overrides = {'Response' + n: v for n, v in HEADERS.items()}
    when = datetime(2031, 1, 1, tzinfo=timezone.utc)
    good = dict(made, IfMatch=ETAG, IfNoneMatch=OTHER, IfModifiedSince=PAST, IfUnmodifiedSince=FUTURE, ChecksumMode='ENABLED', ResponseExpires=when, **overrides)
    for op in ('GetObject', 'HeadObject'):
        t.accept(op, good, read_back=lambda a: not t.known(op, 'ResponseExpires') or all(a[n] == v for n, v in HEADERS.items()) and '2031' in a['ResponseMetadata']['HTTPHeaders']['expires'])
        t.accept(op, dict(made, Range='bytes=2-4'), read_back=lambda a: span(a) == 'bytes 2-4/12' and a['ContentLength'] == 3)
        t.accept(op, dict(made, PartNumber=1), read_back=lambda a: span(a) == 'bytes 0-11/12')
        refused(t, op, made, (
            ('Key', {'Key': 'nothing'}, 'NoSuchKey', 404), ('Range', {'Range': 'bytes=12-'}, 'InvalidRange', 416),
            ('IfMatch', {'IfMatch': OTHER}, 'PreconditionFailed', 412), ('IfUnmodifiedSince', {'IfUnmodifiedSince': PAST}, 'PreconditionFailed', 412),
            ('PartNumber', {'PartNumber': 'x'}, 'InvalidArgument', 400), ('PartNumber', {'PartNumber': 2}, 'InvalidPartNumber', 416),
            ('VersionId', {'VersionId': 'x'}, 'InvalidArgument', 400), ('VersionId', {'VersionId': 'x' * 32}, 'NoSuchVersion', 404)))
        for member, value in (('IfNoneMatch', ETAG), ('IfModifiedSince', datetime.now(timezone.utc))):
            t.refuse(op, member, dict(made, **{member: value}), '304', 304)
    t.accept('GetObject', dict(made, Range='bytes=2-4'), read_back=lambda a: read(a) == BODY[2:5])


def attributes(t):
    op, names = 'GetObjectAttributes', ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize']
    good = dict(OWNED, Key='read', VersionId='null', ObjectAttributes=names)
    seen = t.accept(op, good, read_back=lambda a: (a['ETag'], a['StorageClass'], a['ObjectSize']) == (ETAG.strip('"'), 'STANDARD', len(BODY)) and 'ObjectParts' not in a)
    sums = t.accept('HeadObject', {'Bucket': BUCKET, 'Key': 'read', 'ChecksumMode': 'ENABLED'})
    assert all(seen['Checksum'].get(n) == v for n, v in sums.items() if n.startswith('Checksum')), (seen, sums)
    t.accept(op, dict(good, ObjectAttributes=['ObjectSize']), read_back=lambda a: 'ETag' not in a and a['ObjectSize'] == len(BODY))
    up = {'Bucket': BUCKET, 'Key': 'two', 'UploadId': t.client.create_multipart_upload(Bucket=BUCKET, Key='two', ChecksumAlgorithm='SHA256')['UploadId']}
    made = []
    for i, data in enumerate((b'x' * (5 << 20), BODY)):
        part = t.accept('UploadPart', dict(up, PartNumber=i + 1, Body=data, ChecksumSHA256=SUMS['SHA256'](data)))
        made.append({'PartNumber': i + 1, 'ETag': part['ETag'], 'ChecksumSHA256': SUMS['SHA256'](data)})
    t.accept('CompleteMultipartUpload', dict(up, MultipartUpload={'Parts': made}))

    def shown(answer):
        return [(p['PartNumber'], p['Size'], p['ChecksumSHA256']) for p in answer['ObjectParts']['Parts']], answer['ObjectParts']['IsTruncated']
    both = [(1, 5 << 20, made[0]['ChecksumSHA256']), (2, len(BODY), made[1]['ChecksumSHA256'])]
    two = dict(good, Key='two')
    t.accept(op, two, read_back=lambda a: shown(a) == (both, False) and a['ObjectParts']['TotalPartsCount'] == 2 and a['Checksum']['ChecksumSHA256'].endswith('-2'))
    t.accept(op, dict(two, MaxParts=1), read_back=lambda a: shown(a) == (both[:1], True) and a['ObjectParts']['NextPartNumberMarker'] == 1)
    t.accept(op, dict(two, PartNumberMarker=1), read_back=lambda a: shown(a) == (both[1:], False))
    refused(t, op, good, (
        ('Key', {'Key': 'nothing'}, 'NoSuchKey', 404), ('ObjectAttributes', {'ObjectAttributes': ['Colour']}, 'InvalidArgument', 400),
        ('ObjectAttributes', {'ObjectAttributes': []}, 'InvalidRequest', 400), ('MaxParts', {'MaxParts': 'x'}, 'InvalidArgument', 400),
        ('PartNumberMarker', {'PartNumberMarker': 'x'}, 'InvalidArgument', 400)))


def copies(t, key):
    op, source = 'CopyObject', {'Bucket': BUCKET, 'Key': 'read'}
    good = dict(OWNED, Key='copy', CopySource=source, ExpectedSourceBucketOwner=ACCOUNT)
    made = {'Bucket': BUCKET, 'Key': 'copy'}
    holds = dict(CopySourceIfMatch=ETAG, CopySourceIfNoneMatch=OTHER, CopySourceIfModifiedSince=PAST, CopySourceIfUnmodifiedSince=FUTURE)
    t.accept(op, dict(good, ACL='private', StorageClass='STANDARD', MetadataDirective='REPLACE', IfNoneMatch='*', ChecksumAlgorithm='SHA256', **holds, **CONTENT),
             read_back=lambda a: a['CopyObjectResult']['ETag'] == ETAG)
    t.accept('HeadObject', dict(made, ChecksumMode='ENABLED'), read_back=lambda a: same_content(a) and a['ChecksumSHA256'] == SUMS['SHA256'](BODY))
    t.accept('GetObject', made, read_back=lambda a: read(a) == BODY)
    t.accept(op, dict(good, IfMatch=ETAG))
    t.accept('HeadObject', made, read_back=lambda a: a['ContentType'] == 'binary/octet-stream' and a['Metadata'] == {})
    cases = encrypted(t, op, good, key, lambda got, want: t.accept('HeadObject', made, read_back=lambda a: want.items() <= a.items()))
    replaced = dict(good, MetadataDirective='REPLACE')
    refused(t, op, replaced, cases + condition_cases() + (
        ('CopySource', {'CopySource': {'Bucket': BUCKET, 'Key': 'nothing'}}, 'NoSuchKey', 404),
        ('CopySource', {'CopySource': BUCKET}, 'InvalidArgument', 400),
        ('MetadataDirective', {'MetadataDirective': 'MERGE'}, 'InvalidArgument', 400),
        ('IfMatch', {'IfMatch': OTHER}, 'PreconditionFailed', 412),
        ('IfNoneMatch', {'IfNoneMatch': '*'}, 'PreconditionFailed', 412)))


def condition_cases():
    return (
        ('CopySourceIfMatch', {'CopySourceIfMatch': OTHER}, 'PreconditionFailed', 412),
        ('CopySourceIfNoneMatch', {'CopySourceIfNoneMatch': ETAG}, 'PreconditionFailed', 412),
        ('CopySourceIfModifiedSince', {'CopySourceIfModifiedSince': datetime.now(timezone.utc)}, 'PreconditionFailed', 412),
        ('CopySourceIfUnmodifiedSince', {'CopySourceIfUnmodifiedSince': PAST}, 'PreconditionFailed', 412))


def uploads(t, key):
    op, good = 'CreateMultipartUpload', dict(OWNED, Key='many')
    whole = dict(good, ACL='private', StorageClass='STANDARD', ChecksumAlgorithm='CRC32', ChecksumType='FULL_OBJECT', **CONTENT)
    up = t.accept(op, whole)
    finish(t, dict(OWNED, Key='many', UploadId=up['UploadId']), 'CRC32', t.known(op, 'ChecksumType'))
    t.accept('HeadObject', {'Bucket': BUCKET, 'Key': 'many'}, read_back=same_content)
    for kind in list(SUMS)[1:]:
        if not t.known('UploadPart', 'Checksum' + kind):
            continue
        full = kind.startswith('CRC') and t.known(op, 'ChecksumType')
        up = t.accept(op, dict(good, ChecksumAlgorithm=kind, ChecksumType='FULL_OBJECT' if full else 'COMPOSITE'))
        finish(t, dict(OWNED, Key='many', UploadId=up['UploadId']), kind, full)
    cases = encrypted(t, op, good, key, lambda got, want: t.accept(
        'UploadPart', dict(OWNED, Key='many', UploadId=got['UploadId'], PartNumber=1, Body=BODY), read_back=lambda a: want.items() <= a.items()))
    refused(t, op, good, cases + (
        ('ChecksumType', {'ChecksumType': 'HALF', 'ChecksumAlgorithm': 'CRC32'}, 'InvalidArgument', 400),
        ('ChecksumType', {'ChecksumType': 'FULL_OBJECT', 'ChecksumAlgorithm': 'SHA256'}, 'InvalidRequest', 400)))


def finish(t, upload, kind, full):
    """one part, with the checksum; the parts' listing, the whole, and what of it is refused"""
    member, value = 'Checksum' + kind, SUMS[kind](BODY)
    part = dict(upload, PartNumber=1)
    got = t.accept('UploadPart', dict(part, Body=BODY, ContentLength=len(BODY), ContentMD5=md5(BODY), **{member: value}), read_back=lambda a: a[member] == value)
    t.refuse('UploadPart', member, dict(part, Body=BODY, **{member: SUMS[kind](b'other')}), 'BadDigest')
    t.accept('ListParts', upload, read_back=lambda a: [(p['PartNumber'], p['Size'], p['ETag']) for p in a['Parts']] == [(1, len(BODY), got['ETag'])])
    total = value if full else SUMS[kind](base64.b64decode(value)) + '-1'
    done = {'PartNumber': 1, 'ETag': got['ETag'], member: value}
    op, good = 'CompleteMultipartUpload', dict(upload, MultipartUpload={'Parts': [done]}, MpuObjectSize=len(BODY), ChecksumType='FULL_OBJECT' if full else 'COMPOSITE', **{member: total})
    t.refuse(op, member, dict(good, **{member: SUMS[kind](b'other')}), 'BadDigest')
    t.refuse(op, 'MultipartUpload.Parts[].' + member, dict(good, MultipartUpload={'Parts': [dict(done, **{member: SUMS[kind](b'other')})]}), 'InvalidPart')
    if kind == 'CRC32':
        complete_refused(t, good, done)
    t.accept(op, dict(good, IfNoneMatch='*') if kind == 'CRC32' else dict(good, IfMatch=head(t, 'many')['ETag']), read_back=lambda a: a[member] == total and a['ETag'].endswith('-1"'))
    t.accept('HeadObject', {'Bucket': BUCKET, 'Key': 'many', 'ChecksumMode': 'ENABLED'}, read_back=lambda a: a[member] == total)


def head(t, key):
    return t.client.head_object(Bucket=BUCKET, Key=key)


def complete_refused(t, good, done):
    def parts(*all_of_them):
        return {'MultipartUpload': {'Parts': list(all_of_them)}}
    path = 'MultipartUpload.Parts[].'
    unknown = tuple((path + 'Checksum' + k, parts(dict(done, **{'Checksum' + k: 'AAAA'})), 'NotImplemented', 501) for k in ('SHA512', 'MD5', 'XXHASH64', 'XXHASH3', 'XXHASH128'))
    refused(t, 'CompleteMultipartUpload', good, tuple(c for c in unknown if t.known('CompleteMultipartUpload', c[0])) + (
        ('MultipartUpload', {'MultipartUpload': {}}, 'MalformedXML', 400),
        ('MultipartUpload.Parts', parts(dict(done, PartNumber=2), done), 'InvalidPartOrder', 400),
        (path + 'PartNumber', parts(dict(done, PartNumber=2)), 'InvalidPart', 400),
        (path + 'PartNumber', parts(dict(done, PartNumber=0)), 'InvalidArgument', 400),
        (path + 'ETag', parts(dict(done, ETag=OTHER)), 'InvalidPart', 400),
        ('MpuObjectSize', {'MpuObjectSize': 1}, 'InvalidRequest', 400),
        ('ChecksumType', {'ChecksumType': 'COMPOSITE'}, 'InvalidRequest', 400),
        ('IfMatch', {'IfMatch': OTHER}, 'NoSuchKey', 404),
        ('IfNoneMatch', {'IfNoneMatch': 'x'}, 'NotImplemented', 501)))
    t.accept('PutObject', {'Bucket': BUCKET, 'Key': 'many', 'Body': b''})
    t.refuse('CompleteMultipartUpload', 'IfMatch', dict(good, IfMatch=OTHER), 'PreconditionFailed', 412)
    t.refuse('CompleteMultipartUpload', 'IfNoneMatch', dict(good, IfNoneMatch='*'), 'PreconditionFailed', 412)
    t.accept('DeleteObject', {'Bucket': BUCKET, 'Key': 'many'})


def parts(t):
    up = {'Bucket': BUCKET, 'Key': 'parts', 'UploadId': t.accept('CreateMultipartUpload', {'Bucket': BUCKET, 'Key': 'parts', 'ChecksumAlgorithm': 'SHA256'})['UploadId']}
    good = dict(OWNED, PartNumber=1, **{k: v for k, v in up.items() if k != 'Bucket'})
    t.accept('UploadPart', dict(good, Body=BODY, ChecksumAlgorithm='SHA256'), read_back=lambda a: a['ETag'] == ETAG and a['ChecksumSHA256'])
    refused(t, 'UploadPart', dict(good, Body=BODY, ChecksumAlgorithm='SHA256'), (
        ('Body', {'Body': b'another body', 'ContentMD5': md5(BODY)}, 'BadDigest', 400),
        ('PartNumber', {'PartNumber': 10001}, 'InvalidArgument', 400), ('PartNumber', {'PartNumber': 0}, 'InvalidArgument', 400),
        ('UploadId', {'UploadId': 'x'}, 'NoSuchUpload', 404), ('Key', {'Key': 'other'}, 'NoSuchUpload', 404)))
    t.refuse('UploadPart', 'ContentLength', dict(good, Body=BODY), 'EntityTooLarge', change=TOO_LONG)
    copy = dict(good, PartNumber=2, CopySource={'Bucket': BUCKET, 'Key': 'read'}, ExpectedSourceBucketOwner=ACCOUNT)
    t.accept('UploadPartCopy', dict(copy, CopySourceRange='bytes=0-3', CopySourceIfMatch=ETAG, CopySourceIfNoneMatch=OTHER, CopySourceIfModifiedSince=PAST,
                                    CopySourceIfUnmodifiedSince=FUTURE), read_back=lambda a: a['CopyPartResult']['ETag'] == '"%s"' % hashlib.md5(BODY[:4]).hexdigest())
    refused(t, 'UploadPartCopy', copy, condition_cases() + (
        ('CopySource', {'CopySource': {'Bucket': BUCKET, 'Key': 'nothing'}}, 'NoSuchKey', 404), ('CopySourceRange', {'CopySourceRange': 'bytes=5-'}, 'InvalidArgument', 400),
        ('CopySourceRange', {'CopySourceRange': 'bytes=12-13'}, 'InvalidArgument', 400), ('PartNumber', {'PartNumber': 0}, 'InvalidArgument', 400)))
    listing = {k: v for k, v in good.items() if k != 'PartNumber'}
    t.accept('ListParts', dict(listing, MaxParts=1), read_back=lambda a: a['IsTruncated'] and [p['PartNumber'] for p in a['Parts']] == [1])
    t.accept('ListParts', dict(listing, PartNumberMarker=1), read_back=lambda a: [(p['PartNumber'], p['Size']) for p in a['Parts']] == [(2, 4)])
    refused(t, 'ListParts', listing, (('MaxParts', {'MaxParts': 'x'}, 'InvalidArgument', 400), ('PartNumberMarker', {'PartNumberMarker': 'x'}, 'InvalidArgument', 400)))
    list_uploads(t, up['UploadId'])
    refused(t, 'AbortMultipartUpload', listing, (('UploadId', {'UploadId': 'x'}, 'NoSuchUpload', 404),))
    t.accept('AbortMultipartUpload', listing)
    t.refuse('ListParts', 'UploadId', listing, 'NoSuchUpload', 404)


def list_uploads(t, upload):
    op, good = 'ListMultipartUploads', dict(OWNED, Prefix='parts')
    second = t.accept('CreateMultipartUpload', {'Bucket': BUCKET, 'Key': 'parts&2'})['UploadId']

    def found(answer):
        return [(u['Key'], u['UploadId']) for u in answer.get('Uploads', ())]
    both = [('parts', upload), ('parts&2', second)]
    t.accept(op, good, read_back=lambda a: found(a) == both)
    t.accept(op, dict(good, MaxUploads=1), read_back=lambda a: found(a) == both[:1] and (a['NextKeyMarker'], a['NextUploadIdMarker']) == both[0])
    t.accept(op, dict(good, KeyMarker='parts', UploadIdMarker=upload), read_back=lambda a: found(a) == both[1:])
    t.accept(op, dict(good, EncodingType='url'), read_back=lambda a: found(a)[1][0] in ('parts%262', 'parts&2'))
    refused(t, op, good, (
        ('MaxUploads', {'MaxUploads': 'x'}, 'InvalidArgument', 400), ('EncodingType', {'EncodingType': 'rot13'}, 'InvalidArgument', 400),
        ('UploadIdMarker', {'KeyMarker': 'parts', 'UploadIdMarker': 'x'}, 'InvalidArgument', 400), ('Delimiter', {'Delimiter': '/'}, 'NotImplemented', 501)))
    unparsed(t, op, good, 'Prefix', 'KeyMarker')
    t.accept('AbortMultipartUpload', {'Bucket': BUCKET, 'Key': 'parts&2', 'UploadId': second})


def unparsed(t, op, good, *names):
    """texts that have no wrong value but that they are none"""
    shape = t.model.operation_model(op).input_shape
    for member in names:
        wire = shape.members[member].serialization['name']
        t.refuse(op, member, dict({k: v for k, v in good.items() if k != member}, **{member: 'bad'}), 'InvalidURI',
                 change=lambda r: r.update(url=r['url'].replace(wire + '=bad', wire + '=%ff')))


def listings(t, narrow):
    """`narrow` may list one prefix only, and with one delimiter"""
    for key in ('list/a', 'list/b', 'list/c/d', 'list/&'):
        t.accept('PutObject', {'Bucket': BUCKET, 'Key': key, 'Body': b''})
    for op, content, marker in (('ListObjectsV2', 'Contents', 'StartAfter'), ('ListObjects', 'Contents', 'Marker'), ('ListObjectVersions', 'Versions', 'KeyMarker')):
        good = dict(OWNED, Prefix='list/', Delimiter='/', MaxKeys=2, OptionalObjectAttributes=['RestoreStatus'])

        def keys(answer):
            return [o['Key'] for o in answer.get(content, ())] + [p['Prefix'] for p in answer.get('CommonPrefixes', ())]
        t.accept(op, good, read_back=lambda a: keys(a) == ['list/&', 'list/a'] and a['IsTruncated'])
        t.accept(op, dict(good, **{marker: 'list/a'}), read_back=lambda a: keys(a) == ['list/b', 'list/c/'] and not a['IsTruncated'])
        t.accept(op, dict(good, EncodingType='url'), read_back=lambda a: keys(a)[0] in ('list/%26', 'list/&') and a['EncodingType'] == 'url')
        refused(t, op, good, (('EncodingType', {'EncodingType': 'rot13'}, 'InvalidArgument', 400), ('MaxKeys', {'MaxKeys': 'x'}, 'InvalidArgument', 400)))
        for member, value in (('Prefix', 'other'), ('Delimiter', '-'), ('MaxKeys', 3)):
            t.refuse(op, member, dict(good, **{member: value}), 'AccessDenied', 403, narrow)
        t.accept(op, good, narrow)
        unparsed(t, op, good, marker)
    good = dict(OWNED, Prefix='list/', MaxKeys=3)
    first = t.accept('ListObjectsV2', dict(good, FetchOwner=True), read_back=lambda a: all(o['Owner']['ID'] for o in a['Contents']))
    t.accept('ListObjectsV2', dict(good, ContinuationToken=first['NextContinuationToken'], FetchOwner=False),
             read_back=lambda a: [(o['Key'], 'Owner' in o) for o in a['Contents']] == [('list/c/d', False)])
    for member, value in (('ContinuationToken', 'x'), ('FetchOwner', 'maybe')):
        t.refuse('ListObjectsV2', member, dict(good, **{member: value}), 'InvalidArgument')
    t.accept('ListObjectVersions', dict(good, KeyMarker='list/b', VersionIdMarker='null'), read_back=lambda a: [v['Key'] for v in a['Versions']] == ['list/c/d'])
    for marker in ({'KeyMarker': 'list/b', 'VersionIdMarker': 'x'}, {'VersionIdMarker': 'null'}):
        t.refuse('ListObjectVersions', 'VersionIdMarker', dict(good, **marker), 'InvalidArgument')


def deletes(t):
    good = dict(OWNED, Key='list/a', VersionId='null', BypassGovernanceRetention=False)
    etag = head(t, 'list/a')['ETag']
    refused(t, 'DeleteObject', good, (('IfMatch', {'IfMatch': OTHER}, 'PreconditionFailed', 412),))
    t.accept('DeleteObject', dict(good, IfMatch=etag))
    t.refuse('HeadObject', 'Key', {'Bucket': BUCKET, 'Key': 'list/a'}, '404', 404)
    op, many = 'DeleteObjects', {k: v for k, v in good.items() if k not in ('Key', 'VersionId')}

    def these(*objects, **kw):
        return {'Delete': dict({'Objects': list(objects)}, **kw)}
    old = not t.known(op, 'Delete.Objects[].ETag')
    b, bad, wrong = {'Key': 'list/b', 'VersionId': 'null', 'ETag': etag}, {'Key': 'list/&', 'VersionId': 'x'}, {'Key': 'list/&', 'ETag': OTHER}
    answer = t.accept(op, dict(many, ChecksumAlgorithm='SHA256', **these({k: v for k, v in b.items() if not old or k != 'ETag'}, Quiet=False)))
    assert [d['Key'] for d in answer['Deleted']] == ['list/b'] and 'Errors' not in answer, answer
    for member, item, code in (('VersionId', bad, 'InvalidArgument'), ('ETag', wrong, 'PreconditionFailed')):
        if old and member == 'ETag':
            continue
        answer = t.accept(op, dict(many, **these(item, {'Key': 'list/none'}, Quiet=True)))
        assert [(e['Key'], e['Code']) for e in answer['Errors']] == [('list/&', code)] and 'Deleted' not in answer, answer
        t.refused.setdefault(op, set()).add('Delete.Objects[].' + member)  # one by one, inside of the answer
    t.refuse('HeadObject', 'Key', {'Bucket': BUCKET, 'Key': 'list/b'}, '404', 404)
    path = 'Delete.Objects'
    fine = dict(many, **these({'Key': 'list/&'}))
    refused(t, op, fine, (
        ('Delete', {'Delete': {}}, 'MalformedXML', 400), (path, these(), 'MalformedXML', 400), (path + '[].Key', these({'Key': ''}), 'MalformedXML', 400)))
    for member, item in (('LastModifiedTime', '2030-01-01T00:00:00Z'), ('Size', 1)):
        t.refuse(op, path + '[].' + member, dict(many, **these(dict({'Key': 'list/&'}, **{member: item}))), 'NotImplemented', 501)
    t.refuse(op, 'Delete.Quiet', dict(many, **these({'Key': 'list/&'}, Quiet=True)), 'MalformedXML', change=lambda r: rebody(r, r['body'].replace(b'true', b'maybe')))
    t.accept('HeadObject', {'Bucket': BUCKET, 'Key': 'list/&'})


def run(t, s, key):
    narrow = dict(allow('s3:ListBucket*'), Condition={'StringEquals': {'s3:prefix': 'list/', 's3:delimiter': '/'}, 'NumericLessThanEquals': {'s3:max-keys': '2'}})
    put(t, key)
    gets(t)
    attributes(t)
    copies(t, key)
    uploads(t, key)
    parts(t)
    listings(t, t.user('conform-s3', narrow))
    deletes(t)
