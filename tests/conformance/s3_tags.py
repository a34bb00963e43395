"""S3's tags of objects and buckets, and the writes of ACLs."""
from harness import ACCOUNT, allow
from s3_cases import BUCKET, rebody, refused
from s3_objects import BODY, OWNED, md5

TAGS = [{'Key': 'team', 'Value': 'red + blue'}, {'Key': 'größe', 'Value': ''}]
TEXT = 'team=red+%2B%20blue&gr%C3%B6%C3%9Fe='
XML = b'<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>'


def tags(*pairs):
    return {'Tagging': {'TagSet': [{'Key': k, 'Value': v} for k, v in pairs]}}


def tags_of(t, key, client=None):
    return sorted(t.accept('GetObjectTagging', {'Bucket': BUCKET, 'Key': key}, client)['TagSet'], key=lambda x: x['Key'])


WANTED = sorted(TAGS, key=lambda x: x['Key'])
WRONG = (
    ('team=red&team=blue', 'InvalidArgument'), ('%ff=x', 'InvalidArgument'), ('&'.join('k%d=' % i for i in range(11)), 'BadRequest'),
    ('=v', 'InvalidTag'), ('a%21=v', 'InvalidTag'), ('k' * 129 + '=v', 'InvalidTag'), ('k=' + 'v' * 257, 'InvalidTag'), ('aws:k=v', 'InvalidTag'))


def tagged_writes(t):
    """the header of the three writes"""
    put = dict(OWNED, Key='tagged', Body=BODY)
    t.accept('PutObject', dict(put, Tagging=TEXT))
    assert tags_of(t, 'tagged') == WANTED
    t.accept('HeadObject', {'Bucket': BUCKET, 'Key': 'tagged'}, read_back=lambda a: a['ResponseMetadata']['HTTPHeaders']['x-amz-tagging-count'] == '2')
    copy = dict(OWNED, Key='copied', CopySource={'Bucket': BUCKET, 'Key': 'tagged'})
    t.accept('CopyObject', copy)
    assert tags_of(t, 'copied') == WANTED
    replace = dict(copy, TaggingDirective='REPLACE')
    t.accept('CopyObject', dict(replace, Tagging='a=b'))
    assert tags_of(t, 'copied') == [{'Key': 'a', 'Value': 'b'}]
    t.accept('CopyObject', dict(replace, MetadataDirective='REPLACE'))
    assert tags_of(t, 'copied') == []
    up = t.accept('CreateMultipartUpload', dict(OWNED, Key='many', Tagging=TEXT))['UploadId']
    part = t.accept('UploadPart', dict(OWNED, Key='many', UploadId=up, PartNumber=1, Body=BODY))
    t.accept('CompleteMultipartUpload', dict(OWNED, Key='many', UploadId=up, MultipartUpload={'Parts': [{'PartNumber': 1, 'ETag': part['ETag']}]}))
    assert tags_of(t, 'many') == WANTED
    for op, good in (('PutObject', put), ('CopyObject', replace), ('CreateMultipartUpload', dict(OWNED, Key='many'))):
        for text, code in WRONG:
            t.refuse(op, 'Tagging', dict(good, Tagging=text), code)
    t.refuse('CopyObject', 'Tagging', dict(copy, Tagging='a=b'), 'InvalidArgument')
    t.refuse('CopyObject', 'TaggingDirective', dict(copy, TaggingDirective='MERGE'), 'InvalidArgument')


def object_tagging(t):
    op, good = 'PutObjectTagging', dict(OWNED, Key='tagged', VersionId='null', **tags(('a', 'b')))
    before = t.accept('HeadObject', {'Bucket': BUCKET, 'Key': 'tagged'})
    t.accept(op, dict(good, ChecksumAlgorithm='SHA256'))
    t.accept('GetObjectTagging', {k: v for k, v in good.items() if k != 'Tagging'}, read_back=lambda a: a['TagSet'] == [{'Key': 'a', 'Value': 'b'}])
    t.accept('GetObject', {'Bucket': BUCKET, 'Key': 'tagged'}, read_back=lambda a: a['Body'].read() == BODY and a['TagCount'] == 1)
    t.accept('HeadObject', {'Bucket': BUCKET, 'Key': 'tagged'}, read_back=lambda a: (a['ETag'], a['LastModified']) == (before['ETag'], before['LastModified']))
    sent = []
    t.call(op, good, None, lambda r: sent.append(r['body']))
    t.accept(op, dict(good, ContentMD5=md5(sent[0])))
    refused(t, op, good, wrong_bodies(11) + (('Key', {'Key': 'nothing'}, 'NoSuchKey', 404),))
    t.refuse(op, 'Tagging', good, 'MalformedXML', change=lambda r: rebody(r, XML.replace(b'TagSet', b'Tags')))
    one = {k: v for k, v in good.items() if k not in ('Tagging', 'RequestPayer')}
    refused(t, 'GetObjectTagging', one, (('Key', {'Key': 'nothing'}, 'NoSuchKey', 404),))
    refused(t, 'DeleteObjectTagging', one, (('Key', {'Key': 'nothing'}, 'NoSuchKey', 404),))
    assert tags_of(t, 'tagged') == [{'Key': 'a', 'Value': 'b'}]
    t.accept('DeleteObjectTagging', one)
    assert tags_of(t, 'tagged') == []


def wrong_bodies(many):
    return (
        ('Tagging.TagSet', tags(*(('k%d' % i, '') for i in range(many))), 'BadRequest', 400),
        ('Tagging.TagSet', tags(('a', 'b'), ('a', 'c')), 'InvalidTag', 400), ('Tagging.TagSet[].Key', tags(('', 'v')), 'InvalidTag', 400),
        ('Tagging.TagSet[].Key', tags(('AWS:x', 'v')), 'InvalidTag', 400), ('Tagging.TagSet[].Value', tags(('k', 'v' * 257)), 'InvalidTag', 400))


def tag_rights(t, s):
    """tags in policies: the object's own, those of the request, and the rights that tags take"""
    arn = 'arn:aws:s3:::%s/*' % BUCKET
    red = dict(allow(['s3:GetObject', 's3:GetObjectTagging'], arn), Condition={'StringEquals': {'s3:ExistingObjectTag/team': 'red'}})
    to_red = dict(allow(['s3:PutObject', 's3:PutObjectTagging'], arn),
                  Condition={'StringEquals': {'s3:RequestObjectTag/team': 'red'}, 'ForAllValues:StringEquals': {'s3:RequestObjectTagKeys': ['team', 'a']}})
    reader = t.user('conform-red', red, to_red)
    plain = t.user('conform-plain', allow(['s3:PutObject', 's3:GetObject'], arn))
    for key, tag in (('red', 'red'), ('blue', 'blue')):
        t.accept('PutObject', {'Bucket': BUCKET, 'Key': key, 'Body': BODY, 'Tagging': 'team=' + tag})
    t.accept('GetObject', {'Bucket': BUCKET, 'Key': 'red'}, reader, read_back=lambda a: a['TagCount'] == 1)
    assert tags_of(t, 'red', reader) == [{'Key': 'team', 'Value': 'red'}]
    for op, extra in (('GetObject', {}), ('GetObjectTagging', {}), ('GetObjectAttributes', {'ObjectAttributes': ['ETag']})):
        t.refuse(op, 'Key', dict({'Bucket': BUCKET, 'Key': 'blue'}, **extra), 'AccessDenied', 403, reader)
    t.accept('PutObject', {'Bucket': BUCKET, 'Key': 'mine', 'Body': BODY, 'Tagging': 'team=red&a=b'}, reader)
    t.accept('PutObjectTagging', dict({'Bucket': BUCKET, 'Key': 'mine'}, **tags(('team', 'red'))), reader)
    for text in ('team=blue', 'team=red&other=x', ''):
        t.refuse('PutObject', 'Tagging', {'Bucket': BUCKET, 'Key': 'mine', 'Body': BODY, 'Tagging': text}, 'AccessDenied', 403, reader)
    t.refuse('PutObjectTagging', 'Tagging', dict({'Bucket': BUCKET, 'Key': 'mine'}, **tags(('team', 'blue'))), 'AccessDenied', 403, reader)
    # Without rights to tags: objects as such, no tags on, and no number of tags out.
    t.accept('PutObject', {'Bucket': BUCKET, 'Key': 'plain', 'Body': BODY}, plain)
    t.accept('GetObject', {'Bucket': BUCKET, 'Key': 'red'}, plain, read_back=lambda a: 'TagCount' not in a)
    t.refuse('PutObject', 'Tagging', {'Bucket': BUCKET, 'Key': 'plain', 'Body': BODY, 'Tagging': 'a=b'}, 'AccessDenied', 403, plain)
    copy = {'Bucket': BUCKET, 'Key': 'plain', 'CopySource': {'Bucket': BUCKET, 'Key': 'red'}}
    t.refuse('CopyObject', 'CopySource', copy, 'AccessDenied', 403, plain)  # its tags would go with it
    t.accept('CopyObject', dict(copy, TaggingDirective='REPLACE'), plain)
    t.refuse('CopyObject', 'CopySource', dict(copy, CopySource={'Bucket': BUCKET, 'Key': 'blue'}, Tagging='team=red', TaggingDirective='REPLACE'), 'AccessDenied', 403, reader)


def bucket_tagging(t):
    op, owned = 'PutBucketTagging', {'Bucket': BUCKET, 'ExpectedBucketOwner': ACCOUNT}
    good = dict(owned, Tagging={'TagSet': TAGS})
    t.told('GetBucketTagging', owned, 'NoSuchTagSet', 404)
    t.accept(op, dict(good, ChecksumAlgorithm='SHA256'))
    t.accept('GetBucketTagging', owned, read_back=lambda a: a['TagSet'] == TAGS)
    sent = []
    t.call(op, good, None, lambda r: sent.append(r['body']))
    t.accept(op, dict(good, ContentMD5=md5(sent[0])))
    refused(t, op, good, wrong_bodies(51))
    t.refuse(op, 'Tagging', good, 'MalformedXML', change=lambda r: rebody(r, XML.replace(b'Value', b'Worth')))
    refused(t, 'GetBucketTagging', owned)
    refused(t, 'DeleteBucketTagging', owned)
    t.accept('GetBucketTagging', owned, read_back=lambda a: a['TagSet'] == TAGS)
    t.accept('DeleteBucketTagging', owned)
    t.told('GetBucketTagging', owned, 'NoSuchTagSet', 404)
    path = 'CreateBucketConfiguration.Tags'
    if t.known('CreateBucket', path):
        new = {'Bucket': 'conform-tags'}
        for member, pairs in (('', [('k', ''), ('k', '')]), ('[].Key', [('', 'v')]), ('[].Value', [('k', 'v' * 257)])):
            t.refuse('CreateBucket', path + member, dict(new, CreateBucketConfiguration={'Tags': tags(*pairs)['Tagging']['TagSet']}), 'InvalidTag')
        t.accept('CreateBucket', dict(new, CreateBucketConfiguration={'Tags': TAGS}))
        t.accept('GetBucketTagging', new, read_back=lambda a: a['TagSet'] == TAGS)
        t.accept('DeleteBucket', new)
        t.accept('CreateBucket', new)
        t.told('GetBucketTagging', new, 'NoSuchTagSet', 404)
        t.accept('DeleteBucket', new)


def acl_writes(t):
    op, good = 'PutObjectAcl', dict(OWNED, Key='tagged', VersionId='null', ACL='bucket-owner-full-control')
    t.accept(op, dict(good, ChecksumAlgorithm='SHA256', ContentMD5=md5(b'')))
    whole = t.client.get_object_acl(Bucket=BUCKET, Key='tagged')
    off = ('AccessControlListNotSupported', 400)
    cases = (('GrantWrite', {'GrantWrite': 'id=1'}, *off), ('AccessControlPolicy', {'AccessControlPolicy': {n: whole[n] for n in ('Owner', 'Grants')}}, *off))
    refused(t, op, good, cases + (('Key', {'Key': 'nothing'}, 'NoSuchKey', 404),))
    bucket = {'Bucket': BUCKET, 'ExpectedBucketOwner': ACCOUNT}
    t.told('PutBucketAcl', dict(bucket, ChecksumAlgorithm='SHA256', ContentMD5=md5(b'')), *off)
    refused(t, 'PutBucketAcl', bucket, cases + (('ACL', {'ACL': 'private'}, *off),))


def ownership(t):
    op, owned = 'PutBucketOwnershipControls', {'Bucket': BUCKET, 'ExpectedBucketOwner': ACCOUNT}

    def rules(*kinds):
        return {'OwnershipControls': {'Rules': [{'ObjectOwnership': k} for k in kinds]}}
    good = dict(owned, **rules('BucketOwnerEnforced'))
    t.accept(op, dict(good, ChecksumAlgorithm='SHA256'))
    sent = []
    t.call(op, good, None, lambda r: sent.append(r['body']))
    t.accept(op, dict(good, ContentMD5=md5(sent[0])))
    path = 'OwnershipControls.Rules[].ObjectOwnership'
    refused(t, op, good, (
        ('OwnershipControls', rules(), 'MalformedXML', 400), ('OwnershipControls.Rules', rules('BucketOwnerEnforced', 'BucketOwnerEnforced'), 'MalformedXML', 400),
        (path, rules('ObjectWriter'), 'NotImplemented', 501), (path, rules('Nobody'), 'MalformedXML', 400)))
    t.accept('GetBucketOwnershipControls', owned, read_back=lambda a: a['OwnershipControls']['Rules'] == [{'ObjectOwnership': 'BucketOwnerEnforced'}])


def run(t, s):
    ownership(t)
    tagged_writes(t)
    object_tagging(t)
    bucket_tagging(t)
    acl_writes(t)
    tag_rights(t, s)
