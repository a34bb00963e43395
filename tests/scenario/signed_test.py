"""Random requests signed by botocore, sent byte for byte over TLS: each is accepted, and refused once one byte of what was signed is another.

400 requests, or 10,000 in the long form. The seed is printed; SEALIFT_SEED repeats it. What was refused has changed nothing: in the end every
object is as the accepted requests left it.
"""
import hashlib
import http.client
import json
import os
import random
import re
import ssl
import unittest
from urllib.parse import quote, unquote_to_bytes, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path

from harness import SOAK, SealiftTest

ROUNDS = 10000 if SOAK else 400
JSON_TYPE = 'application/x-amz-json-1.1'
FORM_TYPE = 'application/x-www-form-urlencoded; charset=utf-8'
MISMATCH = {'s3': 'SignatureDoesNotMatch', 'iam': 'SignatureDoesNotMatch', 'sts': 'SignatureDoesNotMatch', 'kms': 'InvalidSignatureException'}
UNKNOWN = {'s3': 'InvalidAccessKeyId', 'iam': 'InvalidClientTokenId', 'sts': 'InvalidClientTokenId', 'kms': 'UnrecognizedClientException'}
# A changed claim (scope, date, list of headers) may be refused before the signature is computed, each by the rule that it breaks.
CLAIM = {
    's3': {'SignatureDoesNotMatch', 'InvalidAccessKeyId', 'AuthorizationHeaderMalformed', 'AuthorizationQueryParametersError', 'AccessDenied', 'InvalidRequest',
           'RequestTimeTooSkewed', 'InvalidArgument', 'IncompleteSignature'},
    'kms': {'InvalidSignatureException', 'UnrecognizedClientException', 'IncompleteSignatureException', 'MissingAuthenticationTokenException',
            'AccessDeniedException'},
}
CLAIM['iam'] = CLAIM['sts'] = {'SignatureDoesNotMatch', 'InvalidClientTokenId', 'IncompleteSignature', 'MissingAuthenticationToken', 'AccessDenied'}
METHODS = {'s3': ('GET', 'PUT', 'DELETE'), None: ('GET', 'POST')}  # others are refused before anything is read
LETTERS = ['a', 'Z', '0', '-', '_', '.', '~', ' ', '!', '*', "'", '(', ')', '+', '=', '&', '$', '@', ',', ':', ';', '%', '#', '?', '"', '<', '{', '\\', '^',
           'é', 'ß', 'ж', '語', '😀']


class Request:
    """what goes over the wire; made by botocore's signer, then perhaps changed"""

    def __init__(self, service, method, path, query, headers, body, want, unsigned=False, presigned=False):
        self.service, self.method, self.path, self.query = service, method, path, query
        self.headers, self.body, self.want, self.unsigned, self.presigned = headers, body, want, unsigned, presigned

    def copy(self, **kw):
        return Request(**dict(vars(self), **kw))

    def raw(self):
        target = self.path + ('?' + self.query if self.query else '')
        lines = ['%s %s HTTP/1.1' % (self.method, target)] + ['%s:%s' % h for h in self.headers]
        if self.body or self.method in ('POST', 'PUT'):
            lines.append('Content-Length: %d' % len(self.body))
        return ('\r\n'.join(lines) + '\r\n\r\n').encode() + self.body

    def meaning(self):
        """what is signed of path and query: the same for two requests whose signature must be the same"""
        path = unquote_to_bytes(self.path if self.service == 's3' else normalize_url_path(self.path))
        return path, sorted(tuple(unquote_to_bytes(x) for x in p.partition('=')[::2]) for p in self.query.split('&') if p)


def another(rng, c):
    """another byte of the same kind, so that the request stays one that can be read"""
    for kind in ('0123456789', 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'):
        if c in kind:
            return rng.choice(kind.replace(c, ''))
    return rng.choice('xyz')


def change(rng, text, begin=0, end=None):
    """text with one byte between begin and end changed; an escape stays one of a plain letter"""
    end = len(text) if end is None else end
    i = rng.randrange(begin, end)
    escape = max(text.rfind('%', max(0, i - 2), i + 1), -1)
    if escape >= 0:
        return text[:escape] + rng.choice('QRSTUV') + text[escape + 3:]
    return text[:i] + another(rng, text[i]) + text[i + 1:]


def is_utf8(raw):
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


class Signed(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        cls.seed = int(os.environ.get('SEALIFT_SEED') or random.randrange(1 << 32))
        print('SEALIFT_SEED=%d' % cls.seed, flush=True)
        cls.rng = random.Random(cls.seed)
        cls.url = urlsplit(s.env['AWS_ENDPOINT_URL'])
        cls.tls = ssl.create_default_context(cafile=s.env['AWS_CA_BUNDLE'])
        cls.conn = None
        cls.creds = Credentials(s.env['AWS_ACCESS_KEY_ID'], s.env['AWS_SECRET_ACCESS_KEY'])
        cls.objects = {}
        cls.key = s.awsj('kms create-key')['KeyMetadata']['KeyId']
        r = s.aws('s3 mb s3://signed')
        assert r.code == 0, r

    @classmethod
    def tearDownClass(cls):
        if cls.conn:
            cls.conn.close()
        super().tearDownClass()

    # -- the wire -------------------------------------------------------------------------------------------------

    def send(self, r):
        """status, body"""
        for again in (True, False):
            cls = type(self)
            if cls.conn is None:
                cls.conn = http.client.HTTPSConnection(self.url.hostname, self.url.port, context=self.tls, timeout=60)
                cls.conn.connect()
            answer = http.client.HTTPResponse(cls.conn.sock, method=r.method)
            try:
                cls.conn.sock.sendall(r.raw())
                answer.begin()
                body = answer.read()
                if answer.will_close:
                    cls.conn.close()
                    cls.conn = None
                return answer.status, body
            except (ConnectionError, http.client.BadStatusLine, ssl.SSLError):
                cls.conn.close()  # an answer before the end of a body closes the connection
                cls.conn = None
                if not again:
                    raise
            finally:
                answer.close()

    @staticmethod
    def code(body):
        if body[:1] == b'{':
            return json.loads(body).get('__type', '').split('#')[-1]
        found = re.search(rb'<Code>([^<]*)</Code>', body)
        return found.group(1).decode() if found else ''

    # -- requests -------------------------------------------------------------------------------------------------

    def word(self, longest=12):
        return ''.join(self.rng.choice(LETTERS) for _ in range(self.rng.randint(1, longest)))

    def odd_query(self):
        """empty values, missing '=', repeated and unsorted keys, UTF-8"""
        out = []
        for _ in range(self.rng.choice([0, 0, 1, 3, 6])):
            name = 'q' + quote(self.word(5), safe='-_.~')
            for _ in range(self.rng.choice([1, 1, 2])):
                value = self.rng.choice(['', '=', '=' + quote(self.word(), safe='-_.~')])
                out.append(name + value)
        self.rng.shuffle(out)
        return out

    def odd_headers(self):
        names = self.rng.sample(['X-Test', 'x-test-two', 'X-TEST-Three', 'My-Header'], self.rng.choice([0, 0, 1, 2]))
        blank = lambda: ' ' * self.rng.randint(1, 4)  # noqa: E731
        return [(n, self.rng.choice([blank(), '']) + blank().join(self.rng.choice(['plain', 'ünï', 'a,b', '"q"', '1']) for _ in range(self.rng.randint(1, 4)))
                 + self.rng.choice(['', blank()])) for n in names]

    def sign(self, signer, service, method, path, query, headers, body, want, unsigned=False):
        """the request as botocore signs it, with the host that we will send"""
        host = '%s:%d' % (self.url.hostname, self.url.port)
        url = 'https://%s%s%s' % (host, path, '?' + '&'.join(query) if query else '')
        presigned = issubclass(signer, SigV4QueryAuth)
        r = AWSRequest(method, url, headers=dict(headers), data=body)
        if service == 's3':
            r.context['payload_signing_enabled'] = not unsigned
        signer(self.creds, service, 'us-east-1').add_auth(r)
        at = urlsplit(r.url)
        sent = [('Host', ' ' + host)] + [(k, v if (k, v) in headers else ' ' + v) for k, v in r.headers.items()]
        return Request(service, method, path, at.query, sent, body, want, unsigned or (presigned and service == 's3'), presigned)

    def s3_request(self):
        rng = self.rng
        if not self.objects or rng.random() < 0.3:
            key = 'k' + '/'.join(self.word() for _ in range(rng.randint(1, 4))) + rng.choice(['', '/', '//x', '/../y', '/./z'])
            body = rng.randbytes(rng.choice([0, 1, 50, 3000]))
            self.objects[key] = hashlib.sha256(body).digest()
            return self.sign(S3SigV4Auth, 's3', 'PUT', '/signed/' + quote(key, safe='/-_.~'), [], self.odd_headers(), body, b'', rng.random() < 0.3)
        key = rng.choice(sorted(self.objects))
        path = '/signed/' + quote(key, safe='/-_.~')
        signer = S3SigV4QueryAuth if rng.random() < 0.4 else S3SigV4Auth
        headers = [] if signer is S3SigV4QueryAuth else self.odd_headers()
        return self.sign(signer, 's3', 'GET', path, self.odd_query(), headers, b'', self.objects[key], rng.random() < 0.3)

    def kms_request(self):
        target, body = self.rng.choice([('ListKeys', {}), ('DescribeKey', {'KeyId': self.key}), ('GenerateRandom', {'NumberOfBytes': 9})])
        headers = [('Content-Type', JSON_TYPE), ('X-Amz-Target', 'TrentService.' + target)] + self.odd_headers()
        return self.sign(SigV4Auth, 'kms', 'POST', '/', [], headers, json.dumps(body).encode(), b'"')

    def form_request(self, service):
        action = {'iam': ['GetUser', 'ListUsers', 'ListRoles'], 'sts': ['GetCallerIdentity']}[service]
        fields = ['Action=' + self.rng.choice(action), 'Version=' + {'iam': '2010-05-08', 'sts': '2011-06-15'}[service]]
        self.rng.shuffle(fields)
        how = self.rng.choice(['post', 'get', 'presigned'])
        if how == 'post':
            headers = [('Content-Type', FORM_TYPE)] + self.odd_headers()
            return self.sign(SigV4Auth, service, 'POST', '/', [], headers, '&'.join(fields).encode(), b'Response')
        if how == 'get':
            return self.sign(SigV4Auth, service, 'GET', '/', fields + self.odd_query(), self.odd_headers(), b'', b'Response')
        return self.sign(SigV4QueryAuth, service, 'GET', '/', fields + self.odd_query(), [], b'', b'Response')

    def request(self):
        service = self.rng.choice(['s3', 's3', 's3', 'kms', 'iam', 'sts'])
        return {'s3': self.s3_request, 'kms': self.kms_request}.get(service, lambda: self.form_request(service))()

    # -- one byte changed -----------------------------------------------------------------------------------------

    def change_header(self, r):
        """one signed header's value, or a part of Authorization; the codes that may answer"""
        rng, s = self.rng, r.service
        i = rng.choice([i for i, (n, v) in enumerate(r.headers) if v.strip() and n.lower() not in ('user-agent', 'content-length')])
        name, value = r.headers[i]
        codes = {MISMATCH[s]}
        if name == 'Authorization':
            part = rng.choice(['Credential', 'SignedHeaders', 'Signature'])
            m = re.search(part + r'=([^,]*)', value)
            begin, end = m.span(1)
            if part == 'Credential' and rng.random() < 0.5:
                end = value.index('/', begin)
                codes = {UNKNOWN[s]}
            elif part != 'Signature':
                codes = CLAIM[s]
            new = change(rng, value, begin, end)
            if codes == {UNKNOWN[s]} and new[begin:begin + 4] == 'ASIA':
                codes = CLAIM[s]
        else:
            places = [k for k, c in enumerate(value) if c != ' ' and c != '\t']
            k = rng.choice(places)
            new = value[:k] + another(rng, value[k]) + value[k + 1:]
            if name == 'X-Amz-Date':
                codes = CLAIM[s]
            elif name == 'X-Amz-Content-SHA256' and r.unsigned:
                codes = {'InvalidArgument', MISMATCH[s]}
        headers = list(r.headers)
        headers[i] = (name, new)
        return r.copy(headers=headers), codes

    def change_query(self, r):
        """of a presigned one the names that make it presigned too"""
        new = r.copy(query=change(self.rng, r.query))
        begin = r.query.find('X-Amz-Algorithm') if r.presigned else -1
        at = next(i for i, (a, b) in enumerate(zip(r.query, new.query)) if a != b)
        return new, CLAIM[r.service] if 0 <= begin <= at + 1 else {MISMATCH[r.service]}

    def changed(self, r):
        """what was changed, the request with one byte changed, the codes that may answer"""
        rng, s = self.rng, r.service
        parts = ['method', 'header', 'header', 'header']
        if s == 's3' and len(r.path) > len('/signed/k'):
            parts += ['path', 'path']
        parts += ['query', 'query'] if r.query else []
        parts += ['body', 'body'] if r.body and not r.unsigned else []
        while True:
            part = rng.choice(parts)
            codes = {MISMATCH[s]}
            if part == 'method':
                return part, r.copy(method=rng.choice([m for m in METHODS.get(s, METHODS[None]) if m != r.method])), codes
            if part == 'body':
                i = rng.randrange(len(r.body))
                other = rng.choice([b for b in range(256) if b not in (r.body[i], ord('%'))])  # a form with a broken escape is none
                body = r.body[:i] + bytes([other]) + r.body[i + 1:]
                return part, r.copy(body=body), {'XAmzContentSHA256Mismatch'} if s == 's3' else codes
            if part == 'header':
                return (part, *self.change_header(r))
            if part == 'path':
                new = r.copy(path=change(rng, r.path, len('/signed/')))
                if not is_utf8(new.meaning()[0]):
                    codes = {'InvalidURI'}  # no key's name
            else:
                new, codes = self.change_query(r)
                if s == 's3' and not is_utf8(unquote_to_bytes(new.query)):
                    codes = {'InvalidURI'}
            if new.meaning() != r.meaning():
                return part, new, codes

    # -- the test -------------------------------------------------------------------------------------------------

    def accept(self, r):
        status, body = self.send(r)
        self.assertEqual(status, 200, (self.seed, r.raw(), body))
        if r.service == 's3' and r.method == 'GET':
            self.assertEqual(hashlib.sha256(body).digest(), r.want, (self.seed, r.raw()))
        else:
            self.assertIn(r.want, body)

    def test_requests(self):
        seen = {}
        for _ in range(ROUNDS):
            r = self.request()
            self.accept(r)
            part, bad, codes = self.changed(r)
            status, body = self.send(bad)
            self.assertIn(self.code(body), codes, (self.seed, part, status, r.raw(), bad.raw(), body))
            self.assertIn(status, (400, 403), (self.seed, part, bad.raw(), body))
            seen[r.service, part] = seen.get((r.service, part), 0) + 1
        for key in sorted(self.objects):
            self.accept(self.sign(S3SigV4Auth, 's3', 'GET', '/signed/' + quote(key, safe='/-_.~'), [], [], b'', self.objects[key]))
        listed = self.s.awsj('s3api list-objects-v2 --bucket signed')['Contents']
        self.assertEqual({o['Key'] for o in listed}, set(self.objects))
        wanted = {(s, p) for s in MISMATCH for p in ('method', 'header')} | {('s3', 'path'), ('s3', 'query'), ('s3', 'body'), ('kms', 'body'), ('iam', 'query')}
        self.assertLessEqual(wanted, set(seen))


if __name__ == '__main__':
    unittest.main()
