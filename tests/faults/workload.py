"""What clients do while the shim records, and what must hold on a disk that a cut left.

Every fact is a register: each write to it notes the log's position before the call and right after its acknowledgement. On a
disk cut at N the register holds what the last write acknowledged before N left, or what a write begun before N and not
acknowledged by then would leave. One thread writes a register, so no more than one such write is open.
"""
import base64
import glob
import hashlib
import json
import os
import random
import re
import sqlite3
import threading
import time

import tables
from harness import allow, check_warehouse
from instance import Refused

BUCKET = 'cutbkt'
ROWS = 3000
ABSENT = None
RECENT, SAMPLE = 12, 12  # registers of a kind that are read back: the last written, and others


class Fact:
    def __init__(self, kind, name):
        self.kind, self.name, self.writes = kind, name, []

    def allowed(self, cut):
        """values that may be found, the last acknowledged one first"""
        out = [ABSENT]
        for begun, acknowledged, value in self.writes:
            if acknowledged <= cut:
                out = [value]
            elif begun < cut:
                out.append(value)
        return out

    def begun(self, cut):
        return any(b < cut for b, _, _ in self.writes)


class Workload:
    def __init__(self, instance, clients, seed):
        self.s, self.c, self.seed = instance, clients, seed
        self.facts = {}
        self.requests = []  # (acknowledged, request id) of management calls
        self.errors = []
        self.done = 0
        self.turn = 0
        self.tables_of = {}  # name of a job: its tables

    # -- notes ----------------------------------------------------------------------------------------------------

    def fact(self, kind, name):
        return self.facts.setdefault((kind, name), Fact(kind, name))

    def note(self, begun, answer, *writes, managed=False):
        """writes: (kind, name, value)"""
        acknowledged = self.s.log.tail()
        for kind, name, value in writes:
            self.fact(kind, name).writes.append((begun, acknowledged, value))
        if managed:
            self.requests.append((acknowledged, answer['ResponseMetadata']['RequestId']))
        self.done += 1
        return answer

    def begin(self):
        return self.s.log.tail()

    # -- the work ---------------------------------------------------------------------------------------------------

    def prepare(self):
        begun = self.begin()
        self.c.s3.create_bucket(Bucket=BUCKET)
        self.role = self.s.put_role('Cut-Loader', [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        self.c.s3.put_object(Bucket=BUCKET, Key='rows.csv', ServerSideEncryption='aws:kms',
                             Body=''.join('%d,row number %d\n' % (i, i) for i in range(ROWS)).encode())
        self.s.sqlv('create table loads (batch integer default 0, a integer, b varchar(40))')
        self.note(begun, None, ('bucket', BUCKET, True), ('role', 'Cut-Loader', True), ('table', 'loads', True))

    def run(self, seconds):
        """all threads for so long; may be called again, after a restart too"""
        self.turn += 1
        self.c.forget()
        until = time.monotonic() + seconds
        jobs = [self.keys, self.keys, self.objects, self.objects, self.multiparts, self.loads, self.tables, self.tables]
        threads = [threading.Thread(target=self.guard, args=(job, until, '%d%c' % (self.turn, ord('a') + i))) for i, job in enumerate(jobs)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if self.errors:
            raise self.errors[0]

    def guard(self, job, until, name):
        try:
            rnd = random.Random('%s/%s' % (self.seed, name))
            i = 0
            while time.monotonic() < until and not self.errors:
                job(name, i, rnd)
                i += 1
        except BaseException as e:
            self.errors.append(e)

    def keys(self, name, i, rnd):
        k, alias, text = self.c.kms, 'alias/%s-%d' % (name, i), 'key %s %d' % (name, i)
        begun = self.begin()
        answer = k.create_key(Description=text, Tags=[{'TagKey': 'n', 'TagValue': text}])
        key = answer['KeyMetadata']['KeyId']
        self.note(begun, answer, ('key', key, 'Enabled'), ('description', key, text), ('tags', key, text), ('rotations', key, 0), managed=True)
        begun = self.begin()
        self.note(begun, k.create_alias(AliasName=alias, TargetKeyId=key), ('alias', alias, key), managed=True)
        self.encrypt(key, text)
        for n in range(rnd.randrange(3)):
            begun = self.begin()
            self.note(begun, self.c.call('RotateKeyOnDemand', KeyId=key), ('rotations', key, n + 1), managed=True)
            self.encrypt(key, '%s again %d' % (text, n))
        self.grant(key, i)
        if i % 4 == 1:
            begun = self.begin()
            self.note(begun, k.update_key_description(KeyId=key, Description='new ' + text), ('description', key, 'new ' + text), managed=True)
        if i % 4 == 2:
            begun = self.begin()
            self.note(begun, k.delete_alias(AliasName=alias), ('alias', alias, ABSENT), managed=True)
        if i % 5 == 3:
            begun = self.begin()
            answer = k.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
            self.note(begun, answer, ('key', key, 'PendingDeletion'), managed=True)

    def grant(self, key, i):
        begun = self.begin()
        answer = self.c.call('CreateGrant', KeyId=key, GranteePrincipal='arn:aws:iam::%s:root' % self.s.account, Operations=['Encrypt'])
        name = (key, answer['GrantId'])
        self.note(begun, answer, ('grant', name, True), managed=True)
        if i % 3 == 0:
            begun = self.begin()
            self.note(begun, self.c.call('RevokeGrant', KeyId=key, GrantId=name[1]), ('grant', name, ABSENT), managed=True)

    def encrypt(self, key, text):
        begun = self.begin()
        answer = self.c.kms.encrypt(KeyId=key, Plaintext=text.encode(), EncryptionContext={'n': text})
        self.note(begun, answer, ('ciphertext', (key, text), base64.b64encode(answer['CiphertextBlob']).decode()))

    def objects(self, name, i, rnd):
        key = '%s/%d' % (name, rnd.randrange(12))
        kind = rnd.choice(('put', 'put', 'put', 'copy', 'delete'))
        known = self.fact('object', key).allowed(self.s.log.tail())[0]
        begun = self.begin()
        if kind == 'delete':
            answer = self.c.s3.delete_object(Bucket=BUCKET, Key=key)
            self.note(begun, answer, ('object', key, ABSENT))
        elif kind == 'copy' and known is not ABSENT:
            answer = self.c.s3.copy_object(Bucket=BUCKET, Key=key + '-copy', CopySource={'Bucket': BUCKET, 'Key': key})
            self.note(begun, answer, ('object', key + '-copy', known))
        else:
            body = rnd.randbytes(rnd.choice((0, 1, 5000, 65536, 65537, 300000)))
            how = {'ServerSideEncryption': 'aws:kms'} if rnd.random() < 0.5 else {}
            answer = self.c.s3.put_object(Bucket=BUCKET, Key=key, Body=body, **how)
            self.note(begun, answer, ('object', key, hashlib.sha256(body).hexdigest()))

    def multiparts(self, name, i, rnd):
        key, s3 = '%s/multi%d' % (name, rnd.randrange(3)), self.c.s3
        parts = [rnd.randbytes(5 << 20), rnd.randbytes(rnd.randrange(100000))]
        begun = self.begin()
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key, ServerSideEncryption='aws:kms')['UploadId']
        self.note(begun, None, ('upload', (key, upload), True))
        tags = [s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=n + 1, Body=p)['ETag'] for n, p in enumerate(parts)]
        begun = self.begin()
        if rnd.random() < 0.2:
            s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
            self.note(begun, None, ('upload', (key, upload), ABSENT))
        else:
            s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload,
                                         MultipartUpload={'Parts': [{'PartNumber': n + 1, 'ETag': t} for n, t in enumerate(tags)]})
            self.note(begun, None, ('object', key, hashlib.sha256(b''.join(parts)).hexdigest()), ('upload', (key, upload), ABSENT))
        time.sleep(0.3)

    def loads(self, name, i, rnd):
        batch = self.turn * 1000 + i
        copy = "COPY loads (a, b) FROM 's3://%s/rows.csv' IAM_ROLE '%s' DELIMITER ','" % (BUCKET, self.role)
        begun = self.begin()
        self.s.sqlv('alter table loads alter batch set default %d' % batch)
        self.s.sqlv(copy if i % 3 else 'begin; %s; delete from loads where batch = %d and a %% 2 = 1; commit' % (copy, batch))
        self.note(begun, None, ('batch', batch, ROWS if i % 3 else ROWS // 2))
        if i % 4 == 3:
            begun = self.begin()
            self.s.sqlv('delete from loads where batch = %d' % batch)
            self.note(begun, None, ('batch', batch, ABSENT))
        if i % 2:  # writes what is left anew, and over what it replaced before
            self.s.sqlv('vacuum loads')

    def tables(self, name, i, rnd):
        """statements of all kinds on sealed tables; now and then the cluster's key is changed"""
        mine = self.tables_of.setdefault(name, tables.Tables('w' + name, rnd))
        if name.endswith('g') and i % 15 == 8:
            try:
                self.c.redshift.rotate_encryption_key(ClusterIdentifier='local')
            except self.c.redshift.exceptions.InvalidClusterStateFault:
                pass  # the one before still runs
        statements, changes = mine.step()
        begun = self.begin()
        for sql in statements:
            self.s.sqlv(sql)
        self.note(begun, None, *[('content', t, tables.content(m)) for t, m in changes.items()])
        mine.apply(changes)

    # -- what must hold -----------------------------------------------------------------------------------------------

    def check(self, disk, cut, rnd):
        """all of it on the running instance `disk`; a list of what does not hold"""
        out, kinds = [], {}
        self.c.forget()
        for f in self.facts.values():
            if f.begun(cut):
                kinds.setdefault(f.kind, []).append(f)
        for kind, facts in kinds.items():
            facts.sort(key=lambda f: max(b for b, _, _ in f.writes if b < cut))
            chosen = facts if kind in WHOLE else facts[-RECENT:] + rnd.sample(facts[:-RECENT], min(SAMPLE, len(facts[:-RECENT])))
            read = getattr(self, 'read_' + kind + 's')(disk, chosen)
            for f in chosen:
                found = read(f.name) if callable(read) else read.get(f.name, ABSENT)
                if found not in f.allowed(cut):
                    out.append('%s %s is %s, not %s' % (kind, f.name, found, ' or '.join(str(a) for a in f.allowed(cut))))
        if kinds.get('bucket') and self.fact('bucket', BUCKET).allowed(cut) == [True]:
            out += self.check_objects_whole(rnd)
        out += self.check_orphans(disk)
        return out + check_warehouse(disk)

    def check_audit(self, disk, cut):
        """before the start: each management call that was acknowledged stands in the log"""
        seen = set()
        for path in glob.glob(os.path.join(disk.data, 'kms/audit/*.log')):
            with open(path, 'rb') as f:
                seen |= set(re.findall(rb'"requestID":"([^"]+)"', f.read()))
        lost = [r for at, r in self.requests if at <= cut and r.encode() not in seen]
        return ['%d acknowledged records of the audit log are lost, first of request %s' % (len(lost), lost[0])] if lost else []

    def read_buckets(self, disk, facts):
        return {b['Name']: True for b in self.c.s3.list_buckets()['Buckets']}

    def read_roles(self, disk, facts):
        return {r['RoleName']: True for r in self.c.iam.list_roles()['Roles']}

    def read_tables(self, disk, facts):
        return {t: True for t in disk.sqlv("select table_name from information_schema.tables where table_schema = 'public'").split()}

    def read_keys(self, disk, facts):
        """every key that is there must be whole: described, and of use if enabled"""
        out, marker = {}, {}
        while True:
            page = self.c.kms.list_keys(**marker)
            for k in page['Keys']:
                out[k['KeyId']] = True
            if not page['Truncated']:
                break
            marker = {'Marker': page['NextMarker']}
        unknown = [k for k in out if ('key', k) not in self.facts]
        for k in [f.name for f in facts] + unknown:
            if k in out:
                m = self.c.kms.describe_key(KeyId=k)['KeyMetadata']
                out[k] = m['KeyState']
                if m['KeyState'] == 'Enabled' and m.get('KeyManager') == 'CUSTOMER':
                    blob = self.c.kms.encrypt(KeyId=k, Plaintext=b'x')['CiphertextBlob']
                    if self.c.kms.decrypt(CiphertextBlob=blob)['Plaintext'] != b'x':
                        out[k] = 'of no use'
        return out

    def per_key(self, read):
        def one(key):
            try:
                return read(key)
            except (self.c.kms.exceptions.NotFoundException, Refused) as e:
                if isinstance(e, Refused) and 'NotFound' not in str(e):
                    raise
                return ABSENT
        return one

    def read_descriptions(self, disk, facts):
        return self.per_key(lambda k: self.c.kms.describe_key(KeyId=k)['KeyMetadata']['Description'])

    def read_tagss(self, disk, facts):
        return self.per_key(lambda k: self.c.kms.list_resource_tags(KeyId=k)['Tags'][0]['TagValue'])

    def read_rotationss(self, disk, facts):
        return self.per_key(lambda k: len(self.c.call('ListKeyRotations', KeyId=k)['Rotations']))

    def read_grants(self, disk, facts):
        def one(name):
            grants = self.c.call('ListGrants', KeyId=name[0])['Grants']
            return True if name[1] in [g['GrantId'] for g in grants] else ABSENT
        return self.per_key(one)

    def read_aliass(self, disk, facts):
        out, marker = {}, {}
        while True:
            page = self.c.kms.list_aliases(**marker)
            out.update((a['AliasName'], a.get('TargetKeyId')) for a in page['Aliases'])
            if not page['Truncated']:
                return out
            marker = {'Marker': page['NextMarker']}

    def read_ciphertexts(self, disk, facts):
        """a blob that was handed out opens, unless its key awaits deletion"""
        blobs = {f.name: f.writes[0][2] for f in facts}

        def one(name):
            key, text = name
            try:
                plain = self.c.kms.decrypt(CiphertextBlob=base64.b64decode(blobs[name]), EncryptionContext={'n': text})['Plaintext']
                return blobs[name] if plain == text.encode() else 'other bytes'
            except self.c.kms.exceptions.KMSInvalidStateException:
                return blobs[name] if self.c.kms.describe_key(KeyId=key)['KeyMetadata']['KeyState'] == 'PendingDeletion' else 'refused'
            except self.c.kms.exceptions.ClientError as e:
                return e.response['Error']['Code']
        return one

    def read_objects(self, disk, facts):
        def one(key):
            try:
                return hashlib.sha256(self.c.s3.get_object(Bucket=BUCKET, Key=key)['Body'].read()).hexdigest()
            except self.c.s3.exceptions.NoSuchKey:
                return ABSENT
            except Exception as e:
                return 'unreadable: %s' % e
        return one

    def check_objects_whole(self, rnd):
        """what is listed can be read, and was written by somebody"""
        listed = self.c.s3.list_objects_v2(Bucket=BUCKET).get('Contents', [])
        known = {value for f in self.facts.values() if f.kind == 'object' for _, _, value in f.writes}
        read = self.read_objects(None, None)
        return ['%s is %s, which nobody wrote' % (o['Key'], read(o['Key'])) for o in rnd.sample(listed, min(SAMPLE, len(listed)))
                if o['Key'] != 'rows.csv' and read(o['Key']) not in known]

    def read_uploads(self, disk, facts):
        return {(u['Key'], u['UploadId']): True for u in self.c.s3.list_multipart_uploads(Bucket=BUCKET).get('Uploads', [])}

    def read_batchs(self, disk, facts):
        rows = disk.sqlv('select batch, count(*) from loads group by 1')
        return {int(a): int(b) for a, b in (line.split('|') for line in rows.splitlines())}

    def read_contents(self, disk, facts):
        return tables.contents(disk.sqlv, [f.name for f in facts])

    def check_orphans(self, disk):
        """the sweep at the start left no part file without a row, and no row lacks its file"""
        db = sqlite3.connect('file:%s?mode=ro' % os.path.join(disk.data, 's3/index.db'), uri=True)
        rows = {bytes(p).hex() for p, in db.execute('select part from file')}
        db.close()
        files = {os.path.basename(p) for p in glob.glob(os.path.join(disk.data, 's3/parts/*/*'))}
        return ['part %s has no row' % p for p in files - rows] + ['part %s has no file' % p for p in rows - files]


WHOLE = ('content', 'batch', 'bucket', 'role', 'table', 'alias', 'upload')  # read by one call, so all are compared
