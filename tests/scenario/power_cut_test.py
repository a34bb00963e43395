"""Power cuts at any instant: what was acknowledged is there, the rest whole or not at all.

One instance runs under the recording shim (tests/faults) while clients work, is stopped and started in between. From the log
each test builds disks as power cuts would have left them, starts Sealift there and asks for everything that was acknowledged.
"""
import os
import random
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../faults'))

import replay  # noqa: E402
from harness import SOAK  # noqa: E402
from instance import Clients, Rebuilt, ShimmedTest  # noqa: E402
from workload import Workload  # noqa: E402

CUTS = 200 if SOAK else 6
SECONDS = 20 if SOAK else 2.5
# Files whose flushes a build without one fsync would leave out: each must make an acknowledged change disappear.
LIES = {'keys and identities': '/kms/kms.db-wal', 'audit': '/kms/audit/', 'index of objects': '/s3/index.db-wal', 'parts of objects': '/s3/parts/',
        'log of the warehouse': '/pg/pg_wal/'}
LIES_TRIED = LIES if SOAK else ['keys and identities', 'parts of objects']
LIE_CUTS = 25
SEED = int(os.environ.get('SEALIFT_SEED') or (random.randrange(1 << 32) if SOAK else 1))


class PowerCuts(ShimmedTest):
    @classmethod
    def start(cls):
        """the recording"""
        s = cls.s
        cls.history = replay.History(s.work)
        s.log.record(True)
        s.up()
        cls.first_up = s.log.tail()
        cls.work = Workload(s, Clients(s, os.path.join(cls.top, 'ca.pem')), SEED)
        cls.work.prepare()
        cls.prepared = s.log.tail()
        cls.work.run(SECONDS)
        cls.stopping = s.log.tail()
        s.down()
        s.up()
        cls.second_up = s.log.tail()
        cls.work.run(SECONDS)
        cls.idle = s.log.tail()
        s.down()
        assert not s.log.full()
        begun = time.time()
        cls.history.read(s.log_path)
        cls.history.take_owners(s.work)
        print('seed %d: %d operations on files, %d MB, %d acknowledged calls; read in %.1f s'
              % (SEED, cls.history.records, cls.history.end >> 20, cls.work.done, time.time() - begun), flush=True)

    def holds(self, cut, seed):
        """what does not hold on the disk that this cut leaves"""
        disk = Rebuilt(cut, self.s.ports)
        try:
            out = self.work.check_audit(disk, cut.at)
            try:
                disk.up()
            except RuntimeError as e:
                return out + ['no start: %s' % e]
            try:
                return out + self.work.check(disk, cut.at, random.Random(seed))
            except Exception as e:  # any answer that a client takes for an error
                return out + ['%s: %s' % (type(e).__name__, e)]
        finally:
            disk.close()

    def test_recorder_saw_everything(self):
        """with nothing lost the model is the real folder, byte for byte"""
        with tempfile.TemporaryDirectory(prefix='sl') as top:
            built = os.path.join(top, 'w')
            replay.Cut(self.history, self.history.end, 'kept', 0).build(built)
            self.assertEqual(replay.compare(built, self.s.work), [])

    def test_cuts(self):
        rnd = random.Random(SEED)
        acknowledged = sorted({a for f in self.work.facts.values() for _, a, _ in f.writes})
        failures = []
        for i in range(CUTS):
            # Half of them right after an acknowledgement, where a missing flush shows.
            at = rnd.choice(acknowledged) if i % 2 else rnd.choice([p for p in self.history.positions if p > self.prepared])
            if SOAK and i % 20 == 0:
                at = rnd.choice([p for p in self.history.positions if p < self.first_up])
            elif i % 20 == 2:
                at = rnd.choice([p for p in self.history.positions if self.stopping < p < self.second_up])
            cut = replay.Cut(self.history, at, 'lost' if i % 3 == 1 else 'mixed', '%d/%d' % (SEED, i))
            begun = time.time()
            bad = self.holds(cut, i)
            print('cut %d at %d (%s): %d kept, %d lost, %d torn, %.1f s%s'
                  % (i, at, cut.policy, cut.kept, cut.lost, cut.torn, time.time() - begun, ': ' + '; '.join(bad) if bad else ''), flush=True)
            failures += ['cut %d: %s' % (i, b) for b in bad]
        self.assertEqual(failures, [])

    def test_missing_flush_is_found(self):
        """a build that leaves one flush out fails test_cuts: the same disks, with the flushes of one kind of file not counted"""
        acknowledged = sorted({a for f in self.work.facts.values() for _, a, _ in f.writes})
        for name in LIES_TRIED:
            rnd, found = random.Random('%d/%s' % (SEED, name)), []
            for i in range(LIE_CUTS):
                cut = replay.Cut(self.history, rnd.choice(acknowledged), 'lost', i, lambda path: LIES[name] in '/' + path)
                found = self.holds(cut, i)
                if found:
                    break
            print('without flushes of %s: cut %d: %s' % (name, i, '; '.join(found)[:300]), flush=True)
            self.assertNotEqual(found, [], name)


if __name__ == '__main__':
    unittest.main()
