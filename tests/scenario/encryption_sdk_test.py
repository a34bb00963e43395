"""The AWS Encryption SDK for JavaScript (tests/clients/encryption_sdk.mjs) over TLS."""
import os
import unittest

from harness import ROOT, SealiftTest

CASES = 9


class EncryptionSdk(SealiftTest):
    def test_client_node(self):
        out = self.accepted(self.s.run(['node', os.path.join(ROOT, 'tests/clients/encryption_sdk.mjs')]))
        self.assertEqual(out.count('ok '), CASES, out)


if __name__ == '__main__':
    unittest.main()
