"""kill -9 of everything in the middle of uploads and loads: what was acknowledged is there byte for byte, the rest whole or not at all.

No kill depends on a time: uploads die once so many bytes are sent, loads once the table's files have grown so far.
"""
import hashlib
import io
import os
import random
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../faults'))

from harness import SOAK, SealiftTest, allow  # noqa: E402
from instance import Clients  # noqa: E402

ROUNDS = 20 if SOAK else 3
ROWS = 2000000 if SOAK else 400000
MIB = (6, 60, 120) if SOAK else (5, 30)


def held_back(i):
    """three rounds of four can't be acknowledged before the kill; the others end however they end"""
    return i % 4 != 3


class Kills(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        s.aws('s3 mb s3://bkt')
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        s.write('rows.csv', ''.join('%d,%s\n' % (i, hashlib.md5(b'%d' % i).hexdigest()) for i in range(ROWS)))
        assert s.aws('s3 cp rows.csv s3://bkt/rows.csv --sse aws:kms').code == 0
        s.sqlv('create table t (batch integer default 0, a integer, b varchar(40))')

    def upload(self, data, name, kill_at, delay):
        """uploads (from 8 MiB on in parts) and kills once `kill_at` bytes are on their way; True if it was acknowledged"""
        s, sent, lock, reached = self.s, [0], threading.Lock(), threading.Event()
        client = Clients(s, os.path.join(s.work, 'ca.pem')).s3

        def progress(n):
            with lock:
                sent[0] += n
                if sent[0] >= kill_at and not reached.is_set():
                    reached.set()
                    if delay is None:
                        s.kill_all()

        def late():
            reached.wait()
            time.sleep(delay)
            s.kill_all()

        killer = threading.Thread(target=late) if delay is not None else None
        if killer:
            killer.start()
        try:
            client.upload_fileobj(io.BytesIO(data), 'bkt', name, ExtraArgs={'ServerSideEncryption': 'aws:kms'}, Callback=progress)
            done = True
        except Exception:
            done = False
        self.assertTrue(reached.is_set(), 'the upload ended before %d bytes' % kill_at)
        if killer:
            killer.join()
        return done

    def test_uploads(self):
        s, rnd = self.s, random.Random(1)
        middle = 0
        for i in range(ROUNDS):
            data = os.urandom(rnd.choice(MIB) * 1024 * 1024)
            digest = hashlib.sha256(data).hexdigest()
            name = 'up%d' % i
            if held_back(i):
                done = self.upload(data, name, rnd.randrange(1, len(data) * 9 // 10), None)
                self.assertFalse(done, 'acknowledged without its last bytes')
            else:
                done = self.upload(data, name, len(data), rnd.random() * 0.2)
            middle += not done
            s.up()
            listed = [k.split()[-1] for k in self.accepted(s.aws('s3 ls s3://bkt/')).splitlines() if ' up' in k]
            self.assertEqual(listed, [name] if done else [k for k in listed if k == name and not held_back(i)])
            for k in listed:
                self.accepted(s.aws('s3 cp s3://bkt/%s back' % k))
                with open(os.path.join(s.work, 'back'), 'rb') as f:
                    self.assertEqual(hashlib.sha256(f.read()).hexdigest(), digest, k)
                self.accepted(s.aws('s3 rm s3://bkt/%s' % k))
        print('uploads: %d kills, %d before the acknowledgement' % (ROUNDS, middle))

    def table_bytes(self):
        """all that PostgreSQL's tables take on the disk"""
        total = 0
        for folder, _, names in os.walk(os.path.join(self.s.data, 'pg/base')):
            for n in names:
                try:
                    total += os.stat(os.path.join(folder, n)).st_size
                except OSError:
                    pass  # a file that was dropped meanwhile
        return total

    def load(self, copy, grow, commit):
        """runs COPY and kills once the tables have grown by so much, or it is done; (rows were acknowledged, COPY had ended).
        Without `commit` the transaction is open at the kill."""
        begun = self.table_bytes()
        text = copy + ';\n' if commit else 'begin;\n%s;\n' % copy
        with subprocess.Popen(['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'], env=self.s.env, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
            p.stdin.write(text + "select 'ended';\n")
            p.stdin.flush()
            answer = []
            reader = threading.Thread(target=lambda: answer.append(p.stdout.readline()))
            reader.start()
            while reader.is_alive() and self.table_bytes() < begun + grow:
                time.sleep(0.001)
            self.s.kill_all()
            reader.join()
            p.stdin.close()
            p.wait()
            ended = answer[0] == 'ended\n'
            if not ended:
                self.assertNotIn('ERROR:', p.stderr.read())
        return ended and commit, ended

    def test_loads(self):
        s, rnd = self.s, random.Random(2)
        copy = "COPY t (a, b) FROM 's3://bkt/rows.csv' IAM_ROLE '%s' DELIMITER ','" % self.role
        size = self.table_bytes()
        s.sqlv(copy)
        size = self.table_bytes() - size
        self.assertGreater(size, ROWS * 16)  # hex digits, compressed: enough to be killed within
        middle = inside = 0
        for i in range(1, ROUNDS + 1):
            s.sqlv('alter table t alter batch set default %d' % i)
            done, ended = self.load(copy, rnd.randrange(size * 8 // 10), commit=not held_back(i - 1))
            middle, inside = middle + (not done), inside + (not ended)
            s.up()
            rows = int(s.sqlv('select count(*) from t where batch = %d' % i))
            self.assertIn(rows, (ROWS,) if done else (0,) if held_back(i - 1) else (0, ROWS))
        self.assertEqual(s.sqlv('select count(*) from (select batch from t group by 1 having count(*) <> %d or sum(a) <> %d) x' % (ROWS, ROWS * (ROWS - 1) // 2)), '0')
        print('loads: %d kills, %d before the acknowledgement, %d within COPY' % (ROUNDS, middle, inside))


if __name__ == '__main__':
    unittest.main()
