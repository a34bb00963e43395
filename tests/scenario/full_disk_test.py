"""A full disk: reads go on, writes are refused cleanly, key uses once the audit log's reserve is used up; nothing that was acknowledged is
lost, and all goes on when there is room again. On a file system of its own where it may be mounted (root), and under the shim, for everyone."""
import json
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../faults'))

import boto3  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

import instance  # noqa: E402
from harness import SEALIFT, Sealift, SealiftTest  # noqa: E402

BUCKET = 'full-disk'
FS_BYTES = 512 << 20
BODY = bytes(range(256)) * 1024


class Small(Sealift):
    """on a file system of its own"""

    def __init__(self, options=()):
        super().__init__(options=options)
        os.mkdir(self.data)
        self.mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=711,size=%d' % FS_BYTES, 'sealift', self.data], stderr=subprocess.DEVNULL).returncode == 0

    def full(self, on):
        filler = os.path.join(self.data, 'filler')
        if not on:
            os.unlink(filler)
            return
        fd = os.open(filler, os.O_WRONLY | os.O_CREAT, 0o600)
        piece = 1 << 20
        while piece >= 4096:
            try:
                os.write(fd, bytes(piece))
            except OSError:
                piece //= 2
        os.close(fd)

    def close(self):
        self.down()
        if self.mounted:
            subprocess.run(['umount', self.data], check=True)
        super().close()


class Shim(instance.Shimmed):
    mounted = True

    def full(self, on):
        self.log.disk_full(on)


class FullDisk:
    kind = None

    @classmethod
    def instance(cls):
        return cls.kind()

    @classmethod
    def start(cls):
        if not cls.s.mounted:
            raise unittest.SkipTest('no file system can be mounted here; the shim stands in')
        super().start()

    @classmethod
    def client(cls, service):
        e = cls.s.env
        return boto3.client(service, endpoint_url=e['AWS_ENDPOINT_URL'], region_name=e['AWS_REGION'], verify=e['AWS_CA_BUNDLE'],
                            aws_access_key_id=e['AWS_ACCESS_KEY_ID'], aws_secret_access_key=e['AWS_SECRET_ACCESS_KEY'],
                            config=Config(retries={'total_max_attempts': 1}, s3={'addressing_style': 'path'}))

    @classmethod
    def prepare(cls):
        cls.kms, cls.s3 = cls.client('kms'), cls.client('s3')
        cls.key = cls.kms.create_key()['KeyMetadata']['Arn']
        cls.s3.create_bucket(Bucket=BUCKET)
        cls.s3.put_object(Bucket=BUCKET, Key='kms', Body=BODY, ServerSideEncryption='aws:kms', SSEKMSKeyId=cls.key)
        cls.s3.put_object(Bucket=BUCKET, Key='plain', Body=BODY)
        cls.blob = cls.kms.encrypt(KeyId=cls.key, Plaintext=b'x', EncryptionContext={'early': 'x' * 200})['CiphertextBlob']
        cls.s.sqlv('create table kept (n int); insert into kept values (1), (2), (3)')

    def read(self, name):
        return self.s3.get_object(Bucket=BUCKET, Key=name)['Body'].read()

    def code(self, call, **args):
        with self.assertRaises(ClientError) as e:
            call(**args)
        return e.exception.response['Error']['Code']

    def reads(self):
        self.assertEqual(self.s.sqlv('select sum(n) from kept'), '6')
        self.assertEqual(self.s3.head_object(Bucket=BUCKET, Key='plain')['ContentLength'], len(BODY))
        self.assertEqual({o['Key'] for o in self.s3.list_objects_v2(Bucket=BUCKET)['Contents']}, {'kms', 'plain'})

    def writes_refused(self):
        for n in (1, 4 << 20):
            self.assertIn(self.code(self.s3.put_object, Bucket=BUCKET, Key='new', Body=bytes(n)), ('InsufficientStorage', 'InternalError', 'ServiceUnavailable', '507'))
        self.assertEqual(self.code(self.s3.get_object, Bucket=BUCKET, Key='new'), 'NoSuchKey')
        r = self.s.sql('insert into kept select (random() * 2000000000)::int from (select generate_series(1, 8000000)) x')
        self.refused(r, 'No space left on device')

    def use(self, context):
        return self.kms.generate_data_key(KeyId=self.key, KeySpec='AES_256', EncryptionContext=context)

    def use_up(self):
        """uses of the key until not even a small record fits into the log's reserve; how many were acknowledged"""
        count = 0
        for fill in (8000, 1):
            try:
                while count < 20000:
                    self.use({'n': '%d' % count, 'fill': 'x' * fill})
                    count += 1
                self.fail('the reserve has no end')
            except ClientError as e:
                self.assertEqual(e.response['Error']['Code'], 'KMSInternalException')
        return count

    def until_it_works(self, call):
        deadline = time.time() + 30
        while True:
            try:
                return call()
            except ClientError:
                if time.time() > deadline:
                    raise
                time.sleep(0.2)

    def test_full(self):
        s = self.s
        before = s.pids()
        s.full(True)
        self.reads()
        self.assertEqual(self.read('kms'), BODY)
        self.assertEqual(self.read('plain'), BODY)
        self.writes_refused()
        used = self.use_up()
        self.assertGreater(used, 100)
        for _ in range(3):
            self.assertEqual(self.code(self.use, context={'late': 'x' * 200}), 'KMSInternalException')
            self.assertEqual(self.code(self.kms.decrypt, CiphertextBlob=self.blob, EncryptionContext={'early': 'x' * 200}), 'KMSInternalException')
            self.assertEqual(self.code(self.s3.get_object, Bucket=BUCKET, Key='kms'), 'KMS.KMSInternalException')
            self.assertEqual(self.code(self.kms.create_key), 'KMSInternalException')
        self.reads()
        self.assertEqual(s.pids(), before)
        s.full(False)
        self.until_it_works(lambda: self.use({'after': '1'}))
        self.assertEqual(self.read('kms'), BODY)
        self.assertEqual(self.read('plain'), BODY)
        self.s3.put_object(Bucket=BUCKET, Key='after', Body=BODY, ServerSideEncryption='aws:kms', SSEKMSKeyId=self.key)
        s.sqlv('insert into kept select 0 from generate_series(1, 100000)')
        self.assertEqual(s.sqlv('select count(*) from kept'), '100003')
        self.kms.create_key()
        self.assertEqual(s.pids(), before)
        self.audit_verifies()
        out = self.accepted(s.run([SEALIFT, 'audit', 'search', '--json', '--event', 'GenerateDataKey', '--key', self.key, '--data', s.data]))
        contexts = [(json.loads(line)['requestParameters'] or {}).get('encryptionContext', {}) for line in out.splitlines()]
        seen = [int(c['n']) for c in contexts if 'n' in c]
        self.assertEqual(seen, list(range(used)))
        self.assertNotIn('late', [k for c in contexts for k in c])
        s.down()
        s.up()
        self.assertEqual(self.client('s3').get_object(Bucket=BUCKET, Key='after')['Body'].read(), BODY)
        self.assertEqual(s.sqlv('select count(*) from kept'), '100003')


class OwnFileSystem(FullDisk, SealiftTest):
    kind = Small


class UnderTheShim(FullDisk, SealiftTest):
    kind = Shim


if __name__ == '__main__':
    unittest.main()
