"""Buckets as host names below --domain: every style of address reaches the same objects, and each is signed as it is sent."""
import socket
import ssl
import unittest
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

from harness import SEALIFT, SealiftTest

DOMAIN = 'objects.example'


class VirtualHost(SealiftTest):
    options = ('--domain', DOMAIN)

    @classmethod
    def prepare(cls):
        """names below the domain resolve to loopback, in this process alone"""
        cls.resolve = real = socket.getaddrinfo

        def here(host, *args, **kw):
            return real('127.0.0.1' if host == DOMAIN or host.endswith('.' + DOMAIN) else host, *args, **kw)
        socket.getaddrinfo = here
        cls.port = urlsplit(cls.s.env['AWS_ENDPOINT_URL']).port
        cls.virtual, cls.path = (cls.client(style) for style in ('virtual', 'path'))
        cls.virtual.create_bucket(Bucket='hosted')

    @classmethod
    def tearDownClass(cls):
        socket.getaddrinfo = cls.resolve
        super().tearDownClass()

    @classmethod
    def client(cls, style, service='s3', host=DOMAIN):
        env = cls.s.env
        return boto3.client(service, endpoint_url='https://%s:%d' % (host, cls.port), region_name='us-east-1', verify=env['AWS_CA_BUNDLE'],
                            aws_access_key_id=env['AWS_ACCESS_KEY_ID'], aws_secret_access_key=env['AWS_SECRET_ACCESS_KEY'],
                            config=Config(retries={'max_attempts': 0}, signature_version='s3v4' if service == 's3' else None, s3={'addressing_style': style}))

    def url_of(self, client, **kw):
        return client.generate_presigned_url('get_object', Params=kw)

    def fetch(self, url):
        context = ssl.create_default_context(cafile=self.s.env['AWS_CA_BUNDLE'])
        with urlopen(url, context=context) as r:
            return r.read()

    def test_same_objects(self):
        self.virtual.create_bucket(Bucket='same')
        address = self.client('path', host='127.0.0.1')
        for key in ('k', 'a/b c', 'same/k', '/lead', 'ü?&'):
            self.virtual.put_object(Bucket='same', Key=key, Body=key.encode())
            for c in (self.virtual, self.path, address):
                self.assertEqual(c.get_object(Bucket='same', Key=key)['Body'].read(), key.encode())
        keys = [o['Key'] for o in self.virtual.list_objects_v2(Bucket='same')['Contents']]
        self.assertEqual(keys, [o['Key'] for o in address.list_objects_v2(Bucket='same')['Contents']])
        self.assertEqual(len(keys), 5)
        self.virtual.copy_object(Bucket='same', Key='copy', CopySource={'Bucket': 'same', 'Key': 'k'})
        self.virtual.delete_objects(Bucket='same', Delete={'Objects': [{'Key': k} for k in keys]})
        self.assertEqual([o['Key'] for o in self.path.list_objects_v2(Bucket='same')['Contents']], ['copy'])
        self.assertEqual({b['Name'] for b in self.virtual.list_buckets()['Buckets']} & {'hosted', 'same'}, {'hosted', 'same'})

    def test_multipart(self):
        made = dict(Bucket='hosted', Key='many')
        up = self.virtual.create_multipart_upload(**made)['UploadId']
        part = self.virtual.upload_part(UploadId=up, PartNumber=1, Body=b'x', **made)
        done = self.virtual.complete_multipart_upload(UploadId=up, MultipartUpload={'Parts': [{'PartNumber': 1, 'ETag': part['ETag']}]}, **made)
        self.assertEqual(done['Location'], 'https://hosted.%s:%d/many' % (DOMAIN, self.port))
        self.virtual.delete_object(**made)

    def test_presigned(self):
        self.virtual.put_object(Bucket='hosted', Key='signed', Body=b'for you')
        url = self.url_of(self.virtual, Bucket='hosted', Key='signed')
        self.assertTrue(url.startswith('https://hosted.%s:%d/signed?' % (DOMAIN, self.port)), url)
        self.assertEqual(self.fetch(url), b'for you')
        self.virtual.create_bucket(Bucket='other')
        self.virtual.put_object(Bucket='other', Key='signed', Body=b'not yours')
        with self.assertRaises(OSError) as e:  # the host is signed
            self.fetch(url.replace('https://hosted.', 'https://other.'))
        self.assertEqual(e.exception.code, 403)
        self.assertIn(b'SignatureDoesNotMatch', e.exception.read())

    def test_refusals(self):
        for bucket, code in (('nobody-has-this', 'NoSuchBucket'), ('x', 'NoSuchBucket')):
            with self.assertRaises(ClientError) as e:
                self.virtual.get_object(Bucket=bucket, Key='k')
            self.assertEqual(e.exception.response['Error']['Code'], code)
        self.assertIn('Keys', self.client('path', 'kms').list_keys())  # the domain itself serves all
        r = self.s.run([SEALIFT, 'up', '--data', self.s.work + '/none', '--domain', '127.0.0.1'])
        self.refused(r, '--domain wants a domain')


if __name__ == '__main__':
    unittest.main()
