"""COPY … ENCRYPTED: objects as the S3 encryption client's first format has them, made here with openssl."""
import base64
import gzip
import json
import os
import subprocess
import unittest

from harness import SealiftTest, allow

ROWS = b''.join(b'%d|row %d\n' % (i, i) for i in range(20000))


def aes(mode, key, data, iv=None):
    command = ['openssl', 'enc', '-e', '-aes-256-' + mode, '-K', key.hex()] + (['-iv', iv.hex()] if iv else [])
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def text(data):
    return base64.b64encode(data).decode()


class ClientEncryption(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        s.aws('s3 mb s3://bkt')
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket'])])
        cls.master = os.urandom(32)
        s.sqlv('create table t (a integer, b varchar(20))')

    def put(self, name, body, metadata):
        self.s.write('object', body)
        self.accepted(self.s.aws(['s3api', 'put-object', '--bucket', 'bkt', '--key', name, '--body', os.path.join(self.s.work, 'object'), '--metadata', json.dumps(metadata)]))

    def put_sealed(self, name, data, cut=0, **other):
        key, iv = os.urandom(32), os.urandom(16)
        metadata = {'x-amz-key': text(aes('ecb', self.master, key)), 'x-amz-iv': text(iv), 'x-amz-matdesc': '{}', 'x-amz-unencrypted-content-length': str(len(data))}
        metadata.update({k.replace('_', '-'): v for k, v in other.items()})
        body = aes('cbc', key, data, iv)
        self.put(name, body[:len(body) - cut], metadata)

    def copy(self, name, options='', master=None, form='IAM_ROLE'):
        key = text(master if master is not None else self.master)
        auth = "IAM_ROLE '%s' MASTER_SYMMETRIC_KEY '%s'" % (self.role, key) if form == 'IAM_ROLE' else "CREDENTIALS 'aws_iam_role=%s;master_symmetric_key=%s'" % (self.role, key)
        return self.s.sql("TRUNCATE t; COPY t FROM 's3://bkt/%s' %s ENCRYPTED %s" % (name, auth, options))

    def loaded(self):
        return self.s.sqlv('select count(*), sum(a), max(b) from t')

    def test_objects_load(self):
        want = '20000|199990000|row 9999'
        self.put_sealed('plain', ROWS)
        self.accepted(self.copy('plain'))
        self.assertEqual(self.loaded(), want)
        self.accepted(self.copy('plain', form='CREDENTIALS'))
        self.assertEqual(self.loaded(), want)
        self.put_sealed('packed', gzip.compress(ROWS))
        self.accepted(self.copy('packed', 'GZIP'))
        self.assertEqual(self.loaded(), want)
        self.put_sealed('wide', ROWS.decode().encode('utf-16'))
        self.accepted(self.copy('wide', 'ENCODING UTF16'))
        self.assertEqual(self.loaded(), want)
        for n in (15, 16, 17, 32):  # around the blocks
            self.put_sealed('block', b'1|' + b'x' * (n - 14))
            self.accepted(self.copy('block'))
            self.assertEqual(self.s.sqlv('select octet_length(b) from t'), str(n - 14))

    def test_manifest(self):
        self.put_sealed('m/part', b'1|x\n')
        manifest = json.dumps({'entries': [{'url': 's3://bkt/m/part', 'mandatory': True}]}).encode()
        self.put('m-plain', manifest, {})
        self.put_sealed('m-sealed', manifest)
        for name in ('m-plain', 'm-sealed'):
            self.accepted(self.copy(name, 'MANIFEST'))
            self.assertEqual(self.s.sqlv('select * from t'), '1|x')
        self.refused(self.copy('m-sealed', 'MANIFEST', master=os.urandom(32)), "can't be opened with this MASTER_SYMMETRIC_KEY")

    def test_refusals(self):
        self.put_sealed('good', b'1|x\n')
        self.accepted(self.copy('good'))
        self.refused(self.copy('good', master=os.urandom(32)), "can't be opened with this MASTER_SYMMETRIC_KEY", 'code:      8001', 's3://bkt/good')
        self.refused(self.copy('good', master=b'short'), 'MASTER_SYMMETRIC_KEY must be a 256-bit key in base64')
        self.refused(self.s.sql("COPY t FROM 's3://bkt/good' IAM_ROLE '%s' ENCRYPTED" % self.role), 'ENCRYPTED needs MASTER_SYMMETRIC_KEY')
        self.put('bare', b'1|x\n', {})
        self.refused(self.copy('bare'), 'The object is not encrypted by a client')
        self.put_sealed('v2', b'1|x\n', x_amz_key_v2=text(os.urandom(48)), x_amz_cek_alg='AES/GCM/NoPadding')
        self.refused(self.copy('v2'), 'a later format than')
        self.put_sealed('iv', b'1|x\n', x_amz_iv='!')
        self.refused(self.copy('iv'), 'x-amz-key or x-amz-iv is damaged')
        self.put_sealed('cut', ROWS, cut=7)
        self.refused(self.copy('cut'), 'The encrypted object is cut or damaged.')
        self.put_sealed('cut-block', ROWS, cut=16)
        self.refused(self.copy('cut-block'), 'The encrypted object is cut or damaged.')
        self.assertEqual(self.s.sqlv('select * from t'), '1|x')

    def test_key_does_not_show(self):
        self.put_sealed('shown', b'x|y\n')
        self.refused(self.copy('shown'), 'Load into table')
        key = text(self.master)
        self.assertNotIn(key, self.s.logs())
        self.assertEqual(self.s.sqlv("select count(*) from pg_stat_activity where pid <> pg_backend_pid() and position('%s' in query) > 0" % key[:20]), '0')


if __name__ == '__main__':
    unittest.main()
