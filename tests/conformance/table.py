"""The table of operations in docs/compat.md, made of what the suites counted: `run.py --write` writes it, each run compares."""
import os

COMPAT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../docs/compat.md')
BEGIN, END = '<!-- operations: tests/conformance/run.py --write -->\n', '<!-- end of operations -->\n'
ABSENT = 'not built: %s'
HEAD = '| service | operation | members | members refused, and why |\n|---|---|---|---|\n'


def rows(suites):
    out = []
    for t in suites:
        for op in sorted(t.accepted):
            top = [m for m in t.members(op) if '.' not in m]
            barred = ['`%s`: %s' % (m, t.unsupported[op, m]) for m in t.members(op) if (op, m) in t.unsupported]
            fine = ['`%s`' % m for m in top if (op, m) not in t.unsupported]
            out.append('| %s | %s | %s | %s |\n' % (t.service, op, ', '.join(fine), '; '.join(barred)))
        if t.absent:
            out.append('| %s | %s |  | %s |\n' % (t.service, ABSENT % t.absent_code, '; '.join('`%s`' % op for op in sorted(t.absent))))
    return out


def written():
    with open(COMPAT) as f:
        text = f.read()
    before, rest = text.split(BEGIN)
    table, after = rest.split(END)
    return before, table, after


def write(suites):
    before, _, after = written()
    with open(COMPAT, 'w') as f:
        f.write(before + BEGIN + HEAD + ''.join(rows(suites)) + END + after)


def stale(suites):
    """what of the table is not as counted; operations and members that this botocore does not know are left out of the comparison"""
    known = {(t.service, op): set(t.members(op)) for t in suites for op in t.accepted}
    known.update({(t.service, ABSENT % t.absent_code): set(t.model.operation_names) for t in suites})
    services = {t.service: set(t.model.operation_names) | {ABSENT % t.absent_code} for t in suites}

    def cells(lines):
        out = set()
        for line in lines:
            service, op, fine, barred = (c.strip() for c in line.strip('|\n').split(' | '))
            if op not in services.get(service, {op}):
                continue
            for column, items in (('supported', fine.split(', ')), ('refused', barred.split('; '))):
                out |= {(service, op, column, i) for i in items if i == '' or i.split('`')[1] in known.get((service, op), {i.split('`')[1]})}
        return {c for c in out if c[3]} | {c[:2] for c in out}
    table = written()[1]
    return ['docs/compat.md is not as counted: %s' % ' '.join(c) for c in sorted(cells(rows(suites)) ^ cells(table[len(HEAD):].splitlines()))]
