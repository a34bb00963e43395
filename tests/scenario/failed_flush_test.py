"""A flush that fails, each in turn.

Of kms: the call is refused, a new kms takes over, what was acknowledged is there, the log verifies. Of PostgreSQL, while the cluster
key is rotated: the rotation is refused or ends, and the next start still has the key that the tables' keys are wrapped under.
"""
import errno
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../faults'))

from harness import within  # noqa: E402
from instance import ShimmedTest  # noqa: E402

FLUSHES = 3  # a CreateKey has two


class FailedFlush(ShimmedTest):
    def create(self):
        r = self.s.aws(['kms', 'create-key', '--query', 'KeyMetadata.KeyId', '--output', 'text'])
        return r.out.strip() if r.code == 0 else None

    def test_each(self):
        kept, refused, restarts = [], 0, 0
        for nth in range(1, FLUSHES + 1):
            was = self.s.pids()['kms']
            self.s.log.fail('kms', ['sync'], errno.EIO, nth)
            key = self.create()
            failed = self.s.log.pass_all()
            kept += [key] if key else []
            refused += key is None
            kept.append(within(60, self.create, 'a key after flush %d' % nth))
            restarts += self.s.pids().get('kms') != was
            print('flush %d: %d failed' % (nth, failed), flush=True)
        self.assertGreater(refused, 0)
        self.assertGreater(restarts, 0)
        listed = {k['KeyId'] for k in self.s.awsj('kms list-keys')['Keys']}
        self.assertEqual(set(kept) - listed, set())
        self.audit_verifies()

    def test_rotation(self):
        """The names of the new files are flushed by their folder: of the cluster keys when both are in it, when one is left; of a database's key between."""
        s = self.s
        s.sqlv('create table kept (a int); insert into kept values (7)')
        keys = os.path.join(s.data, 'warehouse')
        database = os.path.join(keys, s.sqlv('select oid from pg_database where datname = current_database()'))
        for folder, nth, refused in ((keys, 1, True), (database, 1, False), (keys, 2, False)):
            with self.subTest(folder=folder, nth=nth):
                s.log.fail('postgres', ['sync'], errno.EIO, nth, flushed=folder)
                r = s.aws('redshift rotate-encryption-key --cluster-identifier local')
                self.assertEqual(r.code != 0, refused, r)
                self.wait_available()
                self.assertEqual(s.log.pass_all(), 1)
                s.down()
                s.up()
                self.assertEqual(s.sqlv('select a from kept'), '7', s.logs())


if __name__ == '__main__':
    unittest.main()
