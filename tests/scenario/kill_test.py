"""kill -9 of everything in the middle of uploads and loads: what was acknowledged is there byte for byte, the rest whole or not at all."""
import hashlib
import os
import random
import threading
import time
import unittest

from harness import SOAK, SealiftTest, allow

ROUNDS = 20 if SOAK else 3
MIDDLE = 15 if SOAK else 1  # so many kills must have come before an acknowledgement
ROWS = 2000000 if SOAK else 400000
MIB = (60, 120) if SOAK else (5, 30)


class Kills(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        s.aws('s3 mb s3://bkt')
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        s.write('rows.csv', ''.join('%d,row number %d\n' % (i, i) for i in range(ROWS)))
        assert s.aws('s3 cp rows.csv s3://bkt/rows.csv --sse aws:kms').code == 0
        s.sqlv('create table t (batch integer default 0, a integer, b varchar(40))')

    def settle(self, thread):
        self.s.kill_all()
        thread.join()
        self.s.up()

    def test_uploads(self):
        s, rnd = self.s, random.Random(1)
        acknowledged, middle, sent = {}, 0, {}
        for i in range(ROUNDS):
            data = os.urandom(rnd.choice(MIB) * 1024 * 1024)
            s.write('up', data)
            name, box = 'up%d' % i, []
            sent[name] = hashlib.sha256(data).hexdigest()
            t = threading.Thread(target=lambda: box.append(s.aws('s3 cp up s3://bkt/%s --sse aws:kms' % name)))
            t.start()
            time.sleep(0.5 + rnd.random() * 0.5)
            self.settle(t)
            if box[0].code == 0:
                acknowledged[name] = True
            else:
                middle += 1
            listed = [k.split()[-1] for k in self.accepted(s.aws('s3 ls s3://bkt/')).splitlines() if ' up' in k]
            for k in acknowledged:
                self.assertIn(k, listed)
            for k in listed:
                self.accepted(s.aws('s3 cp s3://bkt/%s back' % k))
                with open(os.path.join(s.work, 'back'), 'rb') as f:
                    self.assertEqual(hashlib.sha256(f.read()).hexdigest(), sent[k], k)
                self.accepted(s.aws('s3 rm s3://bkt/%s' % k))
                acknowledged.pop(k, None)
        print('uploads: %d kills, %d before the acknowledgement' % (ROUNDS, middle))
        self.assertGreaterEqual(middle, MIDDLE)

    def test_loads(self):
        s, rnd = self.s, random.Random(2)
        middle = done = 0
        for i in range(ROUNDS):
            s.sqlv('alter table t alter batch set default %d' % i)
            box = []
            t = threading.Thread(target=lambda: box.append(s.sql("COPY t (a, b) FROM 's3://bkt/rows.csv' IAM_ROLE '%s' DELIMITER ','" % self.role)))
            t.start()
            time.sleep(0.15 + rnd.random() * 0.5)
            self.settle(t)
            rows = int(s.sqlv('select count(*) from t where batch = %d' % i))
            self.assertIn(rows, (0, ROWS))
            if box[0].code == 0:
                done += 1
                self.assertEqual(rows, ROWS)
            else:
                middle += 1
        self.assertEqual(s.sqlv('select count(*) from (select batch from t group by 1 having count(*) <> %d or sum(a) <> %d) x' % (ROWS, ROWS * (ROWS - 1) // 2)), '0')
        print('loads: %d kills, %d before the acknowledgement' % (ROUNDS, middle))
        self.assertGreaterEqual(middle, MIDDLE)


if __name__ == '__main__':
    unittest.main()
