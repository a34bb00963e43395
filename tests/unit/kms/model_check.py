#!/usr/bin/env python3
"""KMS's tables against AWS's service model: no member unknown, none missing, the same types and constraints.

usage: model_check.py TOOL FACTS     compares what TOOL prints with the facts
       model_check.py --derive       prints the facts of the botocore that this interpreter has, for tests/golden/kms/model.txt
A field a line: operation, in or out, path, type, needed (requests), secret, least..most, enum values, pattern.
"""
import gzip
import json
import os
import subprocess
import sys

# Where the service's documentation says less than its model, we say what the documentation says.
NARROWER = {'ScheduleKeyDeletion in PendingWindowInDays integer 1..365': 'ScheduleKeyDeletion in PendingWindowInDays integer 7..30',
            'ScheduleKeyDeletion out PendingWindowInDays integer 1..365': 'ScheduleKeyDeletion out PendingWindowInDays integer 7..30'}


def derive():
    import botocore
    path = os.path.dirname(botocore.__file__) + '/data/kms/2014-11-01/service-2.json'
    opener = open if os.path.exists(path) else lambda p: gzip.open(p + '.gz')
    with opener(path) as f:
        model = json.load(f)
    shapes, lines = model['shapes'], ['# botocore ' + botocore.__version__]

    def put(op, side, path, name, needed):
        s = shapes[name]
        line = '%s %s %s %s' % (op, side, path, s['type'])
        line += ' needed' if needed and side == 'in' else ''
        line += ' secret' if s.get('sensitive') else ''
        if s.get('min') or s.get('max'):
            line += ' %d..%d' % (s.get('min', 0), s.get('max', 0))
        line += ' ' + ','.join(s['enum']) if 'enum' in s else ''
        line += ' ' + s['pattern'] if 'pattern' in s else ''
        lines.append(line)
        if s['type'] == 'list':
            put(op, side, path + '[]', s['member']['shape'], False)
        if s['type'] == 'structure':
            members(op, side, path + '.', name)

    def members(op, side, path, name):
        for k, v in shapes[name]['members'].items():
            put(op, side, path + k, v['shape'], k in shapes[name].get('required', []))

    for op, v in model['operations'].items():
        lines.append('operation ' + op)
        if shapes[v['output']['shape']]['members'] if 'output' in v else True:
            lines.append(op)
        for side in ('in', 'out'):
            key = side + 'put'
            if key in v:
                members(op, side, '', v[key]['shape'])
    return lines


def main(tool, facts):
    ours = subprocess.run([tool], stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    with open(facts, encoding='utf-8') as f:
        theirs = [line.rstrip('\n') for line in f if not line.startswith('#')]
    built = {line for line in ours if ' ' not in line}
    # A member that we never answer is compared by its name and type, and what it holds not at all.
    never = {' '.join(line.split(' ')[:4]) for line in ours if line.endswith(' never')}
    inside = tuple(' '.join(n.split(' ')[:3]) + c for n in never for c in '.[')
    want = set()
    for line in theirs:
        line = NARROWER.get(line, line)
        short = ' '.join(line.split(' ')[:4])
        if line.startswith('operation ') or (line.split(' ')[0] in built and not line.startswith(inside)):
            want.add(short + ' never' if short in never else line)
    wrong = ['ours:   ' + x for x in sorted(set(ours) - want)] + ['theirs: ' + x for x in sorted(want - set(ours))]
    print('%d operations, %d lines compared' % (len(built), len(want)))
    print('\n'.join(wrong))
    return 1 if wrong or len(built) < 20 else 0


if sys.argv[1] == '--derive':
    print('\n'.join(derive()))
else:
    sys.exit(main(*sys.argv[1:]))
