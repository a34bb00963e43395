#!/usr/bin/env python3
"""Turns a file into a C header with its bytes. usage: embed.py NAME INPUT OUTPUT"""
import sys

name, source, target = sys.argv[1:]
with open(source, 'rb') as f:
    data = f.read()
with open(target, 'w', encoding='ascii') as f:
    f.write('/* Made from %s; do not edit. */\n#include <stddef.h>\n' % source.rsplit('/', 1)[-1])
    f.write('static const unsigned char %s[] = {' % name)
    f.write(','.join(str(b) for b in data) or '0')
    f.write('};\nenum { %s_len = %d };\n' % (name, len(data)))
