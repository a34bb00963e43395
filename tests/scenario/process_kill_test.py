"""kill -9 of single processes while clients grant, rotate, write policies, put and load: the service comes back by itself, what was acknowledged is
there, the rest whole or not at all, the audit chain verifies.
"""
import json
import os
import random
import signal
import sys
import threading
import time
import unittest
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../faults'))

from harness import SEALIFT, SOAK, SealiftTest, allow, children  # noqa: E402
from instance import Clients  # noqa: E402

VICTIMS = ('keyholder', 'kms', 's3', 'gateway', 'backend', 'postgres')
ROUNDS = 20 if SOAK else 1  # of all victims
ROWS = 20000
BACK_S = 90
PAUSE_S = 0.02 if SOAK else 0.15
READ_BACK = 1000 if SOAK else 60  # of each kind
SEED = int(os.environ.get('SEALIFT_SEED') or (random.randrange(1 << 32) if SOAK else 1))


class Work:
    """Clients' doings, each under a name of its own: what was acknowledged, and what was tried."""

    def __init__(self, s, clients, role):
        self.s, self.c, self.role = s, clients, role
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.done, self.tried, self.failed = {}, {}, 0

    def attempt(self, kind, name, value, call):
        """the call's answer, or None when it failed, however it did"""
        with self.lock:
            self.tried.setdefault(kind, {})[name] = value
        try:
            answer = call()
        except Exception:
            with self.lock:
                self.failed += 1
            return None
        with self.lock:
            self.done.setdefault(kind, {})[name] = value
        return answer

    def start(self):
        self.threads = [threading.Thread(target=self.loop, args=(job, n)) for n, job in enumerate((self.keys, self.keys, self.objects, self.objects, self.loads))]
        for t in self.threads:
            t.start()

    def loop(self, job, n):
        i = 0
        while not self.stop.is_set():
            job('%d-%d' % (n, i))
            i += 1
            time.sleep(PAUSE_S)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()

    def keys(self, name):
        made = self.attempt('description', name, True, lambda: self.c.kms.create_key(Description=name))
        if made is None:
            return
        key = made['KeyMetadata']['KeyId']
        self.attempt('grant', (key, name), True, lambda: self.c.call('CreateGrant', KeyId=key, GranteePrincipal='arn:aws:iam::%s:root' % self.s.account,
                                                                     Operations=['Encrypt'], Name=name))
        for n in range(2):
            self.attempt('rotation', (key, n), True, lambda: self.c.call('RotateKeyOnDemand', KeyId=key))
            blob = self.attempt('encrypt', (key, n), True, lambda: self.c.kms.encrypt(KeyId=key, Plaintext=name.encode()))
            if blob:
                with self.lock:
                    self.done.setdefault('blob', {})[(key, n)] = (blob['CiphertextBlob'], name)
        policy = json.dumps({'Version': '2012-10-17', 'Statement': [allow('s3:ListBucket', 'arn:aws:s3:::' + name)]})
        self.attempt('policy', name, policy, lambda: self.c.iam.put_role_policy(RoleName='Policies', PolicyName=name, PolicyDocument=policy))
        if zlib.crc32(name.encode()) % 3 == 0:
            self.attempt('no policy', name, True, lambda: self.c.iam.delete_role_policy(RoleName='Policies', PolicyName=name))

    def objects(self, name):
        n = zlib.crc32(name.encode())
        body = (name * 40000).encode()[:n % 200000]
        how = {'ServerSideEncryption': 'aws:kms'} if n % 2 else {}
        self.attempt('object', name, body, lambda: self.c.s3.put_object(Bucket='bkt', Key=name, Body=body, **how))

    def loads(self, name):
        batch = 1 + len(self.tried.get('batch', ()))

        def load():
            r = self.s.sql("begin; alter table t alter batch set default %d; COPY t (a, b) FROM 's3://bkt/rows.csv' IAM_ROLE '%s' DELIMITER ','; commit" % (batch, self.role))
            if r.code != 0:
                raise RuntimeError(r.err)
        self.attempt('batch', batch, ROWS, load)

    # -- afterwards -------------------------------------------------------------------------------------------------

    def some(self, kind, where=None):
        """of what was done, or tried: the first, the last and others"""
        names = list((where or self.done).get(kind, {}))
        return names if len(names) <= READ_BACK else names[:READ_BACK // 3] + names[-READ_BACK // 3:] + random.Random(SEED).sample(names, READ_BACK // 3)

    def check(self):
        """what does not hold"""
        out = []
        found = {self.c.kms.describe_key(KeyId=k['KeyId'])['KeyMetadata']['Description'] for p in self.c.kms.get_paginator('list_keys').paginate() for k in p['Keys']}
        out += ['the key of %s is lost' % n for n in self.done['description'] if n not in found]
        grants, rotations = {}, {}
        for key, name in self.some('grant'):
            grants.setdefault(key, {g['Name'] for g in self.c.call('ListGrants', KeyId=key)['Grants']})
            out += [] if name in grants[key] else ['grant %s is lost' % name]
        for key in {k for k, _ in self.some('rotation', self.tried)}:
            rotations[key] = len(self.c.call('ListKeyRotations', KeyId=key)['Rotations'])
            least, most = (sum(k == key for k, _ in where.get('rotation', {})) for where in (self.done, self.tried))
            out += [] if least <= rotations[key] <= most else ['%d rotations, not %d to %d' % (rotations[key], least, most)]
        for one in self.some('blob'):
            blob, name = self.done['blob'][one]
            out += [] if self.c.kms.decrypt(CiphertextBlob=blob)['Plaintext'] == name.encode() else ['a ciphertext opens to something else']
        policies = {n for p in self.c.iam.get_paginator('list_role_policies').paginate(RoleName='Policies') for n in p['PolicyNames']}
        out += ['policy %s is lost' % n for n in self.done.get('policy', {}) if n not in policies and n not in self.tried.get('no policy', {})]
        out += ['policy %s is back' % n for n in self.done.get('no policy', {}) if n in policies]
        for key in self.some('object', self.tried):
            body = self.tried['object'][key]
            try:
                got = self.c.s3.get_object(Bucket='bkt', Key=key)['Body'].read()
            except self.c.s3.exceptions.NoSuchKey:
                got = None
            if got != body and (got is not None or key in self.done['object']):
                out.append('object %s is %s' % (key, 'lost' if got is None else 'other bytes'))
        rows = dict(map(int, line.split('|')) for line in self.s.sqlv('select batch, count(*) from t group by 1').splitlines())
        for batch in self.tried['batch']:
            out += [] if rows.get(batch, 0) == ROWS or (batch not in self.done['batch'] and batch not in rows) else ['batch %d has %d rows' % (batch, rows.get(batch, 0))]
        return out


class ProcessKills(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        cls.c = Clients(s, os.path.join(s.work, 'ca.pem'))
        cls.probe = Clients(s, os.path.join(s.work, 'ca2.pem'))
        cls.c.s3.create_bucket(Bucket='bkt')
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        s.put_role('Policies', [allow('s3:ListBucket')], attach=False)
        cls.c.s3.put_object(Bucket='bkt', Key='rows.csv', ServerSideEncryption='aws:kms', Body=''.join('%d,row number %d\n' % (i, i) for i in range(ROWS)).encode())
        s.sqlv('create table t (batch integer default 0, a integer, b varchar(40))')

    def backend(self, deadline):
        """one that loads"""
        postmaster = self.s.pids()['postgres']
        while time.time() < deadline:
            for pid in children(postmaster):
                try:
                    with open('/proc/%d/cmdline' % pid, 'rb') as f:
                        if b'COPY' in f.read():
                            return pid
                except OSError:
                    pass
            time.sleep(0.001)
        self.fail('no backend loads')

    def is_back(self):
        if self.s.run([SEALIFT, 'status', '--data', self.s.data]).code != 0:
            return False
        try:
            return self.s.sql('select 1').code == 0 and self.probe.kms.list_aliases(Limit=1) and self.probe.s3.list_buckets()['Buckets']
        except Exception:
            return False

    def kill(self, victim):
        s = self.s
        pid = self.backend(time.time() + BACK_S) if victim == 'backend' else s.pids()[victim]
        os.kill(pid, signal.SIGKILL)
        begun = time.time()
        while victim != 'backend' and s.pids().get(victim, pid) == pid:
            self.assertLess(time.time() - begun, BACK_S, victim + ' was not started again')
            time.sleep(0.05)
        while not self.is_back():
            self.assertLess(time.time() - begun, BACK_S, 'the service does not come back after the end of ' + victim)
            time.sleep(0.1)
        return time.time() - begun

    def test_kills(self):
        s, rnd = self.s, random.Random(SEED)
        work = Work(s, self.c, self.role)
        took = {}
        work.start()
        try:
            for _ in range(ROUNDS):
                for victim in rnd.sample(VICTIMS, len(VICTIMS)):
                    time.sleep(rnd.uniform(0.2, 1.2))
                    took.setdefault(victim, []).append(self.kill(victim))
        finally:
            work.end()
        self.probe.forget()
        counts = ', '.join('%s %d of %d' % (k, len(work.done.get(k, {})), len(v)) for k, v in sorted(work.tried.items()))
        print('seed %d: back after %s; acknowledged: %s; %d calls failed' % (SEED, ', '.join('%s %.1f s' % (v, max(t)) for v, t in took.items()), counts, work.failed), flush=True)
        self.assertTrue(all(work.done.get(k) for k in ('grant', 'rotation', 'object', 'batch')))
        self.assertEqual(work.check(), [])
        self.audit_verifies()
        self.c.forget()
        s.down()
        s.up()
        work.c = Clients(s, os.path.join(s.work, 'ca.pem'))
        self.assertEqual(work.check(), [])
        work.c.forget()


if __name__ == '__main__':
    unittest.main()
