"""S3 with old and new clients: aws, Debian's boto3, s3cmd, rclone; multipart, ranges, listings, errors; memory of a big object."""
import hashlib
import os
import re
import sqlite3
import threading
import time
import unittest

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

from harness import SANITIZED, SOAK, SealiftTest, allow


def anonymous_kib(pid):
    with open('/proc/%d/smaps_rollup' % pid) as f:
        return int(re.search(r'^Anonymous:\s+(\d+) kB', f.read(), re.M).group(1))


class S3(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        cls.c = boto3.client('s3', endpoint_url=s.env['AWS_ENDPOINT_URL'], region_name='us-east-1', verify=s.env['AWS_CA_BUNDLE'],
                             aws_access_key_id=s.env['AWS_ACCESS_KEY_ID'], aws_secret_access_key=s.env['AWS_SECRET_ACCESS_KEY'],
                             config=Config(retries={'max_attempts': 0}))
        cls.c.create_bucket(Bucket='bkt')
        cls.key = s.awsj('kms create-key')['KeyMetadata']

    def code(self, call, **kw):
        with self.assertRaises(ClientError) as e:
            call(**kw)
        return e.exception.response['Error']['Code'], e.exception.response['ResponseMetadata']['HTTPStatusCode']

    def test_objects(self):
        c = self.c
        for key in ('a', 'b/c d', 'ü/%+&=?#', 'x' * 1024, 'dir/', '.', 'a//b'):
            data = os.urandom(100)
            c.put_object(Bucket='bkt', Key=key, Body=data, ContentType='text/x', Metadata={'n': 'v'})
            r = c.get_object(Bucket='bkt', Key=key)
            self.assertEqual((r['Body'].read(), r['ContentType'], r['Metadata'], r['ServerSideEncryption']), (data, 'text/x', {'n': 'v'}, 'AES256'))
            self.assertEqual(r['ETag'], '"%s"' % hashlib.md5(data).hexdigest())
            self.assertEqual(c.head_object(Bucket='bkt', Key=key)['ContentLength'], 100)
            c.delete_object(Bucket='bkt', Key=key)
            self.assertEqual(self.code(c.get_object, Bucket='bkt', Key=key), ('NoSuchKey', 404))
        c.put_object(Bucket='bkt', Key='empty', Body=b'')
        self.assertEqual(c.get_object(Bucket='bkt', Key='empty')['Body'].read(), b'')

    def test_ranges(self):
        c, data = self.c, os.urandom(300000)
        c.put_object(Bucket='bkt', Key='r', Body=data, ServerSideEncryption='aws:kms', SSEKMSKeyId=self.key['Arn'])
        for spec, want in (('0-0', data[:1]), ('65535-65536', data[65535:65537]), ('131072-', data[131072:]), ('-5', data[-5:]), ('299999-400000', data[299999:]),
                           ('-400000', data)):
            r = c.get_object(Bucket='bkt', Key='r', Range='bytes=' + spec)
            self.assertEqual(r['Body'].read(), want, spec)
            self.assertEqual(r['ResponseMetadata']['HTTPStatusCode'], 206)
        self.assertEqual(self.code(c.get_object, Bucket='bkt', Key='r', Range='bytes=300000-'), ('InvalidRange', 416))
        etag = c.head_object(Bucket='bkt', Key='r')['ETag']
        for call, given, named in ((c.get_object, {'IfMatch': '"x"'}, 'If-Match'),
                                   (c.copy_object, {'CopySource': 'bkt/r', 'CopySourceIfNoneMatch': etag}, 'x-amz-copy-source-If-None-Match')):
            with self.assertRaises(ClientError) as e:
                call(Bucket='bkt', Key='r', **given)
            self.assertEqual((e.exception.response['ResponseMetadata']['HTTPStatusCode'], e.exception.response['Error']['Condition']), (412, named))
        self.assertEqual(self.code(c.get_object, Bucket='bkt', Key='r', IfNoneMatch=etag)[1], 304)

    def test_multipart(self):
        c = self.c
        up = c.create_multipart_upload(Bucket='bkt', Key='m', ServerSideEncryption='aws:kms')['UploadId']
        parts = [os.urandom(5 * 1024 * 1024), os.urandom(5 * 1024 * 1024), os.urandom(7)]
        tags = [c.upload_part(Bucket='bkt', Key='m', UploadId=up, PartNumber=i + 1, Body=p)['ETag'] for i, p in enumerate(parts)]
        tags[1] = c.upload_part(Bucket='bkt', Key='m', UploadId=up, PartNumber=2, Body=parts[1])['ETag']  # again: the newest counts
        self.assertEqual(len(c.list_parts(Bucket='bkt', Key='m', UploadId=up)['Parts']), 3)
        bad = {'Parts': [{'ETag': '"0"', 'PartNumber': 1}]}
        self.assertEqual(self.code(c.complete_multipart_upload, Bucket='bkt', Key='m', UploadId=up, MultipartUpload=bad), ('InvalidPart', 400))
        order = {'Parts': [{'ETag': tags[1], 'PartNumber': 2}, {'ETag': tags[0], 'PartNumber': 1}]}
        self.assertEqual(self.code(c.complete_multipart_upload, Bucket='bkt', Key='m', UploadId=up, MultipartUpload=order), ('InvalidPartOrder', 400))
        r = c.complete_multipart_upload(Bucket='bkt', Key='m', UploadId=up, MultipartUpload={'Parts': [{'ETag': t, 'PartNumber': i + 1} for i, t in enumerate(tags)]})
        self.assertTrue(r['ETag'].endswith('-3"'))
        self.assertEqual(c.get_object(Bucket='bkt', Key='m')['Body'].read(), b''.join(parts))
        self.assertEqual(c.get_object(Bucket='bkt', Key='m', Range='bytes=5242870-5242890')['Body'].read(), b''.join(parts)[5242870:5242891])
        self.assertEqual(self.code(c.upload_part, Bucket='bkt', Key='m', UploadId=up, PartNumber=1, Body=b'x'), ('NoSuchUpload', 404))
        up = c.create_multipart_upload(Bucket='bkt', Key='gone')['UploadId']
        c.upload_part(Bucket='bkt', Key='gone', UploadId=up, PartNumber=1, Body=b'x')
        c.abort_multipart_upload(Bucket='bkt', Key='gone', UploadId=up)
        self.assertEqual(self.code(c.list_parts, Bucket='bkt', Key='gone', UploadId=up), ('NoSuchUpload', 404))

    def test_listing(self):
        c = self.c
        c.create_bucket(Bucket='list')
        names = sorted(['a/%02d' % i for i in range(25)] + ['b', 'c/d/e', 'ü', 'z'], key=lambda x: x.encode())
        for n in names:
            c.put_object(Bucket='list', Key=n, Body=b'x')
        got = [o['Key'] for page in c.get_paginator('list_objects_v2').paginate(Bucket='list', PaginationConfig={'PageSize': 7}) for o in page['Contents']]
        self.assertEqual(got, names)
        r = c.list_objects_v2(Bucket='list', Delimiter='/')
        self.assertEqual([p['Prefix'] for p in r['CommonPrefixes']], ['a/', 'c/'])
        self.assertEqual([o['Key'] for o in r['Contents']], ['b', 'z', 'ü'])
        self.assertEqual(c.list_objects_v2(Bucket='list', Prefix='a/', MaxKeys=3)['KeyCount'], 3)
        self.assertEqual(self.code(c.delete_bucket, Bucket='list'), ('BucketNotEmpty', 409))
        self.assertEqual(self.code(c.list_objects_v2, Bucket='nobody-has-this'), ('NoSuchBucket', 404))

    def test_encryption_refusals(self):
        c, put = self.c, dict(Bucket='bkt', Key='e', Body=b'x')
        self.assertEqual(self.code(c.put_object, ServerSideEncryption='rot13', **put), ('InvalidArgument', 400))
        self.assertEqual(self.code(c.put_object, SSEKMSKeyId=self.key['Arn'], **put), ('InvalidArgument', 400))
        self.assertEqual(self.code(c.put_object, ServerSideEncryption='aws:kms', SSEKMSKeyId='alias/none', **put), ('KMS.NotFoundException', 400))
        off = self.s.awsj('kms create-key')['KeyMetadata']['KeyId']
        c.put_object(ServerSideEncryption='aws:kms', SSEKMSKeyId=off, **put)
        self.accepted(self.s.aws('kms disable-key --key-id ' + off))
        self.assertEqual(self.code(c.put_object, ServerSideEncryption='aws:kms', SSEKMSKeyId=off, **put), ('KMS.DisabledException', 400))
        self.assertEqual(self.code(c.get_object, Bucket='bkt', Key='e'), ('KMS.DisabledException', 400))
        self.accepted(self.s.aws('kms enable-key --key-id ' + off))
        self.assertEqual(c.get_object(Bucket='bkt', Key='e')['Body'].read(), b'x')

    def test_rights(self):
        s = self.s
        self.c.put_object(Bucket='bkt', Key='rights', Body=b'x', ServerSideEncryption='aws:kms', SSEKMSKeyId=self.key['Arn'])
        reader = s.new_user('reader', [allow('s3:GetObject', 'arn:aws:s3:::bkt/*')])
        self.refused(s.aws('s3api get-object --bucket bkt --key rights out', reader), 'AccessDenied', 'kms:Decrypt')
        self.refused(s.aws('s3api put-object --bucket bkt --key new --body rows', reader), '')
        self.refused(s.aws('s3api get-object-attributes --bucket bkt --key rights --object-attributes ObjectSize', reader), 'AccessDenied', 's3:GetObjectAttributes')
        self.refused(s.aws('s3 ls s3://bkt', reader), 'AccessDenied', 's3:ListBucket')
        self.refused(s.aws('s3api get-object --bucket bkt --key missing out', reader), 'AccessDenied')
        nobody = s.new_user('nobody', [])
        self.refused(s.aws('s3 ls', nobody), 'AccessDenied')
        self.accepted(s.aws('sts get-caller-identity', nobody))

    def test_tags_are_bound(self):
        """tags changed on disk: the object is not given out"""
        c, made = self.c, dict(Bucket='bkt', Key='tags')
        c.put_object(Body=b'x', Tagging='team=red', **made)
        c.put_object_tagging(Tagging={'TagSet': [{'Key': 'team', 'Value': 'blue'}]}, **made)
        self.assertEqual(c.get_object(**made)['Body'].read(), b'x')
        db = sqlite3.connect(os.path.join(self.s.data, 's3/index.db'), timeout=30)
        with db:
            (body, manifest), = db.execute("SELECT b.id, b.manifest FROM body b JOIN object o ON o.id = b.id WHERE o.key = CAST('tags' AS BLOB)").fetchall()
            self.assertEqual(manifest.count(b'team=blue'), 1)
        for other in (b'team=grey', b'a&b&c&d&e'):
            with db:
                db.execute('UPDATE body SET manifest = ? WHERE id = ?', (manifest.replace(b'team=blue', other), body))
            self.assertEqual(self.code(c.get_object, **made), ('InternalError', 500))
        with db:  # more of them than can be
            many = b'a&' * 300
            value = manifest.index(b'team=blue')
            db.execute('UPDATE body SET manifest = ? WHERE id = ?', (manifest[:value - 2] + len(many).to_bytes(2, 'big') + many + manifest[value + 9:], body))
        db.close()
        self.assertEqual(self.code(c.get_object, **made), ('InternalError', 500))
        self.assertEqual(self.code(c.put_object_tagging, Tagging={'TagSet': []}, **made), ('InternalError', 500))

    def test_tagging_takes_the_key(self):
        """a manifest is written anew with the object's data key"""
        self.c.put_object(Bucket='bkt', Key='sealed', Body=b'x', ServerSideEncryption='aws:kms', SSEKMSKeyId=self.key['Arn'])
        tagger = self.s.new_user('tagger', [allow(['s3:PutObjectTagging', 's3:GetObjectTagging'], 'arn:aws:s3:::bkt/*')])
        put = ['s3api', 'put-object-tagging', '--bucket', 'bkt', '--key', 'sealed', '--tagging', 'TagSet=[{Key=a,Value=b}]']
        self.refused(self.s.aws(put, tagger), 'AccessDenied', 'kms:Decrypt')
        self.assertEqual(self.s.awsj('s3api get-object-tagging --bucket bkt --key sealed', tagger)['TagSet'], [])

    def test_bucket_key(self):
        """the encryption context is the bucket's; the name is bound all the same"""
        c, s, arn = self.c, self.s, self.key['Arn']
        under = {'Effect': 'Allow', 'Action': ['kms:GenerateDataKey', 'kms:Decrypt'], 'Resource': arn,
                 'Condition': {'StringEquals': {'kms:EncryptionContext:aws:s3:arn': 'arn:aws:s3:::bkt'}}}
        writer = s.new_user('under-bucket', [allow(['s3:PutObject', 's3:GetObject'], 'arn:aws:s3:::bkt/*'), under])
        put = 's3api put-object --bucket bkt --body rows --server-side-encryption aws:kms --ssekms-key-id %s --key ' % arn
        s.write('rows', b'rows')
        self.accepted(s.aws(put + 'bk1 --bucket-key-enabled', writer))
        self.refused(s.aws(put + 'bk2', writer), 'AccessDenied', 'kms:GenerateDataKey')
        self.accepted(s.aws('s3api get-object --bucket bkt --key bk1 out', writer))
        kms = dict(ServerSideEncryption='aws:kms', SSEKMSKeyId=arn)
        c.put_object(Bucket='bkt', Key='bk2', Body=b'other', BucketKeyEnabled=True, Tagging='a=b', **kms)
        c.put_object_tagging(Bucket='bkt', Key='bk2', Tagging={'TagSet': []})
        c.copy_object(Bucket='bkt', Key='bk3', CopySource='bkt/bk2', **kms)
        c.copy_object(Bucket='bkt', Key='bk4', CopySource='bkt/bk3', BucketKeyEnabled=True, **kms)
        for key, on in (('bk2', True), ('bk3', False), ('bk4', True)):
            r = c.get_object(Bucket='bkt', Key=key)
            self.assertEqual((r['Body'].read(), r.get('BucketKeyEnabled', False), r['Metadata']), (b'other', on, {}))
        up = dict(Bucket='bkt', Key='bk5', UploadId=c.create_multipart_upload(Bucket='bkt', Key='bk5', BucketKeyEnabled=True, **kms)['UploadId'])
        part = c.upload_part(PartNumber=1, Body=b'part', **up)
        sums = {k: v for k, v in part.items() if k in ('ETag', 'ChecksumCRC32')}
        self.assertTrue(part['BucketKeyEnabled'] and c.complete_multipart_upload(MultipartUpload={'Parts': [dict(sums, PartNumber=1)]}, **up)['BucketKeyEnabled'])
        self.assertEqual(c.get_object(Bucket='bkt', Key='bk5')['Body'].read(), b'part')
        db = sqlite3.connect(os.path.join(s.data, 's3/index.db'), timeout=30)
        with db:  # one object's row under another's name
            db.execute("UPDATE object SET id = (SELECT id FROM object WHERE key = CAST('bk1' AS BLOB)) WHERE key = CAST('bk2' AS BLOB)")
        db.close()
        self.assertEqual(self.code(c.get_object, Bucket='bkt', Key='bk2'), ('InternalError', 500))
        self.assertEqual(c.get_object(Bucket='bkt', Key='bk1')['Body'].read(), b'rows')

    def test_s3cmd(self):
        s = self.s
        host = s.env['AWS_ENDPOINT_URL'][len('https://'):]
        base = ['s3cmd', '--access_key=' + s.env['AWS_ACCESS_KEY_ID'], '--secret_key=' + s.env['AWS_SECRET_ACCESS_KEY'], '--host=' + host, '--host-bucket=' + host,
                '--ca-certs=' + s.env['AWS_CA_BUNDLE'], '--region=us-east-1', '--no-progress', '-c', '/dev/null']
        data = os.urandom(20 * 1024 * 1024)
        s.write('cmd', data)
        self.accepted(s.run(base + ['mb', 's3://cmdbucket']))
        self.accepted(s.run(base + ['put', 'cmd', 's3://cmdbucket/dir/cmd', '--server-side-encryption', '--server-side-encryption-kms-id=' + self.key['KeyId']]))
        self.assertIn('dir/cmd', self.accepted(s.run(base + ['ls', '-r', 's3://cmdbucket'])))
        self.accepted(s.run(base + ['get', '--force', 's3://cmdbucket/dir/cmd', 'cmd.back']))
        with open(os.path.join(s.work, 'cmd.back'), 'rb') as f:
            self.assertEqual(f.read(), data)
        self.accepted(s.run(base + ['del', 's3://cmdbucket/dir/cmd']))
        self.accepted(s.run(base + ['rb', 's3://cmdbucket']))

    def test_rclone(self):
        s = self.s
        conf = s.write('rclone.conf', '[s]\ntype = s3\nprovider = Other\naccess_key_id = %s\nsecret_access_key = %s\nendpoint = %s\nregion = us-east-1\nserver_side_encryption = aws:kms\n' % (
            s.env['AWS_ACCESS_KEY_ID'], s.env['AWS_SECRET_ACCESS_KEY'], s.env['AWS_ENDPOINT_URL']))
        # rclone 1.60 can't take the variable beside its own transport
        base = ['env', '-u', 'AWS_CA_BUNDLE', 'rclone', '--config', conf, '--ca-cert', s.env['AWS_CA_BUNDLE']]
        os.makedirs(os.path.join(s.work, 'tree/sub'), exist_ok=True)
        s.write('tree/one', os.urandom(1000))
        s.write('tree/sub/two', os.urandom(300000))
        self.accepted(s.run(base + ['copy', 'tree', 's:rclonebucket/x']))
        self.accepted(s.run(base + ['copy', 's:rclonebucket/x', 'tree2']))
        self.accepted(s.run(['diff', '-r', 'tree', 'tree2']))
        self.accepted(s.run(base + ['check', '--download', 'tree', 's:rclonebucket/x']))

    def test_big_object_in_little_memory(self):
        """2 GiB in the soak, 128 MiB in the check; s3's anonymous memory stays under 128 MiB"""
        s = self.s
        size = (2048 if SOAK else 128) * 1024 * 1024
        path, digest, block = os.path.join(s.work, 'big'), hashlib.sha256(), os.urandom(1024 * 1024)
        with open(path, 'wb') as f:
            for i in range(size // len(block)):
                b = i.to_bytes(8, 'big') + block[8:]
                digest.update(b)
                f.write(b)
        peak, stop = [0], threading.Event()

        def watch():
            while not stop.is_set():
                try:
                    peak[0] = max(peak[0], anonymous_kib(s.pids()['s3']))
                except (OSError, KeyError):
                    pass
                time.sleep(0.05)
        t = threading.Thread(target=watch)
        t.start()
        try:
            self.accepted(s.aws('s3 cp big s3://bkt/big --sse aws:kms', timeout=1800))
            self.accepted(s.aws('s3 cp s3://bkt/big back', timeout=1800))
            with open(path, 'rb') as f:
                self.c.put_object(Bucket='bkt', Key='single', Body=f)
        finally:
            stop.set()
            t.join()
        got = hashlib.sha256()
        with open(os.path.join(s.work, 'back'), 'rb') as f:
            while chunk := f.read(1 << 20):
                got.update(chunk)
        self.assertEqual(got.hexdigest(), digest.hexdigest())
        got = hashlib.sha256()
        for chunk in self.c.get_object(Bucket='bkt', Key='single')['Body'].iter_chunks(1 << 20):
            got.update(chunk)
        self.assertEqual(got.hexdigest(), digest.hexdigest())
        print('%d MiB object: peak anonymous memory of s3 %d MiB' % (size >> 20, peak[0] >> 10))
        if not SANITIZED:
            self.assertLess(peak[0], 128 * 1024)
        for name in ('big', 'back'):
            os.unlink(os.path.join(s.work, name))


if __name__ == '__main__':
    unittest.main()
