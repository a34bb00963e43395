"""What a ciphertext blob binds: each byte of itself, its encryption context, its key, account and region; over TLS with boto3."""
import itertools
import random
import shlex
import unittest

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

from harness import SEALIFT, SOAK, SealiftTest

OTHER = '222222222222'
PLAIN = b'what only the right call sees'
CONTEXT = {'a': 'b', 'c': 'd', 'Purpose': 'flights', 'ключ': 'значение'}

# Pairs of contexts whose careless spelling is the same string.
RECUTS = [
    ({'a': 'bc'}, {'ab': 'c'}),
    ({'a': 'b', 'c': 'd'}, {'a': 'b,c:d'}),
    ({'a': 'b', 'c': 'd'}, {'a': 'b, "c": "d'}),
    ({'a': 'b', 'c': 'd'}, {'a': 'b","c":"d'}),
    ({'a': 'b', 'c': 'd'}, {'a': 'b=c', 'd': ''}),
    ({'a': 'b', 'c': 'd'}, {'a': 'd', 'c': 'b'}),
    ({'a': 'b', 'c': 'd'}, {'a=b&c': 'd'}),
    ({'a': 'b\x00c'}, {'a': 'b'}),
    ({'a': 'b '}, {'a': 'b'}),
    ({'e': '\u00e9'}, {'e': 'e\u0301'}),
    ({'1': '23'}, {'12': '3'}),
]


class Blob(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        cls.admin = (s.env['AWS_ACCESS_KEY_ID'], s.env['AWS_SECRET_ACCESS_KEY'])
        cls.kms = cls.client(*cls.admin)
        cls.key = cls.kms.create_key()['KeyMetadata']['Arn']
        cls.second = cls.kms.create_key()['KeyMetadata']['Arn']

    @classmethod
    def client(cls, key, secret, region='us-east-1'):
        return boto3.client('kms', endpoint_url=cls.s.env['AWS_ENDPOINT_URL'], region_name=region, verify=cls.s.env['AWS_CA_BUNDLE'], aws_access_key_id=key,
                            aws_secret_access_key=secret, config=Config(retries={'max_attempts': 0}))

    def seal(self, context=CONTEXT, plain=PLAIN):
        return self.kms.encrypt(KeyId=self.key, Plaintext=plain, EncryptionContext=context)['CiphertextBlob']

    def open(self, blob, context=CONTEXT, kms=None, **kw):
        return (kms or self.kms).decrypt(CiphertextBlob=blob, EncryptionContext=context, **kw)['Plaintext']

    def code(self, call, *args, **kw):
        with self.assertRaises(ClientError) as e:
            call(*args, **kw)
        return e.exception.response['Error']['Code']

    def invalid(self, blob, context=CONTEXT, **kw):
        self.assertEqual(self.code(self.open, blob, context, **kw), 'InvalidCiphertextException', (blob.hex(), context))

    def test_1_every_byte_changed(self):
        """with KeyId and without; each bit of each byte in the long form. A changed ARN names a key that is not there, which has a refusal of its own."""
        blob = self.seal()
        self.assertEqual(self.open(blob), PLAIN)
        for i in range(len(blob)):
            for x in [1 << b for b in range(8)] if SOAK else {1, random.randrange(1, 256)}:
                bad = bytearray(blob)
                bad[i] ^= x
                in_arn = 2 <= i < 4 + len(self.key)  # its length is two bytes
                self.assertIn(self.code(self.open, bytes(bad)), ('InvalidCiphertextException', 'AccessDeniedException') if in_arn
                              else ('InvalidCiphertextException',), (i, x))
                if x == 1:
                    self.assertIn(self.code(self.open, bytes(bad), KeyId=self.key), ('InvalidCiphertextException', 'IncorrectKeyException') if in_arn
                                  else ('InvalidCiphertextException',), (i, x))
        self.assertEqual(self.open(blob), PLAIN)

    def test_2_cut_and_lengthened(self):
        blob = self.seal()
        for n in range(1, len(blob)):
            self.invalid(blob[:n])
        for more in (b'\0', b'x', blob[-16:], blob):
            self.invalid(blob + more)
            self.invalid(more + blob)
        head = 4 + len(self.key) + 16
        for at in (head + 16, head + 32, head + 48):
            self.invalid(blob[:at] + self.seal()[at:])

    def test_3_contexts_permuted(self):
        for order in itertools.permutations(CONTEXT.items()):
            self.assertEqual(self.open(self.seal(dict(order)), CONTEXT), PLAIN)
            self.assertEqual(self.open(self.seal(), dict(order)), PLAIN)

    def test_4_contexts_changed(self):
        blob = self.seal()
        without = {k: v for k, v in CONTEXT.items() if k != 'a'}
        for wrong in (without, dict(CONTEXT, e='f'), dict(CONTEXT, a='B'), dict(without, A='b'), dict(CONTEXT, purpose='flights'), {}, {'a': 'b'},
                      dict(CONTEXT, a='')):
            self.invalid(blob, wrong)
        self.invalid(self.seal({}), {'a': ''})
        self.invalid(self.seal({'a': ''}), {})

    def test_5_contexts_cut_anew(self):
        for one, two in RECUTS:
            for sealed, opened in ((one, two), (two, one)):
                blob = self.seal(sealed)
                self.assertEqual(self.open(blob, sealed), PLAIN)
                self.invalid(blob, opened)

    def test_6_other_key(self):
        blob = self.seal()
        self.assertEqual(self.open(blob, KeyId=self.key), PLAIN)
        self.assertEqual(self.code(self.open, blob, KeyId=self.second), 'IncorrectKeyException')
        self.assertEqual(self.code(self.kms.re_encrypt, CiphertextBlob=blob, SourceEncryptionContext=CONTEXT, SourceKeyId=self.second,
                                   DestinationKeyId=self.key), 'IncorrectKeyException')
        moved = self.kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=CONTEXT, DestinationKeyId=self.second, DestinationEncryptionContext={'n': 'ew'})
        self.assertEqual((moved['SourceKeyId'], moved['KeyId']), (self.key, self.second))
        self.assertEqual(self.open(moved['CiphertextBlob'], {'n': 'ew'}, KeyId=self.second), PLAIN)
        self.invalid(moved['CiphertextBlob'])
        self.invalid(blob.replace(self.key.encode(), self.second.encode()))

    def test_7_other_account_and_region(self):
        blob = self.seal()
        r = self.s.run([SEALIFT, 'account', 'add', OTHER, '--data', self.s.data])
        self.accepted(r)
        env = dict(shlex.split(line)[1].split('=', 1) for line in r.out.splitlines())
        stranger = self.client(env['AWS_ACCESS_KEY_ID'], env['AWS_SECRET_ACCESS_KEY'])
        self.assertEqual(self.code(self.open, blob, kms=stranger), 'AccessDeniedException')
        theirs = stranger.create_key()['KeyMetadata']['Arn']
        self.assertEqual(self.code(self.open, blob, kms=stranger, KeyId=theirs), 'IncorrectKeyException')
        west = self.client(*self.admin, region='us-west-2')
        self.assertNotEqual(self.code(self.open, blob, kms=west), '')
        key = west.create_key()['KeyMetadata']['Arn']
        self.assertEqual(self.code(self.open, blob, kms=west, KeyId=key), 'IncorrectKeyException')
        there = west.encrypt(KeyId=key, Plaintext=PLAIN)['CiphertextBlob']
        self.assertEqual(self.open(there, {}, kms=west), PLAIN)
        self.assertNotEqual(self.code(self.open, there, {}), '')

    def test_8_rotation(self):
        before = self.seal()
        self.s.awsj(['kms', 'rotate-key-on-demand', '--key-id', self.key])  # boto3 may be too old for it
        after = self.seal()
        self.assertNotEqual(before, after)
        self.assertEqual((self.open(before), self.open(after)), (PLAIN, PLAIN))
        arn = len(self.key) + 4
        self.assertEqual(before[:arn], after[:arn])
        self.assertNotEqual(before[arn:arn + 16], after[arn:arn + 16], 'the backing key is a new one')
        self.invalid(before[:arn] + after[arn:arn + 16] + before[arn + 16:])

    def test_9_sizes(self):
        for n in (1, 16, 4096):
            blob = self.seal(plain=b'x' * n)
            self.assertLessEqual(len(blob), 6144)
            self.assertEqual(self.open(blob), b'x' * n)
        self.assertEqual(self.code(self.seal, plain=b'x' * 4097), 'ValidationException')
        self.assertEqual(len({self.seal() for _ in range(50)}), 50, 'no two blobs are the same')
        for size, want in (({'KeySpec': 'AES_128'}, 16), ({'KeySpec': 'AES_256'}, 32), ({'NumberOfBytes': 1}, 1), ({'NumberOfBytes': 1024}, 1024)):
            r = self.kms.generate_data_key(KeyId=self.key, EncryptionContext=CONTEXT, **size)
            self.assertEqual(len(r['Plaintext']), want)
            self.assertEqual(self.open(r['CiphertextBlob']), r['Plaintext'])
        for size in ({'NumberOfBytes': 1025}, {}, {'KeySpec': 'AES_256', 'NumberOfBytes': 32}, {'KeySpec': 'AES_512'}):
            self.assertEqual(self.code(self.kms.generate_data_key, KeyId=self.key, **size), 'ValidationException', size)


if __name__ == '__main__':
    unittest.main()
