#!/usr/bin/env python3
"""Writes the signed requests that tests/unit/sigv4 verifies: botocore signs, this file only chooses what.

    python3 generate.py     writes header.json, query.json and other.json beside itself
"""
import datetime
import itertools
import json
import os
from urllib.parse import quote, urlsplit

import botocore.auth as auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 11, 24, 3, 37, 16, tzinfo=datetime.timezone.utc)
auth.get_current_datetime = lambda *a, **k: NOW
HOST = '127.0.0.1:4566'
BASE = 'https://' + HOST
KEYS = [
    Credentials('AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'),
    Credentials('ASIAEXAMPLE', 'sec/ret+with=odd~chars', 'FwoGZXIvYXdzEBYaDE+token/with+odd==chars'),
]
OBJECT_KEYS = [
    'plain.txt', 'a/b/c.gz', 'a//b', 'a/./b', 'a/../b', '../up', '.', '..', 'a/', '//', 'sp ace', ' lead', 'trail ',
    'plus+plus', 'pct%25', '%', '%zz', 'q?m', 'hash#h', 'amp&eq=1', 'tilde~', "paren(s)!*'", 'at@colon:semi;comma,',
    'dollar$', 'br[ac]ket{s}', 'back\\slash', 'pipe|', 'caret^', 'tick`', 'quote"', 'lt<gt>', 'tab\tnew\nline',
    'd\x7fel', 'ctl\x01', 'ümläut', 'naïve/ñandú', '日本語/ファイル', '😀', 'e\u0301', 'x' * 900, '-_.~', '=', '&', 'a=b&c=d',
]
QUERIES = [
    '', 'uploads', 'uploads=', 'list-type=2', 'list-type=2&prefix=&delimiter=%2F',
    'prefix=a%2Fb&list-type=2&max-keys=10', 'z=1&a=2&m=3', 'a=2&a=1&a=10', 'a=1&a-b=2&a.b=3&a_b=4&aB=5&AB=6',
    'prefix=sp%20ace', 'prefix=plus%2Bplus', 'prefix=%E6%97%A5%E6%9C%AC', 'k=%3D%26%3F%23', 'partNumber=1&uploadId=x-_.~y',
    'versionId=null', 'acl&tagging', 'b=&a', 'response-content-disposition=attachment%3B%20filename%3D%22a%20b.txt%22',
    'x-id=PutObject', 'k=%25', '%C3%A4=%C3%B6', 'empty=&empty=', 'a=%7B%22k%22%3A1%7D',
]
HEADERS = [
    [],
    [('Content-Type', 'application/octet-stream'), ('Content-MD5', '1B2M2Y8AsgTpgAmY7PhCfg==')],
    [('x-amz-server-side-encryption', 'aws:kms'), ('x-amz-server-side-encryption-aws-kms-key-id', 'alias/Redshift-SSE')],
    [('x-amz-meta-spaces', '   many    inner   spaces  '), ('X-Amz-Meta-Case', 'MiXeD')],
    [('x-amz-meta-tab', 'a\t\tb'), ('x-amz-meta-empty', '')],
    [('x-amz-meta-twice', 'one'), ('x-amz-meta-twice', 'two,three'), ('x-amz-meta-twice', ' four ')],
    [('x-amz-meta-utf8', 'grüße'), ('Range', 'bytes=0-9')],
    [('x-amz-checksum-crc32', 'AAAAAA=='), ('x-amz-sdk-checksum-algorithm', 'CRC32'), ('amz-sdk-request', 'attempt=1')],
    [('If-None-Match', '*'), ('Cache-Control', 'no-cache'), ('User-Agent', 'not signed'), ('X-Amzn-Trace-Id', 'not signed')],
]


def request(method, url, headers=(), body=b''):
    r = AWSRequest(method=method, url=url, data=body)
    for name, value in headers:
        r.headers[name] = value          # appends: the mapping is a mail message
    return r


def entry(kind, service, region, keys, r, payload=None):
    url = urlsplit(r.url)
    path = r.url[len(BASE):].split('?', 1)[0]
    return {
        'kind': kind, 'service': service, 'region': region, 'access_key': keys.access_key, 'secret': keys.secret_key,
        'token': keys.token or '', 'method': r.method, 'path': path, 'query': url.query,
        'headers': [['Host', HOST]] + [[n, v] for n, v in r.headers.items()],
        'payload': payload if payload is not None else r.headers.get('X-Amz-Content-SHA256', ''),
    }


def s3_header(keys, method, key, query='', headers=(), body=b'', region='us-east-1', context=None):
    url = BASE + '/bucket/' + quote(key, safe='/~') + ('?' + query if query else '')
    r = request(method, url, headers, body)
    r.context.update(context or {})
    auth.S3SigV4Auth(keys, 's3', region).add_auth(r)
    return entry('header', 's3', region, keys, r)


def s3_query(keys, method, key, query='', headers=(), region='eu-central-1', expires=900):
    url = BASE + '/bucket/' + quote(key, safe='/~') + ('?' + query if query else '')
    r = request(method, url, headers)
    auth.S3SigV4QueryAuth(keys, 's3', region, expires=expires).add_auth(r)
    return entry('query', 's3', region, keys, r, '')


def other_header(keys, service, method, path, query='', headers=(), body=b'', region='us-west-2'):
    r = request(method, BASE + path + ('?' + query if query else ''), headers, body)
    signer = auth.SigV4Auth(keys, service, region)
    payload = signer.payload(r)
    signer.add_auth(r)
    return entry('header', service, region, keys, r, payload)


def other_query(keys, service, method, path, query='', headers=(), region='us-west-2', expires=60):
    r = request(method, BASE + path + ('?' + query if query else ''), headers)
    payload = auth.EMPTY_SHA256_HASH
    auth.SigV4QueryAuth(keys, service, region, expires=expires).add_auth(r)
    return entry('query', service, region, keys, r, payload)


def header_cases():
    keys = itertools.cycle(KEYS)
    for k in OBJECT_KEYS:
        yield s3_header(next(keys), 'GET', k)
        yield s3_header(next(keys), 'PUT', k, body=k.encode(), headers=HEADERS[1])
    for q in QUERIES:
        yield s3_header(next(keys), 'GET', 'key', q)
        yield s3_header(next(keys), 'POST', '', q, body=b'<Delete/>')
    for h in HEADERS:
        yield s3_header(next(keys), 'PUT', 'key', headers=h)
        yield s3_header(next(keys), 'HEAD', 'a b', 'versionId=1', headers=h, region='ap-southeast-2')
    streaming = {'has_streaming_input': True, 'checksum': {'request_algorithm': {'in': 'header', 'name': 'x-amz-checksum-crc32'}}}
    yield s3_header(KEYS[0], 'PUT', 'unsigned', headers=[('x-amz-checksum-crc32', 'AAAAAA==')], body=b'body', context=streaming)
    trailer = {'checksum': {'request_algorithm': {'in': 'trailer', 'name': 'x-amz-checksum-crc32', 'algorithm': 'crc32'}}}
    yield s3_header(KEYS[1], 'PUT', 'trailer', body=b'body', context=trailer,
                    headers=[('x-amz-trailer', 'x-amz-checksum-crc32'), ('x-amz-decoded-content-length', '4'),
                             ('Content-Encoding', 'aws-chunked'), ('Transfer-Encoding', 'chunked')])


def query_cases():
    keys = itertools.cycle(KEYS)
    for k in OBJECT_KEYS:
        yield s3_query(next(keys), 'GET', k)
    for q in QUERIES:
        yield s3_query(next(keys), 'GET', 'key', q, expires=604800)
    for h in HEADERS:
        yield s3_query(next(keys), 'PUT', 'key', headers=h, expires=1)
    for k in KEYS:
        yield other_query(k, 'sts', 'GET', '/', 'Action=GetCallerIdentity&Version=2011-06-15', [('x-k8s-aws-id', 'cluster')])
        yield other_query(k, 'kms', 'GET', '/', 'b=2&a=1%202')


def other_cases():
    keys = itertools.cycle(KEYS)
    target = [('X-Amz-Target', 'TrentService.Encrypt'), ('Content-Type', 'application/x-amz-json-1.1')]
    for body in (b'{}', b'', '{"KeyId":"ü"}'.encode(), bytes(range(256))):
        yield other_header(next(keys), 'kms', 'POST', '/', headers=target, body=body)
    form = [('Content-Type', 'application/x-www-form-urlencoded; charset=utf-8')]
    for service in ('iam', 'sts', 'redshift'):
        yield other_header(next(keys), service, 'POST', '/', headers=form, body=b'Action=List&Version=2010-05-08')
    yield other_header(next(keys), 'redshift-data', 'POST', '/', headers=[('X-Amz-Target', 'RedshiftData.ExecuteStatement')], body=b'{"Sql":"select 1"}')
    for path in ('/', '//', '/a//b', '/a/./b', '/a/../b', '/a/b/..', '/a/b/.', '/a/b/', '/a/b/../', '/../..', '/a%20b', '/a%2Fb',
                 '/%E6%97%A5', '/a+b', '/a~b', '/a%7Eb', "/p!*'()", '/a:b;c,d', '/%2e%2e/x', '/a=b&c', '/.../x', '/a/b/c/../../d//e/.'):
        yield other_header(next(keys), 'execute-api', 'GET', path)
    for q in QUERIES:
        yield other_header(next(keys), 'execute-api', 'GET', '/stage/x', q)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    for name, cases in (('header', header_cases()), ('query', query_cases()), ('other', other_cases())):
        with open(os.path.join(here, name + '.json'), 'w', encoding='utf-8') as f:
            lines = [json.dumps(c, ensure_ascii=False, separators=(',', ':')) for c in cases]
            f.write('[\n' + ',\n'.join(lines) + '\n]\n')


if __name__ == '__main__':
    main()
