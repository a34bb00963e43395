"""The nth failing allocation, write, flush, resize, rename or creation in keyholder, kms, s3, gateway and PostgreSQL.

For each n a small workload runs: every call succeeds or is refused cleanly in its own protocol, no process ends or hangs, and
when failing has stopped all goes on: what was acknowledged is there, the rest whole or not at all, the audit log verifies.
Two may end, in order, and come back: a kms whose log could not be flushed, since only a new one can know what is on the disk, and
PostgreSQL, which panics and recovers.
"""
import errno
import json
import os
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../faults'))

import botocore.exceptions  # noqa: E402
from harness import SOAK, allow  # noqa: E402
from instance import Clients, Refused, ShimmedTest  # noqa: E402

BUCKET = 'nthbkt'
ROWS = 500
POINTS = 150 if SOAK else 4  # failures tried of each kind in each process, spread over all calls that the workload makes
PROCESSES = ('keyholder', 'kms', 's3', 'gateway', 'postgres')
KINDS = {'malloc': errno.ENOMEM, 'write': errno.ENOSPC, 'sync': errno.EIO, 'trunc': errno.EIO, 'grow': errno.ENOSPC, 'name': errno.EIO, 'create': errno.EMFILE}
# Clean refusals. A server that has no memory for a connection may close it.
SQL_REFUSED = re.compile(r'(ERROR|FATAL):  |server closed the connection unexpectedly|could not translate|received invalid response|SSL')
CLOSED = (botocore.exceptions.ConnectionClosedError, botocore.exceptions.EndpointConnectionError, botocore.exceptions.SSLError,
          botocore.exceptions.IncompleteReadError, botocore.exceptions.ResponseStreamingError, ConnectionError)


class Unclean(Exception):
    pass


class Round:
    """One run of the workload; what it was told, and what it may have done."""

    def __init__(self, test, name):
        self.t, self.c, self.name = test, test.c, name
        self.refusals, self.closed = [], []
        self.keys, self.blobs, self.objects, self.rows = [], [], {}, None

    def tried(self, call, *args, **kw):
        """the answer, or None when it was refused cleanly"""
        begun = time.monotonic()
        try:
            return call(*args, **kw)
        except botocore.exceptions.ClientError as e:
            error = e.response['Error']
            if not re.fullmatch(r'[\w.]+', error.get('Code', '')) or not e.response['ResponseMetadata'].get('HTTPStatusCode', 0) >= 400:
                raise Unclean('answer without an error code: %r' % e.response)
            self.refusals.append(error['Code'])
        except Refused as e:
            self.refusals.append(e.args[0])
        except CLOSED as e:
            self.closed.append('%s: %s' % (type(e).__name__, e))
        finally:
            if time.monotonic() - begun > 25:
                raise Unclean('a call took %.0f s' % (time.monotonic() - begun))
        return None

    def kms(self):
        k = self.c.kms
        made = self.tried(k.create_key, Description=self.name)
        if made is None:
            return
        key = made['KeyMetadata']['KeyId']
        self.keys.append(key)
        self.use(key)
        self.tried(k.create_alias, AliasName='alias/' + self.name, TargetKeyId=key)
        self.tried(self.c.call, 'RotateKeyOnDemand', KeyId=key)
        self.use(key)
        self.tried(k.update_key_description, KeyId=key, Description='new ' + self.name)
        self.tried(self.c.iam.put_role_policy, RoleName='Nth-Loader', PolicyName='nth', PolicyDocument=json.dumps(
            {'Version': '2012-10-17', 'Statement': [allow('s3:ListBucket', 'arn:aws:s3:::' + self.name)]}))

    def use(self, key):
        answer = self.tried(self.c.kms.encrypt, KeyId=key, Plaintext=self.name.encode())
        if answer:
            self.blobs.append(answer['CiphertextBlob'])
            self.tried(self.c.kms.decrypt, CiphertextBlob=answer['CiphertextBlob'])

    def s3(self):
        s3 = self.c.s3
        for i, how in enumerate(({}, {'ServerSideEncryption': 'aws:kms'})):
            self.put('%s/%d' % (self.name, i), (self.name * 9000).encode(), how)
            self.get('%s/%d' % (self.name, i))
        key, body = self.name + '/multi', (self.name * 1000).encode()
        self.objects[key] = [None, body]
        begun = self.tried(s3.create_multipart_upload, Bucket=BUCKET, Key=key)
        part = begun and self.tried(s3.upload_part, Bucket=BUCKET, Key=key, UploadId=begun['UploadId'], PartNumber=1, Body=body)
        if part and self.tried(s3.complete_multipart_upload, Bucket=BUCKET, Key=key, UploadId=begun['UploadId'],
                               MultipartUpload={'Parts': [{'PartNumber': 1, 'ETag': part['ETag']}]}):
            self.objects[key] = [body]
        self.tried(s3.list_objects_v2, Bucket=BUCKET, Prefix=self.name)
        if self.tried(s3.delete_object, Bucket=BUCKET, Key=self.name + '/0'):
            self.objects[self.name + '/0'] = [None]
        else:
            self.objects[self.name + '/0'].append(None)

    def put(self, key, body, how):
        self.objects[key] = [None, body]
        if self.tried(self.c.s3.put_object, Bucket=BUCKET, Key=key, Body=body, **how):
            self.objects[key] = [body]

    def get(self, key):
        answer = self.tried(self.c.s3.get_object, Bucket=BUCKET, Key=key)
        body = answer and self.tried(answer['Body'].read)
        if body is not None and body not in self.objects[key]:
            raise Unclean('%s: other bytes' % key)

    def sql(self):
        s = self.t.s
        begun = time.monotonic()
        copy = "COPY nth (a, b) FROM 's3://%s/rows.csv' IAM_ROLE '%s' DELIMITER ','" % (BUCKET, self.t.role)
        r = s.sql("begin; insert into nth values ('%s', 0, 'first'); update nth set name = '%s' where a = 1 and name = 'none'; %s; "
                  "update nth set name = '%s' where name = 'new'; commit" % (self.name, self.name, copy, self.name), timeout=60)
        if time.monotonic() - begun > 25:
            raise Unclean('SQL took %.0f s' % (time.monotonic() - begun))
        if r.code != 0 and not SQL_REFUSED.search(r.err):
            raise Unclean('psql says %r' % r)
        self.refusals += [r.err] if r.code else []
        self.rows = [ROWS + 1] if r.code == 0 else [0, ROWS + 1]

    def check(self):
        """with nothing failing any more; what does not hold"""
        out = []
        for key in self.keys:
            out += [] if self.c.kms.describe_key(KeyId=key)['KeyMetadata']['Enabled'] else ['key %s is not enabled' % key]
        for blob in self.blobs:
            if self.c.kms.decrypt(CiphertextBlob=blob)['Plaintext'] != self.name.encode():
                out.append('a ciphertext opens to something else')
        for key, allowed in self.objects.items():
            try:
                found = self.c.s3.get_object(Bucket=BUCKET, Key=key)['Body'].read()
            except self.c.s3.exceptions.NoSuchKey:
                found = None
            if found not in allowed:
                out.append('object %s is %r' % (key, found and found[:40]))
        if self.rows is not None:
            n = int(self.t.s.sqlv("select count(*) from nth where name = '%s'" % self.name))
            if n not in self.rows:
                out.append('%d rows, not %r' % (n, self.rows))
        return out


ENDS = ('kms', 'postgres')
POSTGRES_KINDS = ('write', 'sync')  # its own tests fail its memory
WORK = {'kms': ('kms', 's3', 'sql'), 'postgres': ('sql',), 'keyholder': ('kms', 's3'), 's3': ('s3', 'sql'), 'gateway': ('sql',)}


class NthFailure(ShimmedTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        cls.c = Clients(s, os.path.join(cls.top, 'ca.pem'))
        cls.count = 0
        cls.rounds = []
        cls.c.s3.create_bucket(Bucket=BUCKET)
        cls.role = s.put_role('Nth-Loader', [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        cls.c.s3.put_object(Bucket=BUCKET, Key='rows.csv', ServerSideEncryption='aws:kms',
                            Body=''.join('%d,row number %d\n' % (i, i) for i in range(ROWS)).encode())
        s.sqlv("create table nth (name varchar(40) default 'new', a integer, b varchar(40))")
        cls.pids = s.pids()

    def round(self, process):
        cls = type(self)
        cls.count += 1
        r = Round(self, 'r%d' % cls.count)
        for part in WORK[process]:
            getattr(r, part)()
        return r

    def crashes(self, may_end=()):
        """children that are not the ones that were started, and those, and backends, that a signal ended"""
        out = ['%s is not the one that was started' % n for n, pid in self.s.pids().items() if self.pids.get(n) != pid and n not in may_end]
        out += re.findall(r'.*child.died name=kms pid=\d+ signal=[1-9].*', self.logged())
        return out + re.findall(r'.*was terminated by signal (?!6).*', self.logged())

    def logged(self):
        text = ''
        folder = os.path.join(self.s.data, 'log')
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), errors='replace') as f:
                text += f.read()
        return text

    def one(self, process, kinds, error, nth, sticky=False):
        """the failures of one round: (calls that failed, what does not hold)"""
        self.c.forget()
        self.s.log.fail(process, kinds, error, nth, sticky)
        out = []
        try:
            r = self.round(process)
        except Unclean as e:
            r, out = None, [str(e)]
        finally:
            failed = self.s.log.pass_all()
        self.c.forget()
        may_end = ENDS if process in ENDS else ()
        if may_end:
            time.sleep(0.5)  # what has to end has ended
            type(self).pids = self.settled()
        out += self.crashes(may_end)
        try:
            out += r.check() if r else []
            probe = self.round(process)
            bad = probe.refusals + probe.closed + probe.check()
            out += ['later: %s' % b for b in bad]
        except Exception as e:
            out.append('later: %s: %s' % (type(e).__name__, e))
        if r:
            type(self).rounds.append(r)
            if r.closed and process not in ('s3', 'gateway', 'kms'):
                out += ['closed: %s' % c for c in r.closed]
        return failed, out

    def calls(self, process, kind):
        """how many calls of this kind the workload makes in the process"""
        self.round(process)  # what is made once, at the first use, does not count
        self.s.log.fail(process, [kind], KINDS[kind], 1 << 40)
        r = self.round(process)
        left = self.s.log.left()
        self.s.log.pass_all()
        self.assertEqual((r.refusals, r.closed, r.check()), ([], [], []))
        return (1 << 40) - left

    def all_holds_after_restart(self):
        self.audit_verifies()
        self.s.down()
        self.s.up()
        type(self).pids = self.s.pids()
        self.c.forget()
        bad = ['%s: %s' % (r.name, b) for r in self.rounds for b in r.check()]
        self.assertEqual(bad, [])
        self.audit_verifies()
        self.rounds.clear()

    def attempt(self, process):
        failures = []
        for kind, error in KINDS.items():
            if process == 'postgres' and kind not in POSTGRES_KINDS:
                continue
            n = self.calls(process, kind)
            points = sorted({1 + i * n // POINTS for i in range(POINTS)}) if n else []
            hit = 0
            begun = time.monotonic()
            for nth in points:
                failed, bad = self.one(process, [kind], error, nth)
                hit += failed > 0
                failures += ['%s, %s %d: %s' % (process, kind, nth, b) for b in bad]
                if bad and self.crashes():
                    type(self).pids = self.settled()
            print('%s, %s: %d calls, %d of %d points failed one, %.1f s' % (process, kind, n, hit, len(points), time.monotonic() - begun), flush=True)
            self.assertGreaterEqual(hit * 2, len(points))
        print('\n'.join(failures), flush=True)
        self.assertEqual(failures, [])
        self.all_holds_after_restart()

    def settled(self):
        """waits until the supervisor has everything running again, and PostgreSQL has recovered"""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            pids = self.s.pids()
            if set(PROCESSES) <= set(pids):
                r = self.s.sql('select 1')
                if r.code == 0:
                    return pids
                if not SQL_REFUSED.search(r.err):
                    self.fail('psql says %r' % r)
            time.sleep(0.1)
        self.fail('not all processes came back: %r' % pids)

    def test_keyholder(self):
        self.attempt('keyholder')

    def test_kms(self):
        self.attempt('kms')

    def test_postgres(self):
        self.attempt('postgres')

    def test_s3(self):
        self.attempt('s3')

    def test_gateway(self):
        self.attempt('gateway')


if __name__ == '__main__':
    unittest.main()
