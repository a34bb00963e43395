"""Promise 6: uses of keys are recorded; `sealift audit` finds what was altered and searches what was written."""
import glob
import json
import os
import unittest

from harness import SEALIFT, SealiftTest, allow


class Audit(SealiftTest):
    @classmethod
    def prepare(cls):
        cls.key = cls.s.awsj('kms create-key --description audited')['KeyMetadata']
        cls.reader = cls.s.new_user('reader', [allow('kms:DescribeKey')])

    def audit(self, *args, **kw):
        return self.s.run([SEALIFT, 'audit', *args, '--data', self.s.data], **kw)

    def events(self, *args):
        return [json.loads(line) for line in self.accepted(self.audit('search', '--json', *args)).splitlines()]

    def test_search(self):
        s, arn = self.s, self.key['Arn']
        blob = s.awsj(['kms', 'encrypt', '--key-id', arn, '--plaintext', 'aGVsbG8gYXVkaXQ=', '--encryption-context', 'purpose=audit'])['CiphertextBlob']
        self.assertNotEqual(s.aws(['kms', 'encrypt', '--key-id', arn, '--plaintext', 'aGVsbG8='], self.reader).code, 0)
        made = self.events('--event', 'CreateKey', '--key', self.key['KeyId'])
        self.assertEqual(len(made), 1)
        self.assertEqual(made[0]['userIdentity']['userName'], 'admin')
        self.assertEqual(made[0]['requestParameters']['description'], 'audited')
        uses = self.events('--event', 'Encrypt', '--principal', 'admin', '--key', arn)
        self.assertEqual([u['requestParameters']['encryptionContext'] for u in uses], [{'purpose': 'audit'}])
        denied = self.events('--errors', '--event', 'Encrypt')
        self.assertEqual([(d['userIdentity']['userName'], d['errorCode']) for d in denied], [('reader', 'AccessDenied')])
        self.assertEqual(self.events('--request', denied[0]['requestID']), denied)
        self.assertEqual(self.events('--to', '2020-01-01T00:00:00Z'), [])
        self.assertEqual(self.events('--from', '2100-01-01T00:00:00Z'), [])
        self.assertEqual(self.events('--principal', 'arn:aws:iam::%s:user/reader' % s.account, '--event', 'Encrypt'), denied)
        line = self.accepted(self.audit('search', '--errors', '--event', 'Encrypt'))
        self.assertIn(' Encrypt AccessDenied arn:aws:iam::%s:user/reader ' % s.account, line)
        log = b''.join(open(f, 'rb').read() for f in glob.glob(os.path.join(s.data, 'kms/audit/*.log')))
        for secret in ('hello audit', 'aGVsbG8gYXVkaXQ', blob, s.env['AWS_SECRET_ACCESS_KEY']):
            self.assertNotIn(secret.encode(), log)
        self.refused(self.audit('search', '--from', 'yesterday'), 'a time is')

    def test_verify(self):
        """up, down, with and without keys; a flipped byte, a cut tail against a kept head, a foreign head"""
        s = self.s
        out = self.accepted(self.audit('verify'))
        self.assertIn('open, ok', out)
        self.assertIn('verified: ', out)
        self.assertIn('heads and sequence only', self.accepted(self.audit('verify', '--no-keys')))
        s.awsj('kms create-key')
        kept = s.write('kept.head', self.accepted(self.audit('head')))
        self.accepted(self.audit('verify', '--head', kept))
        s.down()
        closing = self.accepted(self.audit('head'))
        out = self.accepted(self.audit('verify', '--head', '-', input=closing))
        self.assertIn('closed, ok', out)
        self.assertIn('as this head names it', out)
        last = sorted(glob.glob(os.path.join(s.data, 'kms/audit/*.log')))[-1]
        with open(last, 'rb') as f:
            whole = f.read()
        self.put(last, whole.replace(b'"CreateKey"', b'"DescribeK"', 1))
        r = self.audit('verify')
        self.assertEqual(r.code, 2, r)
        self.refused(r, 'altered', 'NOT VERIFIED')
        # the tail and its head go: only the kept head tells
        head = last[:-4] + '.head'
        with open(head, 'rb') as f:
            head_text = f.read()
        self.put(last, whole[:whole.index(b'\n') + 1])
        os.rename(head, head + '.away')
        self.accepted(self.audit('verify'))
        r = self.audit('verify', '--head', kept)
        self.assertEqual(r.code, 2, r)
        self.refused(r, 'does not hold record')
        self.put(last, whole)
        os.rename(head + '.away', head)
        self.refused(self.audit('verify', '--head', '-', input=head_text.decode().replace('"last":', '"last":1')), 'signature')
        r = self.audit('verify', '--root-key', '/nonexistent')
        self.assertEqual(r.code, 1, r)
        self.refused(r, '--no-keys')
        s.up()
        self.accepted(self.audit('verify', '--head', kept))
        for bad in ([], ['frobnicate'], ['verify', 'more'], ['verify', '--head', '/nonexistent']):
            self.refused(self.s.run([SEALIFT, 'audit', *bad, '--data', s.data]))

    def put(self, path, data):
        with open(path, 'r+b') as f:
            f.write(data)
            f.truncate()


if __name__ == '__main__':
    unittest.main()
