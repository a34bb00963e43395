#!/usr/bin/env python3
"""Checks the layers: lower folders never include upper ones, *_in.h stays in its folder, one external library has one owner folder."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# folder prefix -> folder prefixes it may include from (itself always)
MAY = [
    ('lib/base', []),
    ('lib/crypto', ['lib/base']),
    ('lib/codec', ['lib/base', 'lib/crypto']),
    ('lib/sigv4', ['lib/base', 'lib/crypto', 'lib/codec']),
    ('lib/ipc', ['lib/base', 'lib/crypto', 'lib/codec', 'lib/sigv4']),
    ('lib/columnar', ['lib/base', 'lib/crypto', 'lib/codec']),
    ('lib/dialect', ['lib/base', 'lib/codec']),
    ('lib/awsclient', ['lib/base', 'lib/crypto', 'lib/codec', 'lib/sigv4']),
    ('server/net', ['lib']),
    ('server/http', ['lib', 'server/net']),
    ('server/policy', ['lib']),
    ('server/keys', ['lib', 'server/main/sandbox.h']),
    ('server/store/meta', ['lib']),
    ('server/store/identity', ['lib', 'server/policy', 'server/keys', 'server/store/meta']),
    ('server/store/keys', ['lib', 'server/keys', 'server/store/meta']),
    ('server/store/index', ['lib', 'server/store/meta', 'server/store/blob']),
    ('server/store/blob', ['lib']),
    ('server/audit', ['lib', 'server/keys']),
    ('server/auth', ['lib', 'server/policy', 'server/keys', 'server/store/identity', 'server/store/meta', 'server/store/keys']),
    ('server/api/s3', ['lib', 'server/net', 'server/http', 'server/policy', 'server/store/index', 'server/store/blob', 'server/main/conf.h']),
    ('server/api', ['lib', 'server/auth', 'server/policy', 'server/keys', 'server/store', 'server/audit', 'server/main/conf.h']),
    ('server/main', ['lib', 'server']),
    ('gateway', ['lib', 'server/net', 'server/http', 'server/main/conf.h', 'server/main/sandbox.h', 'server/main/tls_renew.h']),
    ('cli', ['lib', 'server', 'gateway']),
    ('extension', ['lib']),
    ('tests', ['lib', 'server', 'gateway', 'cli', 'extension']),
    ('bench', ['lib', 'server', 'gateway', 'cli']),
]
OWNERS = {
    'openssl/': ('lib/crypto', 'server/net'),
    'sqlite3.h': ('server/store',),
    'curl/': ('lib/awsclient',),
    'expat.h': ('lib/codec',),
    'isa-l': ('lib/codec',),
    'zstd': ('lib/codec',),
    'lz4.h': ('lib/codec',),
    'bzlib.h': ('lib/codec',),
    'llhttp.h': ('server/http',),
    'p11-kit/': ('server/keys',),
    'seccomp.h': ('server/main',),
    'postgres.h': ('extension',),
}


def rule_for(path):
    best = None
    for prefix, may in MAY:
        if path.startswith(prefix + '/') and (best is None or len(prefix) > len(best[0])):
            best = (prefix, may)
    return best


def under(path, prefix):
    return path == prefix or path.startswith(prefix + '/')


def main():
    bad = []
    for folder, dirs, files in os.walk(ROOT):
        dirs[:] = [d for d in dirs if not d.startswith('.') and not d.startswith('build') and d != 'node_modules']
        for name in files:
            if not name.endswith(('.c', '.h')):
                continue
            path = os.path.relpath(os.path.join(folder, name), ROOT)
            rule = rule_for(path)
            if rule is None:
                bad.append('%s: lies in no known layer' % path)
                continue
            with open(os.path.join(ROOT, path), encoding='utf-8') as f:
                text = f.read()
            for inc in re.findall(r'^\s*#include\s+[<"]([^>"]+)[>"]', text, re.M):
                for lib, owners in OWNERS.items():
                    if inc.startswith(lib) and not path.startswith(('tests/', 'bench/')) and not any(under(path, o) for o in owners):
                        bad.append('%s: <%s> belongs to %s' % (path, inc, ' and '.join(owners)))
                if not os.path.exists(os.path.join(ROOT, inc)) or '/' not in inc:
                    continue
                prefix, may = rule
                if not under(inc, prefix) and not any(under(inc, m) for m in may):
                    bad.append('%s: may not include %s' % (path, inc))
                if inc.endswith('_in.h') and os.path.dirname(inc) != os.path.dirname(path) and not path.startswith(('tests/', 'bench/')):
                    bad.append('%s: %s is private to its folder' % (path, inc))
    for line in bad:
        print(line)
    return 1 if bad else 0


sys.exit(main())
