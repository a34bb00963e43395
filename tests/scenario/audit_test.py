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
        nobody = s.new_user('nobody', [])
        self.assertNotEqual(s.aws(['kms', 'encrypt', '--key-id', arn, '--plaintext', 'aGVsbG8='], nobody).code, 0)
        made = self.events('--event', 'CreateKey', '--key', self.key['KeyId'])
        self.assertEqual(len(made), 1)
        self.assertEqual(made[0]['userIdentity']['userName'], 'admin')
        self.assertEqual(made[0]['requestParameters']['description'], 'audited')
        uses = self.events('--event', 'Encrypt', '--principal', 'admin', '--key', arn)
        self.assertEqual([u['requestParameters']['encryptionContext'] for u in uses], [{'purpose': 'audit'}])
        denied = self.events('--errors', '--event', 'Encrypt', '--principal', 'nobody')
        self.assertEqual([(d['userIdentity']['userName'], d['errorCode']) for d in denied], [('nobody', 'AccessDenied')])
        self.assertEqual(self.events('--request', denied[0]['requestID']), denied)
        self.assertEqual(self.events('--to', '2020-01-01T00:00:00Z'), [])
        self.assertEqual(self.events('--from', '2100-01-01T00:00:00Z'), [])
        self.assertEqual(self.events('--principal', 'arn:aws:iam::%s:user/nobody' % s.account, '--event', 'Encrypt'), denied)
        line = self.accepted(self.audit('search', '--errors', '--event', 'Encrypt'))
        self.assertIn(' Encrypt AccessDenied arn:aws:iam::%s:user/nobody ' % s.account, line)
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

    def lookup(self, env=None, **query):
        args = ['cloudtrail', 'lookup-events', '--output', 'json']
        for k, v in query.items():
            args += ['--' + k.replace('_', '-')] + ([v] if v is not None else [])
        return self.s.awsj(args, env)

    def attribute(self, key, value, **query):
        return self.lookup(lookup_attributes='AttributeKey=%s,AttributeValue=%s' % (key, value), **query)['Events']

    def test_lookup_events(self):
        s, arn = self.s, self.key['Arn']
        for _ in range(7):
            s.awsj(['kms', 'describe-key', '--key-id', arn])
        s.aws(['kms', 'encrypt', '--key-id', arn, '--plaintext', 'aGVsbG8='], self.reader)
        newest = self.lookup(max_items='1')['Events'][0]
        self.assertEqual((newest['EventName'], newest['Username']), ('Encrypt', 'reader'))
        event = json.loads(newest['CloudTrailEvent'])
        self.assertEqual(event['errorCode'], 'AccessDenied')
        self.assertEqual(event['eventID'], newest['EventId'])
        self.assertEqual(self.attribute('EventId', newest['EventId'])[0], newest)
        found = self.attribute('EventName', 'DescribeKey')
        self.assertGreaterEqual(len(found), 7)
        self.assertEqual({e['EventName'] for e in found}, {'DescribeKey'})
        self.assertEqual({r['ResourceName'] for e in found for r in e['Resources']}, {arn})
        times = [e['EventTime'] for e in self.lookup()['Events']]
        self.assertEqual(times, sorted(times, reverse=True))
        made = self.attribute('ResourceName', self.key['KeyId'])
        self.assertEqual(made[-1]['EventName'], 'CreateKey')
        self.assertEqual(made[-1]['ReadOnly'], 'false')
        self.assertEqual(self.attribute('ResourceName', arn), made)
        self.assertEqual({e['Username'] for e in self.attribute('AccessKeyId', self.reader['AWS_ACCESS_KEY_ID'])}, {'reader'})
        self.assertEqual({e['AccessKeyId'] for e in self.attribute('Username', 'reader')}, {self.reader['AWS_ACCESS_KEY_ID']})
        self.assertEqual({e['EventSource'] for e in self.attribute('EventSource', 'iam.amazonaws.com')}, {'iam.amazonaws.com'})
        self.assertEqual({e['ReadOnly'] for e in self.attribute('ReadOnly', 'false')}, {'false'})
        self.assertTrue(self.attribute('ResourceType', 'AWS::KMS::Key'))
        self.assertEqual(self.attribute('EventName', 'NeverHeardOf'), [])
        self.assertEqual(self.lookup(end_time='2020-01-01T00:00:00Z')['Events'], [])
        self.assertEqual(self.lookup(start_time='2100-01-01T00:00:00Z')['Events'], [])
        self.assertEqual(self.lookup(event_category='insight')['Events'], [])
        self.assertEqual(self.attribute('EventName', 'CreateKey', start_time='2020-01-01T00:00:00Z')[-1]['EventName'], 'CreateKey')
        self.assertEqual(self.lookup(region='eu-west-1')['Events'], [])

    def test_lookup_pages(self):
        """page by page what one pass gives; a token is of its query only"""
        whole = [e['EventId'] for e in self.attribute('EventSource', 'kms.amazonaws.com')]
        q = ['cloudtrail', 'lookup-events', '--no-paginate', '--lookup-attributes', 'AttributeKey=EventSource,AttributeValue=kms.amazonaws.com',
             '--max-results', '2']
        got, token, first = [], None, None
        while token or not got:
            page = self.s.awsj(q + (['--next-token', token] if token else []))
            self.assertLessEqual(len(page['Events']), 2)
            got += [e['EventId'] for e in page['Events']]
            token = page.get('NextToken')
            first = first or token
        self.assertEqual(got[-len(whole):], whole)
        self.refused(self.s.aws(['cloudtrail', 'lookup-events', '--next-token', first]), 'InvalidNextTokenException')
        self.refused(self.s.aws(q[:-2] + ['--next-token', first[:30] + ('A' if first[30] != 'A' else 'B') + first[31:]]), 'InvalidNextTokenException')
        self.refused(self.s.aws(q[:-2] + ['--next-token', '!']), 'InvalidNextTokenException')

    def test_lookup_refusals(self):
        s = self.s
        self.refused(s.aws('cloudtrail lookup-events', self.reader), 'AccessDeniedException', 'cloudtrail:LookupEvents')
        watcher = s.new_user('watcher', [allow('cloudtrail:LookupEvents')])
        self.assertTrue(self.lookup(watcher)['Events'])
        for bad, code in (('--lookup-attributes AttributeKey=EventName,AttributeValue=a AttributeKey=Username,AttributeValue=b', 'InvalidLookupAttributes'),
                          ('--lookup-attributes AttributeKey=Colour,AttributeValue=a', 'InvalidLookupAttributes'),
                          ('--start-time 2026-01-02T00:00:00Z --end-time 2026-01-01T00:00:00Z', 'InvalidTimeRange'),
                          ('--max-results 51', 'InvalidMaxResults'), ('--event-category data', 'InvalidEventCategory')):
            self.refused(s.aws('cloudtrail lookup-events --no-paginate ' + bad), code)
        self.refused(s.aws('cloudtrail list-trails'), 'UnknownOperationException')

    def test_lookup_is_of_the_account(self):
        s = self.s
        out = self.accepted(s.run([SEALIFT, 'account', 'add', '444455556666', '--data', s.data]))
        other = dict(line[len('export '):].replace("'", '').split('=', 1) for line in out.splitlines())
        s.awsj('kms create-key', other)
        seen = self.lookup(other)['Events']
        self.assertIn('CreateKey', {e['EventName'] for e in seen})
        self.assertEqual({json.loads(e['CloudTrailEvent'])['recipientAccountId'] for e in seen}, {'444455556666'})
        self.assertNotIn('444455556666', {json.loads(e['CloudTrailEvent'])['recipientAccountId'] for e in self.lookup()['Events']})

    def put(self, path, data):
        with open(path, 'r+b') as f:
            f.write(data)
            f.truncate()


if __name__ == '__main__':
    unittest.main()
