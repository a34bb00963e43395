"""Promise 6: uses of keys are recorded; `sealift audit` finds what was altered and searches what was written."""
import base64
import glob
import http.client
import json
import os
import ssl
import time
import unittest

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

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
        uses = [e['requestParameters']['encryptionContext'] for e in self.events('--event', 'Encrypt', '--principal', 'admin', '--key', arn)]
        self.assertIn({'purpose': 'audit'}, uses)
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

    def last(self, *args):
        return self.events(*args)[-1]

    def test_records(self):
        """CloudTrail's shape, of each kind of caller and event"""
        s, arn = self.s, self.key['Arn']
        e = self.last('--event', 'CreateKey', '--key', arn)
        self.assertEqual(e['eventVersion'], '1.11')
        self.assertEqual(e['tlsDetails']['tlsVersion'], 'TLSv1.3')
        self.assertRegex(e['tlsDetails']['cipherSuite'], '^TLS_')
        self.assertRegex(e['tlsDetails']['clientProvidedHostHeader'], '^127.0.0.1:')
        self.assertEqual((e['eventCategory'], e['managementEvent'], e['readOnly']), ('Management', True, False))
        self.assertEqual(e['responseElements']['keyMetadata']['keyId'], self.key['KeyId'])
        self.assertEqual(e['responseElements']['keyMetadata']['aWSAccountId'], s.account)
        self.assertEqual(e['requestParameters']['keyUsage'], 'ENCRYPT_DECRYPT')
        self.assertEqual(e['resources'], [{'accountId': s.account, 'type': 'AWS::KMS::Key', 'ARN': arn}])
        s.awsj(['kms', 'tag-resource', '--key-id', arn, '--tags', 'TagKey=a,TagValue=b'])
        self.assertEqual(self.last('--event', 'TagResource')['requestParameters'], {'keyId': arn, 'tags': [{'tagKey': 'a', 'tagValue': 'b'}]})
        blob = s.awsj(['kms', 'encrypt', '--key-id', arn, '--plaintext', 'aGk=', '--encryption-context', 'Upper=Case'])['CiphertextBlob']
        s.awsj(['kms', 'decrypt', '--ciphertext-blob', 'fileb://' + s.write('blob', base64.b64decode(blob)), '--encryption-context', 'Upper=Case'])
        e = self.last('--event', 'Decrypt', '--key', arn)
        self.assertEqual(e['requestParameters'], {'encryptionContext': {'Upper': 'Case'}, 'encryptionAlgorithm': 'SYMMETRIC_DEFAULT'})
        self.assertRegex(e['additionalEventData']['keyMaterialId'], '^[0-9a-f]{64}$')
        self.assertIsNone(e['responseElements'])
        s.awsj('sts get-caller-identity')
        self.assertIsNone(self.last('--event', 'GetCallerIdentity')['requestParameters'])

    def signed(self, body, target='TrentService.ListKeys', content='application/x-amz-json-1.1', service='kms'):
        """status of a request that a client of one's own made"""
        s = self.s
        headers = {'Content-Type': content}
        if target:
            headers['X-Amz-Target'] = target
        r = AWSRequest('POST', s.env['AWS_ENDPOINT_URL'] + '/', headers, body)
        SigV4Auth(Credentials(s.env['AWS_ACCESS_KEY_ID'], s.env['AWS_SECRET_ACCESS_KEY']), service, 'us-east-1').add_auth(r)
        c = http.client.HTTPSConnection(s.env['AWS_ENDPOINT_URL'].split('/')[2], context=ssl.create_default_context(cafile=s.env['AWS_CA_BUNDLE']))
        c.request('POST', '/', body, dict(r.headers))
        answer = c.getresponse()
        answer.read()
        c.close()
        return answer.status

    def test_no_call_hides(self):
        """whatever stands in a request, its event is found"""
        deep = '[' * 60 + ']' * 60
        wide = '[' + '[],' * 60000 + '[]]'
        bodies = ['{"Limit": 1, "limit": 2, "keyId": "x", "encryptionAlgorithm": 1}', '{"Limit": 1, "Zed": %s}' % deep, '{"Limit": 1, "Zed": %s}' % wide,
                  '{"%s": 1, "%s": 2}' % ('A' * 130, 'A' * 129), '{"A\\u0001": 1, "A\\u0002": 2, "\\u00e9": {"a\\tb": "\\n"}}', '{"Zed": "%s"}' % ('\\u0001' * 90000)]
        for body in bodies:
            before = len(self.events('--event', 'ListKeys'))
            self.assertEqual(self.signed(body), 200, body[:100])
            self.assertEqual(len(self.events('--event', 'ListKeys')), before + 1, body[:100])
        for form in ('&A.member.1=1&A.member.1=2&A=3', '&A%ff=1&A%fe=2&a=1&A=2', '&' + '&'.join('T.member.%d.Key=x' % i for i in range(300)), '&A' + '.b' * 300 + '=1'):
            before = len(self.events('--event', 'GetCallerIdentity'))
            self.assertEqual(self.signed('Action=GetCallerIdentity&Version=2011-06-15' + form, None, 'application/x-www-form-urlencoded', 'sts'), 200, form[:100])
            self.assertEqual(len(self.events('--event', 'GetCallerIdentity')), before + 1, form[:100])

    def test_records_of_iam(self):
        s = self.s
        s.awsj('iam create-user --user-name tagged --tags Key=one,Value=1 Key=two,Value=2')
        e = self.last('--event', 'CreateUser', '--principal', 'admin')
        self.assertEqual(e['requestParameters'], {'userName': 'tagged', 'tags': [{'key': 'one', 'value': '1'}, {'key': 'two', 'value': '2'}]})
        self.assertEqual(e['responseElements']['user']['arn'], 'arn:aws:iam::%s:user/tagged' % s.account)
        self.assertEqual(e['resources'][0]['type'], 'AWS::IAM::User')
        k = s.awsj('iam create-access-key --user-name tagged')['AccessKey']
        e = self.last('--event', 'CreateAccessKey')
        self.assertEqual(e['responseElements']['accessKey']['accessKeyId'], k['AccessKeyId'])
        self.assertNotIn(k['SecretAccessKey'], json.dumps(e))

    def test_records_of_sessions(self):
        s = self.s
        trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::%s:user/admin' % s.account}, 'Action': 'sts:AssumeRole'}]}
        role = s.put_role('auditor', [allow('kms:*')], attach=False, trust=trust)
        c = s.awsj(['sts', 'assume-role', '--role-arn', role, '--role-session-name', 'night', '--duration-seconds', '900'])['Credentials']
        e = self.last('--event', 'AssumeRole', '--principal', 'admin')
        self.assertEqual(e['requestParameters'], {'roleArn': role, 'roleSessionName': 'night', 'durationSeconds': 900})
        self.assertEqual(e['responseElements']['credentials']['accessKeyId'], c['AccessKeyId'])
        self.assertNotIn(c['SecretAccessKey'], json.dumps(e))
        self.assertNotIn(c['SessionToken'][:40], json.dumps(e))
        env = {'AWS_ACCESS_KEY_ID': c['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': c['SecretAccessKey'], 'AWS_SESSION_TOKEN': c['SessionToken']}
        s.awsj('kms list-keys', env)
        who = self.last('--event', 'ListKeys')['userIdentity']
        self.assertEqual((who['type'], who['arn']), ('AssumedRole', 'arn:aws:sts::%s:assumed-role/auditor/night' % s.account))
        self.assertEqual(who['sessionContext']['sessionIssuer']['arn'], role)
        self.assertEqual(who['sessionContext']['attributes']['mfaAuthenticated'], 'false')
        self.assertEqual(self.attribute('Username', 'night')[0]['EventName'], 'ListKeys')

    def test_records_of_s3(self):
        """keys used for S3 carry who it was for; buckets' events are management, objects' denials data"""
        s, arn = self.s, self.key['Arn']
        self.accepted(s.aws('s3 mb s3://audited-bucket'))
        e = self.last('--event', 'CreateBucket')
        self.assertEqual((e['requestParameters']['bucketName'], e['resources'][0]['type']), ('audited-bucket', 'AWS::S3::Bucket'))
        self.accepted(s.aws(['s3', 'cp', s.write('f', b'x'), 's3://audited-bucket/f', '--sse', 'aws:kms', '--sse-kms-key-id', arn]))
        self.accepted(s.aws('s3 cp s3://audited-bucket/f -'))
        for name in ('GenerateDataKey', 'Decrypt'):
            e = self.last('--event', name, '--key', arn)
            self.assertEqual((e['userIdentity']['userName'], e['userIdentity']['invokedBy']), ('admin', 's3.amazonaws.com'))
            self.assertIn('arn:aws:s3:::audited-bucket', e['requestParameters']['encryptionContext']['aws:s3:arn'])
        self.refused(s.aws('s3 cp s3://audited-bucket/f -', self.reader))
        e = self.last('--errors', '--principal', 'reader')
        self.assertEqual((e['eventSource'], e['eventCategory'], e['managementEvent'], e['errorCode']), ('s3.amazonaws.com', 'Data', False, 'AccessDenied'))
        self.assertEqual(e['requestParameters'], {'bucketName': 'audited-bucket', 'key': 'f'})
        self.assertNotIn(e['eventID'], [x['EventId'] for x in self.attribute('Username', 'reader')])
        self.assertTrue(self.attribute('EventName', 'CreateBucket'))

    def test_across_accounts(self):
        """both accounts have the event, tied together"""
        s = self.s
        out = self.accepted(s.run([SEALIFT, 'account', 'add', '777788889999', '--data', s.data]))
        other = dict(line[len('export '):].replace("'", '').split('=', 1) for line in out.splitlines())
        policy = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::%s:root' % a}, 'Action': 'kms:*', 'Resource': '*'}
                                                         for a in (s.account, '777788889999')]}
        key = s.awsj(['kms', 'create-key', '--policy', json.dumps(policy)])['KeyMetadata']['Arn']
        s.awsj(['kms', 'describe-key', '--key-id', key], other)
        a, b = self.events('--event', 'DescribeKey', '--key', key)
        self.assertEqual({a['recipientAccountId'], b['recipientAccountId']}, {s.account, '777788889999'})
        self.assertEqual(a['sharedEventID'], b['sharedEventID'])
        self.assertNotEqual(a['eventID'], b['eventID'])
        self.assertEqual([e['EventId'] for e in self.attribute('ResourceName', key) if e['EventName'] == 'DescribeKey'],
                         [x['eventID'] for x in (a, b) if x['recipientAccountId'] == s.account])

    def test_refused_signatures(self):
        """who has no key is recorded too, and can't fill the log"""
        s = self.s
        wrong = {'AWS_SECRET_ACCESS_KEY': 'wrong' * 8}
        unknown = {'AWS_ACCESS_KEY_ID': 'AKIANOBODYKNOWSTHIS1', 'AWS_SECRET_ACCESS_KEY': 'x' * 40}
        self.refused(s.aws('kms list-keys', wrong), 'InvalidSignatureException')
        e = self.last('--event', 'ListKeys', '--errors')
        self.assertEqual(e['userIdentity'], {'type': 'Unknown', 'accessKeyId': s.env['AWS_ACCESS_KEY_ID']})
        self.assertEqual((e['errorCode'], e['recipientAccountId']), ('SignatureDoesNotMatch', s.account))
        self.refused(s.aws('iam list-users', unknown), 'InvalidClientTokenId')
        self.assertEqual(self.last('--event', 'ListUsers', '--errors')['userIdentity']['accessKeyId'], unknown['AWS_ACCESS_KEY_ID'])
        self.refused(s.aws('s3 ls', unknown), 'InvalidAccessKeyId')
        self.assertEqual(self.last('--errors')['eventSource'], 's3.amazonaws.com')
        port = int(s.env['AWS_ENDPOINT_URL'].rsplit(':', 1)[1])
        c = http.client.HTTPSConnection('127.0.0.1', port, context=ssl.create_default_context(cafile=s.env['AWS_CA_BUNDLE']))
        before = len(self.events('--errors', '--event', 'Unknown'))
        for _ in range(400):
            c.request('POST', '/', '{}', {'X-Amz-Target': 'TrentService.Nothing'})
            r = c.getresponse()
            r.read()
            self.assertEqual(r.status, 400)
        c.close()
        recorded = self.events('--errors', '--event', 'Unknown')[before:]
        self.assertGreater(len(recorded), 10)
        self.assertLess(len(recorded), 200)
        self.assertEqual(recorded[-1]['userIdentity'], {'type': 'AWSAccount', 'principalId': '', 'accountId': 'ANONYMOUS_PRINCIPAL'})
        time.sleep(1.1)
        self.refused(s.aws('kms list-keys', wrong))
        missed = [(e.get('additionalEventData') or {}).get('notRecordedBefore', 0) for e in recorded + [self.last('--event', 'ListKeys', '--errors')]]
        self.assertEqual(len(recorded) + sum(missed), 400)

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
        self.assertEqual({r['ResourceName'].split('/')[0] for e in found for r in e['Resources']}, {arn.split('/')[0]})
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
