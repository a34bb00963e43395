"""Files as they should not be, and each option of COPY on a file that needs it: rows, codes, positions and messages. One instance, one upload."""
import codecs
import gzip
import json
import os
import subprocess
import unittest

from harness import SealiftTest, allow

FAILED = "Load into table 't' failed.  Check 'stl_load_errors' system table for details."
AB = 'a integer, b varchar(20)'
MIB = 1024 * 1024


class Case:
    """options on data into a table of columns: rows (texts of psql, NULL as ~), errors (line, column, code, position, reason), and what the client is told."""

    def __init__(self, name, columns, data, options='', rows=(), errors=(), says=None, select='*', columns_list='', paths=None):
        self.name, self.columns, self.options, self.columns_list, self.select = name, columns, options, columns_list, select
        self.paths = paths  # of a JSONPaths file
        self.data = data.encode() if isinstance(data, str) else data
        self.rows, self.errors, self.says = list(rows), list(errors), says
        # a load that rejects rows fails, unless its options say how many it may
        self.fails = (bool(errors) and 'MAXERROR' not in options and 'IGNOREALLERRORS' not in options) or says is not None


def digits(value, at, kind='Integer', character=None):
    return "Invalid digit, Value '%s', Pos %d, Type: %s" % (character if character is not None else value[at], at, kind)


def manifest(*files):
    return json.dumps({'entries': [dict(zip(('url', 'mandatory'), ('s3://bkt/c/' + f[0],) + f[1:])) for f in files]})


def packed(tool, text):
    return subprocess.run([tool, '-c', '-q'], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout


def giant(head, more, tail=''):
    """a row of 4 MB and `more` bytes, most of them blanks"""
    return head + ' ' * (4 * MIB + more - len(head) - len(tail)) + tail


def giants(name, row, tail='', small='%d|z', options='', columns=AB, end='\n', lead='', code='utf-8', **how):
    """A row that just has room among small ones, and three that have not: by one byte, by more than any buffer holds, and without a line end."""
    rows = [small % 1, giant(row % 2, 0, tail), giant(row % 3, 1, tail), small % 4, giant(row % 5, 3 * MIB, tail), small % 6, giant(row % 7, 3 * MIB, tail)]
    first = [lead] if lead else []
    return Case('rows about the limit: ' + name, columns, gzip.compress(end.join(first + rows).encode(code), 1), 'GZIP TRIMBLANKS MAXERROR 4 ' + options,
                rows=['1|z', '2|x', '4|z', '6|z'] + ['0|'] * len(first), select='a, b',
                errors=[(n + len(first), '', 1216, 0, TOO_LARGE) for n in (3, 5, 7)], **how)


DATE = "Invalid date format or value [%s]"
STAMP = "Invalid timestamp format or value [%s]"
CODES = {1202, 1203, 1204, 1205, 1206, 1207, 1208, 1210, 1211, 1213, 1214, 1216, 1217, 1218, 1219, 1220, 1221, 1222}  # docs/compat.md has the others
TOO_LARGE = 'Invalid line: larger than the limit of 4 MB'
UTF8 = 'String contains invalid or unsupported UTF-8 codepoints. Bad UTF-8 hex sequence: %s (error %d)'

CASES = [
    # -- the file as such
    Case('empty file', AB, ''),
    Case('empty gzip', AB, gzip.compress(b''), 'GZIP'),
    Case('header only', AB, 'a|b\n', 'IGNOREHEADER 1'),
    Case('header without line end', AB, 'a|b', 'IGNOREHEADER 1'),
    Case('more headers than rows', AB, '1|a\n2|b\n', 'IGNOREHEADER 5'),
    Case('no final newline', AB, '1|a\n2|b', rows=['1|a', '2|b']),
    Case('crlf', AB, '1|a\r\n2|b\r\n', rows=['1|a', '2|b']),
    Case('crlf and quotes', AB, '1,"a"\r\n2,"b\r\nc"\r\n', 'CSV', rows=['1|a', '2|b/c'], select="a, replace(b, chr(13) || chr(10), '/')"),
    Case('empty line', AB, '1|a\n\n2|b\n', errors=[(2, 'a', 1214, 0, 'Delimiter not found')]),
    Case('empty line ignored', AB, '1|a\n\n\r\n2|b\n', 'IGNOREBLANKLINES', rows=['1|a', '2|b']),
    Case('too many columns', AB, '1|a|x\n', errors=[(1, '', 1202, 3, 'Extra column(s) found')]),
    Case('too few columns', AB + ', c integer', '1|a\n', errors=[(1, 'b', 1214, 2, 'Delimiter not found')]),
    Case('no delimiter in the file', AB, '1,a\n', errors=[(1, 'a', 1214, 0, 'Delimiter not found')]),
    Case('fillrecord', AB + ', c integer', '1\n2|b\n3|c|4\n', 'FILLRECORD', rows=['1||~', '2|b|~', '3|c|4']),
    Case('nul in a text', AB, b'1|a\x00b\n', errors=[(1, 'b', 1216, 2, 'Missing newline: Unexpected character 0x00 found at location 1')]),
    Case('nul in a number', AB, b'1\x00|a\n', errors=[(1, 'a', 1207, 0, digits('', 1, character='\\x00'))]),
    Case('control characters', AB, b'1|\x01\x7f\t\n', rows=['1|3'], select='a, length(b)'),
    Case('gzip of members', AB, gzip.compress(b'1|a\n2|') + gzip.compress(b'b\n') + gzip.compress(b''), 'GZIP', rows=['1|a', '2|b']),
    Case('cut gzip', AB, gzip.compress(b'1|a\n' * 1000)[:-5], 'GZIP', says='The file is not in GZIP format or is damaged'),
    Case('not gzip', AB, '1|a\n', 'GZIP', says='The file is not in GZIP format or is damaged'),
    Case('gzip that is not said', AB, gzip.compress(b'1|a\n', mtime=0), errors=[(1, 'a', 1214, 0, 'Delimiter not found')]),
    Case('gzip bomb in one row', AB, gzip.compress(bytes(64 * MIB)), 'GZIP', errors=[(1, '', 1216, 0, 'Invalid line: larger than the limit of 4 MB')]),
    Case('row of 4 MB', 'a integer, b varchar(max)', '1|' + '\n2|'.join('x' * 65535 for _ in range(3)) + '\n', rows=['1|65535', '2|65535', '2|65535'], select='a, length(b)'),
    Case('row at the limit', AB, b'1|a' + b' ' * (4 * MIB - 3) + b'\n', 'TRIMBLANKS', rows=['1|a']),
    Case('row over the limit', AB, b'2|b\n1|a' + b' ' * (4 * MIB - 2) + b'\n', 'TRIMBLANKS', errors=[(2, '', 1216, 0, 'Invalid line: larger than the limit of 4 MB')]),
    giants('plain', '%d|x'),
    giants('crlf', '%d|x', end='\r\n'),
    giants('csv', '%d,x', small='%d,z', options='CSV'),
    giants('csv, quoted', '%d,"x', '"', small='%d,"z"', options='CSV'),
    giants('escape', '%d|\\x', options='ESCAPE'),
    giants('removequotes', "%d|'x", "'", options='REMOVEQUOTES'),
    giants('fixed width', '%dx', small='%dz', columns=AB + ''.join(', c%d varchar(20)' % i for i in range(64)),
           options="FILLRECORD FIXEDWIDTH 'a:1,%s,c:63'" % ','.join(['b:65535'] * 64)),
    giants('json', '{"a":%d,"b":"x"', '}', small='{"a":%d,"b":"z"}', options="JSON 'auto'"),
    giants('jsonpaths', '[%d,"x"', ']', small='[%d,"z"]', paths=['$[0]', '$[1]']),
    giants('utf-16', '%d|x', options='ENCODING UTF16LE', code='utf-16-le'),
    *(giants('behind %d bytes' % n, '%d|x', lead=giant('0|', n - 4 * MIB)) for n in (4095, 262142, 262143, 524287, 1000000, 4 * MIB - 1)),
    Case('row over the limit of lines in quotes', AB, gzip.compress(b'1,a\n2,"' + b'x\n' * (3 * MIB) + b'"\nx,b\n'), 'GZIP CSV MAXERROR 9', rows=['1|a'],
         errors=[(2, '', 1216, 0, TOO_LARGE), (3 * MIB + 3, 'a', 1207, 0, digits('x', 0))]),
    Case('row over the limit of escaped lines', AB, gzip.compress(b'1|a\n2|' + b'\\\n' * (3 * MIB) + b'\nx|b\n'), 'GZIP ESCAPE MAXERROR 9', rows=['1|a'],
         errors=[(2, '', 1216, 0, TOO_LARGE), (3 * MIB + 3, 'a', 1207, 0, digits('x', 0))]),
    Case('record over the limit of lines', AB, gzip.compress(b'{"a":1}\n{"a":2,"b":[' + b'\n' * (6 * MIB) + b'"]"]}\n{"a":"x"}'), "GZIP JSON 'auto' MAXERROR 9", rows=['1|~'],
         errors=[(2, '', 1216, 0, TOO_LARGE), (6 * MIB + 3, 'a', 1207, 5, digits('x', 0))]),
    Case('header over the limit', AB, gzip.compress(b'h' * (5 * MIB) + b'\n1|a\nx|b\n'), 'GZIP IGNOREHEADER 1 MAXERROR 2', rows=['1|a'], errors=[(3, 'a', 1207, 0, digits('x', 0))]),
    Case('gzip bomb of empty lines', AB, gzip.compress(b'\n' * (64 * MIB) + b'1|a'), 'GZIP IGNOREBLANKLINES', rows=['1|a']),
    Case('bzip2', AB, packed('bzip2', '1|a\n'), 'BZIP2', rows=['1|a']),
    Case('cut bzip2', AB, packed('bzip2', '1|a\n')[:-5], 'BZIP2', says='The file is not in BZIP2 format or is damaged'),
    Case('zstd', AB, packed('zstd', '1|a\n') + packed('zstd', '2|b\n'), 'ZSTD', rows=['1|a', '2|b']),
    Case('cut zstd', AB, packed('zstd', '1|a\n' * 100)[:-5], 'ZSTD', says='The file is not in ZSTD format or is damaged'),
    Case('lzop', AB, packed('lzop', '1|a\n'), 'LZOP', rows=['1|a']),
    Case('cut lzop', AB, packed('lzop', '1|a\n')[:-5], 'LZOP', says='The file is not in LZOP format or is damaged'),
    Case('delimiter in octal', AB, '1;a\n', "DELIMITER '\\073'", rows=['1|a']),
    Case('tab', AB, '1\ta\n', "DELIMITER AS '\\t'", rows=['1|a']),
    Case('a million empty fields', AB, b'1|' + b'|' * 1000000 + b'\n', errors=[(1, '', 1202, 2, 'Extra column(s) found')]),
    Case('1600 columns', ', '.join('c%d integer' % i for i in range(1600)), '|'.join(str(i) for i in range(1600)) + '\n', rows=['0|800|1599'], select='c0, c800, c1599'),
    Case('1599 of 1600 columns', ', '.join('c%d integer' % i for i in range(1600)), '|'.join('1' * 1599) + '\n',
         errors=[(1, 'c1598', 1214, 2 * 1598, 'Delimiter not found')]),

    # -- numbers
    Case('letters in an integer', AB, '1x|a\n', errors=[(1, 'a', 1207, 0, digits('1x', 1))]),
    Case('a sign alone', AB, '-|a\n', errors=[(1, 'a', 1207, 0, digits('', 1, character=''))]),
    Case('blanks in an integer', AB, ' 1 |a\n   |b\n', rows=['1|a', '~|b']),
    Case('smallint too large', 'a smallint', '32767\n32768\n', errors=[(2, 'a', 1222, 0, 'Overflow (Short valid range -32768 to 32767)')]),
    Case('integer too small', 'a integer', '-2147483649\n', errors=[(1, 'a', 1222, 0, 'Overflow (Integer valid range -2147483648 to 2147483647)')]),
    Case('bigint of forty digits', 'a bigint', '9' * 40 + '\n', errors=[(1, 'a', 1222, 0, 'Overflow (Long valid range -9223372036854775808 to 9223372036854775807)')]),
    Case('decimals cut', 'a numeric(5,2)', '1.999\n-1.999\n', rows=['-1.99', '1.99']),
    Case('decimals rounded', 'a numeric(5,2)', '1.995\n-1.995\n', 'ROUNDEC', rows=['-2.00', '2.00']),
    Case('decimal too large', 'a numeric(5,2)', '1000\n', errors=[(1, 'a', 1207, 0, 'Overflow for NUMERIC(5,2)')]),
    Case('decimal with two points', 'a numeric(5,2)', '1.2.3\n', errors=[(1, 'a', 1207, 0, digits('1.2.3', 3, 'Decimal'))]),
    Case('float in words', 'a double precision', '1e400\n', errors=[(1, 'a', 1208, 0, 'Floating point value out of range')]),
    Case('hexadecimal float', 'a real', '0x10\n', errors=[(1, 'a', 1208, 0, 'Invalid floating point value')]),
    Case('boolean', 'a boolean', 'maybe\n', errors=[(1, 'a', 1210, 0, 'Unknown boolean format')]),

    # -- texts
    Case('too long', AB, '1|' + 'x' * 21 + '\n', errors=[(1, 'b', 1204, 2, 'String length exceeds DDL length')]),
    Case('too long, cut', AB, '1|' + 'x' * 19 + 'é\n', 'TRUNCATECOLUMNS', rows=['1|19'], select='a, octet_length(b)'),
    Case('char too long', 'a char(2)', 'abc\n', errors=[(1, 'a', 1204, 0, 'Char length exceeds DDL length')]),
    Case('char of two bytes', 'a char(5)', 'é\n', errors=[(1, 'a', 1220, 0, 'Multibyte character not supported for CHAR (Hint: Try using VARCHAR). Invalid char: c3 a9')]),
    Case('bad utf-8: lone continuation', AB, b'1|a\xa4b\n', errors=[(1, 'b', 1220, 2, UTF8 % ('a4', 3))]),
    Case('bad utf-8: cut', AB, b'1|\xe2\x82\n', errors=[(1, 'b', 1220, 2, UTF8 % ('e2 82', 2))]),
    Case('bad utf-8: surrogate', AB, b'1|\xed\xa0\x80\n', errors=[(1, 'b', 1220, 2, UTF8 % ('ed a0 80', 5))]),
    Case('bad utf-8: overlong', AB, b'1|\xc0\xaf\n', errors=[(1, 'b', 1220, 2, UTF8 % ('c0 af', 9))]),
    Case('bad utf-8 replaced', AB, b'1|a\xa4\xe2\x82b\n', "ACCEPTINVCHARS AS '^'", rows=['1|a^^^b']),
    Case('trailing blanks', AB + ', c char(3)', '1|a  |b  \n', rows=['1|3|1'], select='a, octet_length(b), length(c)'),
    Case('trailing blanks trimmed', AB, '1|a  \n', 'TRIMBLANKS', rows=['1|1'], select='a, octet_length(b)'),

    # -- nulls
    Case('null strings', AB, '\\N|\\N\n1|\\n\n', rows=['1|\\n', '~|~']),
    Case('null as', AB, 'x|x\n1|\\N\n', "NULL AS 'x'", rows=['1|\\N', '~|~']),
    Case('null as nul', AB, b'1|\x00\n', "NULL AS '\\0'", rows=['1|~']),
    Case('null as nul, longer', AB, b'1|\x00\x00\n', "NULL AS '\\000'", errors=[(1, 'b', 1218, 2, 'Invalid null byte - field longer than 1 byte')]),
    Case('empty fields', AB, '|\n', rows=['~|']),
    Case('empty as null', AB, '1|\n2| \n', 'EMPTYASNULL', rows=['1|~', '2| ']),
    Case('blanks as null', AB, '1|\n2| \t\n', 'BLANKSASNULL', rows=['1|', '2|~']),
    Case('not null', 'a integer, b integer not null', '1|\n', errors=[(1, 'b', 1213, 2, 'Missing data for not-null field')]),

    # -- CSV
    Case('csv', AB, '1,"a,""b"""\n2, "c" \n', 'CSV', rows=['1|a,"b"', '2|c']),
    Case('csv with its own quote', AB, '1;%a;%%b%\n', "CSV QUOTE '%' DELIMITER ';'", rows=['1|a;%b']),
    Case('csv: quote in a bare field', AB, '1,a"b\n', 'CSV', errors=[(1, 'b', 1214, 2, 'Invalid quote formatting for CSV')]),
    Case('csv: text behind a quote', AB, '1,"a"b\n', 'CSV', errors=[(1, 'b', 1214, 2, 'Invalid quote formatting for CSV')]),
    Case('csv: open quote', AB, '1,"a\n2,b\n', 'CSV', errors=[(1, 'b', 1214, 2, 'Delimited value missing end quote')]),
    Case('csv: line numbers over quoted newlines', AB, '1,"a\nb"\nx,c\n', 'CSV', errors=[(3, 'a', 1207, 0, digits('x', 0))]),
    Case('csv: quoted null string', AB, '1,"\\N"\n2,\\N\n', 'CSV', rows=['1|\\N', '2|~']),

    # -- ESCAPE and REMOVEQUOTES
    Case('escape', AB, '1|a\\|b\\\\\\\nc\n2|\\N\n3|\\\\N\n', 'ESCAPE', rows=['1|a|b\\/c', '2|~', '3|~'], select="a, replace(b, chr(10), '/')"),
    Case('no escape', AB, '1|a\\|b\n', errors=[(1, '', 1202, 4, 'Extra column(s) found')]),
    Case('escape: line numbers', AB, '1|a\\\nb\nx|c\n', 'ESCAPE', errors=[(3, 'a', 1207, 0, digits('x', 0))]),
    Case('escape: nul ends the record', AB, b'1|ab\x00cd|e\n2|f\n', 'ESCAPE', rows=['1|ab', '2|f']),
    Case('escape: at the end of the file', AB, '1|a\\', 'ESCAPE', rows=['1|a\\']),
    Case('removequotes', AB, '1|"a|b"\n2|\'c\'\n3|\' \'d\' \'\n4|e\'\n"5"|""\n', 'REMOVEQUOTES', rows=['1|a|b', '2|c', "3| 'd' ", "4|e'", '5|']),
    Case('removequotes: open quote', AB, "1|'a\n", 'REMOVEQUOTES', errors=[(1, 'b', 1214, 2, 'Delimited value missing end quote')]),
    Case('removequotes with escape', AB, '1|"a\\"|"\n2|\\"b\\"\n3|"\\N"\n', 'REMOVEQUOTES ESCAPE', rows=['1|a"|', '2|"b"', '3|~']),

    # -- FIXEDWIDTH
    Case('fixed width', AB, '  1abc\n 22é€ \n', "FIXEDWIDTH 'a:3,b:3'", rows=['1|abc', '22|é€ ']),
    Case('fixed width: short', AB, '  1\n', "FIXEDWIDTH 'a:3,b:3'", errors=[(1, 'b', 1203, 3, 'Input data had fewer columns than the table')]),
    Case('fixed width: empty line', AB, '\n', "FIXEDWIDTH 'a:3,b:3'", errors=[(1, 'a', 1211, 0, 'Input line contained no data')]),
    Case('fixed width: long', AB, '  1abcd\n', "FIXEDWIDTH 'a:3,b:3'", errors=[(1, '', 1202, 6, 'Extra column(s) found')]),
    Case('fixed width of no form', AB, '', "FIXEDWIDTH 'a:0,b:3'", says='Invalid FIXEDWIDTH column specification "a:0"'),
    Case('fixed width of too few', AB, '', "FIXEDWIDTH 'a:3'", says='FIXEDWIDTH names 1 columns, the table or column list has 2'),

    # -- JSON
    Case('json', AB, '{"b":"x","a":1}\n {"a" : "2", "b":"q\\"\\u00e9\\ud83d\\ude00\\n"} {"c":[{}],"a":3}', "JSON 'auto'",
         rows=['1|x', '2|q"é\U0001f600/', '3|~'], select="a, replace(b, chr(10), '/')"),
    Case('json: null, numbers, truth', 'a double precision, b boolean, c varchar(20)', '{"a":-1.5e2,"b":true,"c":false}{"a":null,"b":"f","c":12.50}', 'FORMAT JSON',
         rows=['-150|t|false', '~|f|12.50']),
    Case('json: nested values are texts', 'a varchar(50)', '{"a":{"x": [1, "y"]}}\n{"a":[]}', "JSON 'auto'", rows=['[]', '{"x": [1, "y"]}']),
    Case('json: case', AB, '{"A":1,"B":"x"}', "JSON 'auto'", rows=['~|~']),
    Case('json: case ignored', AB, '{"A":1,"B":"x"}', "JSON 'auto ignorecase'", rows=['1|x']),
    Case('json: column list', AB, '{"a":1,"b":"x"}', "JSON 'auto'", rows=['~|x'], columns_list='(b)'),
    Case('json: pretty over lines', AB, '[\n]\n\n{\n "a": 1,\n "b": "x"\n}\n\n{"a":"y"}', "JSON 'auto' MAXERROR 9", rows=['1|x'],
         errors=[(1, 'a', 1216, 3, 'Invalid JSONPath format: Member is not an object.'), (9, 'a', 1207, 5, digits('y', 0))]),
    Case('json: malformed', AB, '{"a":1,}\n{"a":2}\n{"a":01}\n{"a":"\\x"}\n{a:1}\nfalse\n,\n{"a":3}\n', "JSON 'auto' MAXERROR 99", rows=['2|~', '3|~'],
         errors=[(n, '', 1216, p, 'Invalid value.') for n, p in ((1, 7), (3, 6), (4, 7), (5, 1), (6, 0), (7, 0))]),
    Case('json: white space of 9 MB', AB, '{"a":1}' + ' \n' * (9 * MIB // 2) + '{"a":"x"}', "JSON 'auto' MAXERROR 2", rows=['1|~'], errors=[(9 * MIB // 2 + 1, 'a', 1207, 5, digits('x', 0))]),
    Case('json: bad hexadecimal digit', AB, '{"a":1,"b":"\\u12g4"}\n{"a":2}', "JSON 'auto' MAXERROR 2", rows=['2|~'],
         errors=[(1, '', 1219, 16, 'UTF-8 hexadecimal contained an invalid digit')]),
    Case('json: cut', AB, '{"a":1}\n{"a":2', "JSON 'auto'", errors=[(2, '', 1216, 6, 'Invalid value.')]),
    Case('json: too deep', AB, '{"c":' + '[' * 100 + ']' * 100 + '}\n{"a":1}', "JSON 'auto' MAXERROR 2", rows=['1|~'], errors=[(1, '', 1216, 68, 'Invalid value.')]),
    Case('json: half a surrogate', AB, '{"a":1,"b":"\\ud800"}', "JSON 'auto'", errors=[(1, 'b', 1220, 11, UTF8 % ('ed a0 80', 5))]),
    Case('json: bad utf-8', AB, b'{"b":"\xff"}', "JSON 'auto'", errors=[(1, 'b', 1220, 5, UTF8 % ('ff', 3))]),
    Case('json: not null', 'a integer not null', '{"b":1}', "JSON 'auto'", errors=[(1, 'a', 1213, 0, 'Missing data for not-null field')]),
    Case('json: gzip and header line', AB, gzip.compress(b'# x\n{"a":1}'), "JSON 'auto' GZIP IGNOREHEADER 1", rows=['1|~']),
    Case('jsonpaths', AB + ', c integer', '{"x":{"y":[10,20]},"b":"q"}[1]{"x":{"y":[1,2]}}', 'MAXERROR 2', paths=['$.x.y[1]', '$.b', '$.x.y[0]'],
         rows=['20|q|10', '2|~|1'], errors=[(1, 'b', 1216, 3, 'Invalid JSONPath format: Member is not an object.')]),
    Case('jsonpaths of arrays', AB, '[1,"x",2]\n[null,"y"]\n[3]\n', 'MAXERROR 2', paths=['$[0]', '$[1]'], rows=['1|x', '~|y'],
         errors=[(3, 'b', 1216, 3, 'Invalid JSONPath format: Not an array or index out of range.')]),
    Case('jsonpaths in brackets', AB, '{"a b":{"c.d":7},"e":"f"}', paths=["$['a b']['c.d']", "$['e']"], rows=['7|f']),
    Case('jsonpaths: one value for two columns', AB, '{"v":5}', paths=['$.v', '$.v'], rows=['5|5']),
    Case('jsonpaths: too few', AB, '{}', paths=['$.a'],
         says='Number of jsonpaths and the number of columns should match. JSONPath size: 1, Number of columns in table or column list: 2'),
    Case('jsonpaths: no path', AB, '{}', paths=['$.a', 'b'], says="Invalid JSONPath format. Supported notations are 'dot-notation' and 'bracket-notation': b"),
    Case('jsonpaths: mixed notations', AB, '{}', paths=["$.a['b']", '$.b'], says='Invalid JSONPath format.'),
    Case('jsonpaths: wildcard', AB, '{}', paths=['$.*', '$.b'], says='Invalid JSONPath format.'),
    Case('jsonpaths: another member', AB, '{"a":1}', paths='{"paths": ["$.b", "$.b"]}', rows=['1|~']),
    Case('jsonpaths: no json', AB, '{"a":1}', paths='$.a', says='JSONPaths file is not in correct json format'),
    Case('json: neither word nor url', AB, '{}', "JSON 'manual'", says="COPY option JSON wants 'auto', 'auto ignorecase' or the full path of an S3 object"),
    Case('json: paths that are not there', AB, '{}', "JSON 's3://bkt/nothing'", says='NoSuchKey'),

    # -- encodings
    Case('utf-16 with a mark', AB, '1|é€\U0001f600\n'.encode('utf-16'), 'ENCODING UTF16', rows=['1|é€\U0001f600']),
    Case('utf-16 big endian with a mark', AB, codecs.BOM_UTF16_BE + '1|a\n'.encode('utf-16-be'), 'ENCODING UTF16', rows=['1|a']),
    Case('utf-16 without a mark', AB, '1|a\n'.encode('utf-16-le'), 'ENCODING UTF16', errors=[(1, '', 1221, 0, 'The file has no byte order mark, which ENCODING UTF16 needs.')]),
    Case('utf-16le', AB, '1|a\n'.encode('utf-16-le'), 'ENCODING AS UTF16LE', rows=['1|a']),
    Case('utf-16be, gzip', AB, gzip.compress('1|a\n2|b'.encode('utf-16-be')), 'GZIP ENCODING UTF16BE', rows=['1|a', '2|b']),
    Case('utf-16le with the other mark', AB, codecs.BOM_UTF16_BE + '1|a\n'.encode('utf-16-be'), 'ENCODING UTF16LE',
         errors=[(1, '', 1221, 0, "The file's byte order mark is not of the encoding that is named.")]),
    Case('utf-16le: lone surrogate', AB, b'1\x00|\x00\x00\xd8\n\x00', 'ENCODING UTF16LE', errors=[(1, 'b', 1220, 2, UTF8 % ('ed a0 80', 5))]),
    Case('utf-16le: odd byte', AB, b'1\x00|\x00a\x00b', 'ENCODING UTF16LE', errors=[(1, 'b', 1220, 2, UTF8 % ('ff', 3))]),
    Case('utf-16 that is not said', AB, '1|a\n'.encode('utf-16'), errors=[(1, 'a', 1207, 0, digits('', 0, character='\\xff'))]),
    Case('iso 8859-1', AB, '1|é\n'.encode('latin-1'), "ENCODING 'iso88591'", rows=['1|é']),
    Case('utf-8 by name', AB, '1|é\n', 'ENCODING UTF8', rows=['1|é']),

    # -- dates and times
    Case('date too short', 'a date', '2001-1-1\n', errors=[(1, 'a', 1205, 0, 'Invalid Date Format - length must be 10 or more')]),
    Case('no such day', 'a date', '2001-02-29\n', errors=[(1, 'a', 1205, 0, DATE % 'YYYY-MM-DD')]),
    Case('timestamp without seconds', 'a timestamp', '2001-02-03 04:05\n', errors=[(1, 'a', 1206, 0, STAMP % 'YYYY-MM-DD HH24:MI:SS')]),
    Case('any date', 'a date, b timestamp', 'x|y\n', 'ACCEPTANYDATE', rows=['~|~']),
    Case('dateformat', 'a date', '02/28/1999\n', "DATEFORMAT 'MM/DD/YYYY'", rows=['1999-02-28']),
    Case('dateformat with a month', 'a date', 'Jan-01-1999 12:00:00\n', "DATEFORMAT AS 'MON-DD-YYYY'", rows=['1999-01-01']),
    Case('dateformat: wrong', 'a date', '02-28-1999\n2/8/1999\n', "DATEFORMAT 'MM/DD/YYYY' MAXERROR 5",
         errors=[(1, 'a', 1205, 0, DATE % 'MM/DD/YYYY'), (2, 'a', 1205, 0, 'Invalid Date Format - length must be 10 or more')]),
    Case('dateformat of no form', 'a date', '', "DATEFORMAT 'YYYY-QQ'", says='Invalid DATEFORMAT "YYYY-QQ"'),
    Case('dateformat auto', 'a date', '19960108\n960109\nJ2451187\nJan-08-95 BC\n08/JAN/1999\n1996.008\n01/09/99\n', "DATEFORMAT 'auto'",
         rows=['0095-01-08 BC', '1996-01-08', '1996-01-08', '1996-01-09', '1999-01-08', '1999-01-08', '1999-01-09']),
    Case('dateformat auto: none', 'a date', 'soon\n', "DATEFORMAT 'auto'", errors=[(1, 'a', 1205, 0, DATE % 'auto')]),
    Case('timeformat', 'a timestamp', '03.02.2001 04:05:06.5 PM\n', "TIMEFORMAT 'DD.MM.YYYY HH12:MI:SS AM'", rows=['2001-02-03 16:05:06.5']),
    Case('timeformat auto', 'a timestamp', '2019-02-11T05:09:12.195Z\n19960108 040809\n17 Dec 07:37:16 1997 PST\n12/17/1997 07:37:16.00 PST\nJ2345678 04:05:06.789\n', "TIMEFORMAT 'auto'",
         rows=['1710-02-23 04:05:06.789', '1996-01-08 04:08:09', '1997-12-17 07:37:16', '1997-12-17 07:37:16', '2019-02-11 05:09:12.195']),
    Case('timeformat auto with zones', 'a timestamptz', '17 Dec 07:37:16 1997 PST\n1997-12-17 07:37:16-08\n', "TIMEFORMAT 'auto'", rows=['1997-12-17 15:37:16+00'] * 2),
    Case('epochsecs', 'a timestamp, b timestamptz', '981173106|981173106\n', "TIMEFORMAT 'epochsecs'", rows=['2001-02-03 04:05:06|2001-02-03 04:05:06+00']),
    Case('epochmillisecs', 'a timestamp', '981173106789\n', "TIMEFORMAT 'epochmillisecs'", rows=['2001-02-03 04:05:06.789']),
    Case('epochsecs beyond time', 'a timestamp', '9' * 18 + '\n', "TIMEFORMAT 'epochsecs'", errors=[(1, 'a', 1206, 0, STAMP % 'epochsecs')]),
    Case('timeformat with a zone', 'a timestamptz', '', "TIMEFORMAT 'YYYY-MM-DD HH:MI:SSOF'", says='Invalid TIMEFORMAT "YYYY-MM-DD HH:MI:SSOF"'),

    # -- manifests
    Case('manifest', AB, manifest(('part', True), ('none', False), ('part', False)), 'MANIFEST', rows=['1|a', '1|a', '2|b', '2|b']),
    Case('manifest: headers', AB, manifest(('part', True), ('part', True)), 'MANIFEST IGNOREHEADER 1', rows=['2|b', '2|b']),
    Case('manifest: mandatory file missing', AB, manifest(('part', True), ('none', True)), 'MANIFEST', says='Status 404,Error NoSuchKey'),
    Case('manifest: optional files missing', AB, manifest(('none',), ('nor-this', False)), 'MANIFEST', says="None of the manifest's 2 files exists"),
    Case('manifest: without files', AB, manifest(), 'MANIFEST', says="None of the manifest's 0 files exists"),
    Case('manifest that is none', AB, '1|a\n', 'MANIFEST', says='Manifest file is not in correct json format'),
    Case('manifest of other urls', AB, '{"entries":[{"url":"https://bkt/c/part"}]}', 'MANIFEST', says='Manifest file is not in correct json format'),
    Case('manifest cut', AB, manifest(('part', True))[:-2], 'MANIFEST', says='Manifest file is not in correct json format'),

    # -- what a load does with errors, and with nothing
    Case('maxerror', AB, '1|a\nx|b\ny|c\n4|d\n', 'MAXERROR 3', rows=['1|a', '4|d'], errors=[(2, 'a', 1207, 0, digits('x', 0)), (3, 'a', 1207, 0, digits('y', 0))]),
    Case('maxerror reached', AB, 'x|a\ny|b\nz|c\n', 'MAXERROR 2', says=FAILED, errors=[(1, 'a', 1207, 0, digits('x', 0)), (2, 'a', 1207, 0, digits('y', 0))]),
    Case('maxerror 0', AB, '1|a\nx|a\ny|b\n', 'MAXERROR 0', says=FAILED, errors=[(2, 'a', 1207, 0, digits('x', 0))]),
    Case('maxerror 1', AB, '1|a\nx|a\ny|b\n', 'MAXERROR AS 1', says=FAILED, errors=[(2, 'a', 1207, 0, digits('x', 0))]),
    Case('ignoreallerrors', AB, 'x|a\n' * 50 + '1|b\n', 'IGNOREALLERRORS', rows=['1|b'], errors=[(i + 1, 'a', 1207, 0, digits('x', 0)) for i in range(50)]),
    Case('noload', AB, '1|a\n2|b\n', 'NOLOAD'),
    Case('noload of bad rows', AB, '1|a\nx|b\n', 'NOLOAD', errors=[(2, 'a', 1207, 0, digits('x', 0))]),
    Case('identity', 'a integer identity(7, 2), b varchar(20)', 'x\ny\n', rows=['7|x', '9|y']),
    Case('explicit ids', 'a integer identity(1, 1), b varchar(20)', '40|x\n40|y\n', 'EXPLICIT_IDS', rows=['40|x', '40|y']),
    Case('explicit ids that are none', 'a integer identity(1, 1), b varchar(20)', '|x\n\\N|x\ny|x\n9999999999|x\n7|x\n', 'EXPLICIT_IDS MAXERROR 5', rows=['7|x'],
         errors=[(1, 'a', 1217, 0, 'Invalid value for identity column'), (2, 'a', 1217, 0, 'Invalid value for identity column'),
                 (3, 'a', 1207, 0, digits('y', 0)), (4, 'a', 1222, 0, 'Overflow (Integer valid range -2147483648 to 2147483647)')]),
    Case('identity that is named', 'a integer identity(1, 1), b varchar(20)', '40|x\n', columns_list='(a, b)', says='cannot load values into identity column "a"'),
    Case('statistics and encodings', AB, '1|a\n', 'COMPUPDATE PRESET STATUPDATE ON COMPROWS 1000', rows=['1|a']),
]


class Hostile(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        s.aws('s3 mb s3://bkt')
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket'])])
        folder = os.path.join(s.work, 'objects')
        os.mkdir(folder)
        for i, case in enumerate(CASES):
            with open(os.path.join(folder, '%03d' % i), 'wb') as f:
                f.write(case.data)
            if case.paths is not None:
                with open(os.path.join(folder, 'paths%03d' % i), 'w') as f:
                    f.write(case.paths if isinstance(case.paths, str) else json.dumps({'jsonpaths': case.paths}))
        with open(os.path.join(folder, 'part'), 'w') as f:
            f.write('1|a\n2|b\n')
        r = s.aws(['s3', 'cp', '--recursive', folder, 's3://bkt/c'])
        assert r.code == 0, r

    def script(self, i, case):
        options = case.options + (" JSON 's3://bkt/c/paths%03d'" % i if case.paths is not None else '')
        return ['drop table if exists t; create table t (%s);' % case.columns, r'\echo @case', r'\warn @case',
                "COPY t %s FROM 's3://bkt/c/%03d' IAM_ROLE '%s' %s;" % (case.columns_list, i, self.role, options),
                'select %s from t;' % case.select, r'\echo @errors',
                'select line_number, trim(colname), err_code, position, trim(err_reason) from stl_load_errors '
                "where query = pg_last_copy_id() and trim(filename) = 's3://bkt/c/%03d' order by line_number;" % i]

    def run_all(self):
        """all in one session: of each case the rows, the errors, and what the client is told"""
        lines = ["set timezone = 'UTC';"] + [line for i, case in enumerate(CASES) for line in self.script(i, case)]
        r = self.s.run(['psql', '-X', '-q', '-A', '-t', '-P', 'null=~'], input='\n'.join(lines))
        outs, said = r.out.split('@case\n')[1:], r.err.split('@case\n')[1:]
        self.assertEqual((len(outs), len(said)), (len(CASES), len(CASES)), r.err[-2000:])
        for case, out, err in zip(CASES, outs, said):
            rows, _, errors = out.partition('@errors\n')
            yield case, rows.splitlines(), errors.splitlines(), err

    def test_long_prefix(self):
        """is of no object, and the load recorded; whether a list of keys or a manifest is asked for"""
        for n, options in ((1025, ''), (70000, ''), (70000, 'MANIFEST')):
            r = self.s.sql("create table if not exists p (a integer); copy p from 's3://bkt/%s' iam_role '%s' %s" % ('x' * n, self.role, options))
            self.assertIn("xxx' does not exist", r.err[:600])
            r = self.s.sql('select length(data_source), status from sys_load_history order by query_id desc limit 1')
            self.assertEqual(r.out.strip(), '%d|aborted' % min(n + 9, 65535), r)

    def test_cases(self):
        self.assertGreaterEqual(len(CASES), 60)
        self.assertEqual({error[2] for case in CASES for error in case.errors}, CODES)
        for case, rows, errors, said in self.run_all():
            with self.subTest(case.name):
                self.assertIn('' if not case.fails else case.says or FAILED, said)
                self.assertEqual('ERROR:' in said, case.fails, said)
                self.assertEqual(sorted(rows), sorted(case.rows), said)
                self.assertEqual(errors, ['%d|%s|%d|%d|%s' % e for e in case.errors])
                if not case.fails:
                    self.assertIn("completed, %d record(s) loaded successfully." % len(case.rows), said)
                    if case.errors:
                        self.assertIn("completed, %d record(s) could not be loaded." % len(case.errors), said)


if __name__ == '__main__':
    unittest.main()
