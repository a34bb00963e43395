#!/usr/bin/env python3
"""Runs the suites against an instance of their own; fails with the names of the members that are missing. --write: the table in docs/compat.md anew (with the newest botocore)"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '../scenario')]
import sts  # noqa: E402
import table  # noqa: E402
from harness import Sealift  # noqa: E402

SUITES = (sts,)


def main():
    s = Sealift()
    try:
        s.up()
        suites = [suite.run(s) for suite in SUITES]
        missing = ['%s: %s' % (t.service, m) for t in suites for m in t.check()]
    finally:
        s.close()
    if '--write' in sys.argv[1:]:
        table.write(suites)
    missing += table.stale(suites)
    print('\n'.join(missing))
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main())
