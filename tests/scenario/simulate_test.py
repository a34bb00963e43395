"""Random sets of policies and requests, decided as npm's iam-simulate decides them (tests/clients/simulate.mjs): 500, or 10,000 in the long form."""
import os
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Simulate(unittest.TestCase):
    def decided(self, sets, seed):
        tool = os.path.join(os.environ.get('SEALIFT_BUILD', os.path.join(ROOT, 'build')), 'tests/unit/policy/policy_decide_tool')
        r = subprocess.run(['node', os.path.join(ROOT, 'tests/clients/simulate.mjs'), tool, str(sets)] + seed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=1800)
        self.assertEqual(r.returncode, 0, r.stdout[-8000:])
        self.assertIn('%d sets' % sets, r.stdout)

    def test_1_known_sets(self):
        self.decided(500, ['1'])

    @unittest.skipUnless(os.environ.get('SEALIFT_SOAK'), 'the long form')
    def test_2_new_sets(self):
        self.decided(10000, [])


if __name__ == '__main__':
    unittest.main()
