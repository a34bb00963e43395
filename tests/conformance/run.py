#!/usr/bin/env python3
"""Runs the suites against an instance of their own; fails with the names of the members that are missing."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '../scenario')]
import sts  # noqa: E402
from harness import Sealift  # noqa: E402

SUITES = (sts,)


def main():
    s = Sealift()
    try:
        s.up()
        missing = ['%s: %s' % (suite.__name__, m) for suite in SUITES for m in suite.run(s).check()]
    finally:
        s.close()
    print('\n'.join(missing))
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main())
