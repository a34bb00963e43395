"""PostgreSQL's regression files as pieces: statements and psql's commands, prepared so that what a sealed table doesn't have plays no part on either side.

A piece is one statement with its end, or one line with a command of psql; a COPY FROM STDIN takes its lines of data with it.
"""
import re

NAME = 'A-Za-z0-9_\x80-\uffff'
DOLLAR = re.compile(r'\$(?:[A-Za-z_\x80-\uffff][%s]*)?\$' % NAME)
ENDING = re.compile(r'\\(?:g|gx|gset|gexec|gdesc|crosstabview|watch)\b')
COPY_IN = re.compile(r'(?:^|;)\s*copy\b[^;]*\bfrom\s+stdin\b', re.I)

# Between a COPY that fails at once and the next one's data stand statements. It gets an end of data as well, up to which newer psqls read.
STATEMENT = re.compile(r'^(?:--|copy|insert|select|create|alter|drop|truncate|begin|rollback|commit|reset|set|\\(?-i:[a-z]))', re.I | re.M)


def quoted(text, at):
    """the end of the string, identifier, comment or dollar-quoted string that begins here, or `at`"""
    c = text[at]
    if c in '\'"':
        escapes = c == "'" and at > 0 and text[at - 1] in 'eE' and not re.match('[%s]' % NAME, text[at - 2:at - 1] or ' ')
        at += 1
        while at < len(text) and text[at] != c:
            at += 2 if escapes and text[at] == '\\' else 1
        return at + 1
    if text.startswith('--', at):
        end = text.find('\n', at)
        return len(text) if end < 0 else end
    if text.startswith('/*', at):
        depth = 0
        while at < len(text):
            step = text[at:at + 2]
            depth += (step == '/*') - (step == '*/')
            at += 2 if step in ('/*', '*/') else 1
            if depth == 0:
                return at
        return at
    m = DOLLAR.match(text, at)
    if m and not re.match('[%s]' % NAME, text[at - 1:at] or ' '):
        end = text.find(m.group(), m.end())
        return len(text) if end < 0 else end + len(m.group())
    return at


def bare(text):
    """without comments and what is quoted"""
    out, at = [], 0
    while at < len(text):
        end = quoted(text, at)
        if end == at:
            out.append(text[at])
            end += 1
        at = end
    return ''.join(out)


def line_end(text, at):
    end = text.find('\n', at)
    return len(text) if end < 0 else end + 1


def pieces(text):
    out, begun, at, depth = [], 0, 0, 0

    def cut(end):
        nonlocal begun
        if text[begun:end].strip():
            out.append(text[begun:end].strip('\n'))
        begun = end

    while at < len(text):
        c, end = text[at], quoted(text, at)
        if end > at:
            at = end
            continue
        if c in '()':
            depth = max(depth + (1 if c == '(' else -1), 0)
        at += 1
        if c == '\\':
            if text[at] == ';':
                at += 1
                continue
            waiting = bare(text[begun:at - 1]).strip()
            ends = ENDING.match(text, at - 1)
            at = line_end(text, at)
            if not waiting or ends:
                cut(at)
                depth = 0
        elif c == ';' and depth == 0:
            if re.search(r'\bbegin\s+atomic\b', bare(text[begun:at]), re.I) and not re.search(r'\bend\s*;$', bare(text[begun:at]), re.I):
                continue
            for _ in COPY_IN.findall(bare(text[begun:at])):
                end = text.find('\n\\.\n', at - 1)
                if end >= 0 and not STATEMENT.search(text, at, end):
                    at = end + 4
                else:
                    text = text[:at] + '\n\\.\n' + text[at:]
                    at += 4
            cut(at)
    cut(len(text))
    return out


KEYS = [
    # of a table: a constraint that always holds takes its place, so no comma is left over
    (r'\bconstraint\s+\w+\s+(?=primary\s+key|unique\b|foreign\s+key|references\b|exclude\b)', ''),
    (r'\b(?:primary\s+key|unique)(?:\s+nulls\s+not\s+distinct)?\s*\([^()]*\)(?:\s*include\s*\([^()]*\))?', 'check (true)'),
    (r'\bforeign\s+key\s*\([^()]*\)', ''),
    (r'\breferences\s+[\w."]+\s*(?:\([^()]*\))?', 'check (true)'),
    (r'\bexclude\s+(?:using\s+\w+\s*)?\((?:[^()]|\([^()]*\))*\)(?:\s*where\s*\([^()]*\))?', 'check (true)'),
    # of a column
    (r'\bprimary\s+key\b', 'not null'),
    (r'\bunique\b', ''),
    (r'\bmatch\s+(?:full|simple|partial)\b', ''),
    (r'\bon\s+(?:delete|update)\s+(?:cascade|restrict|no\s+action|set\s+(?:null|default)(?:\s*\([^()]*\))?)', ''),
    (r'\b(?:not\s+)?deferrable\b|\binitially\s+(?:deferred|immediate)\b', ''),
]


def without_keys(piece):
    for pattern, instead in KEYS:
        piece = re.sub(pattern, instead, piece, flags=re.I)
    return piece


def executed(piece):
    """in an EXECUTE, where the gateway does not make Redshift's types of the columns' (text is VARCHAR(256) there, point is refused)"""
    return "do $do$ begin execute $execute$%s$execute$; end $do$;" % piece.rstrip().rstrip(';')


def prepared(piece, folder, names):
    """The piece as both sides get it, or nothing. Keys and indexes are not enforced by Sealift, ON CONFLICT, WHERE CURRENT OF and row locks are refused: what would follow from
    them is taken out for both, so that all that comes later is the same."""
    words = bare(piece).strip()
    m = re.match(r'(?:set|reset)\s+standard_conforming_strings(.*)', words, re.I | re.S)
    if m:
        names['off'] = 'off' in m.group(1).lower()
    if m or names.get('off'):
        return None  # a session whose strings are read otherwise than the gateway reads them is ended
    m = re.match(r"\\set\s+(\w+)\s+:abs_srcdir\s+'([^']*)'", piece.strip())
    if m:
        names[m.group(1)] = folder + m.group(2)
        return None
    if re.match(r'\\(?:getenv|set\s+regresslib)\b', piece):
        return None
    m = re.match(r"copy\s(.*?)\sfrom\s+:'(\w+)'(.*);$", piece.strip(), re.I | re.S)
    if m and m.group(2) in names:
        return "\\copy %s from '%s'%s" % (m.group(1), names[m.group(2)], m.group(3))
    if re.match(r'(?:create\s+(?:\w+\s+)*table|alter\s+table)\b', words, re.I) and not re.search(r'\bas\s+(?:select|with|execute|table|values)\b', words, re.I):
        return executed(without_keys(piece))
    if re.match(r'(?:select|with|declare|prepare|begin)\b', words, re.I) and not re.search(r'\brecursive\b', words, re.I):
        return re.sub(r'\bfor\s+(?:no\s+key\s+update|key\s+share|update|share)\b(?:\s+of\s+[\w,\s]+?)?(?:\s+(?:nowait|skip\s+locked))?(?=\s*[;)])', '', piece, flags=re.I)
    return piece
