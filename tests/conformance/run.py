#!/usr/bin/env python3
"""Runs the suites against an instance of their own; fails with the names of the members that are missing. --write: the table in docs/compat.md anew (with the newest botocore)
Names of services: these alone, and no table."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '../scenario')]
import cloudtrail  # noqa: E402
import iam  # noqa: E402
import kms  # noqa: E402
import redshift  # noqa: E402
import s3  # noqa: E402
import sts  # noqa: E402
import table  # noqa: E402
from harness import Sealift  # noqa: E402

SUITES = (cloudtrail, iam, kms, redshift, s3, sts)


def main():
    names = [a for a in sys.argv[1:] if a != '--write']
    s = Sealift()
    try:
        s.up()
        suites = [suite.run(s) for suite in SUITES if suite.__name__ in (names or (suite.__name__,))]
        missing = ['%s: %s' % (t.service, m) for t in suites for m in t.check()]
    finally:
        s.close()
    if '--write' in sys.argv[1:] and not names:
        table.write(suites)
    if not names:
        missing += table.stale(suites)
    for t in suites:
        members = [sum(map(len, m.values())) for m in (t.accepted, t.refused)]
        print('%s: %d operations; %d members accepted in %d calls, %d refused in %d' % (
            t.service, len(t.accepted), members[0], t.calls['accepted'], members[1], t.calls['refused']))
    print('\n'.join(missing))
    return 1 if missing else 0


if __name__ == '__main__':
    sys.exit(main())
