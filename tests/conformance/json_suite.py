"""Suites of services that speak JSON: raw bodies held against the model, and requests that botocore would not make."""
import base64
import binascii
import json
import re

from model import Suite

TYPES = {'string': str, 'integer': int, 'long': int, 'boolean': bool, 'timestamp': (int, float), 'blob': str, 'list': list, 'map': dict,
         'structure': dict}


class JsonSuite(Suite):
    """always: operation -> paths of its answer that AWS always sends; "Grants[].GrantId" is one of each element.
    later: (operation, path) of answers that newer models have than this botocore's."""

    def __init__(self, *args, later=(), **kw):
        super().__init__(*args, **kw)
        self.later = later

    absent_code = 'UnknownOperationException'

    def refuse_raw(self, op, member, body, code, status=400, client=None, text=''):
        """refused for a body (a value, or the bytes themselves) as botocore would not write it"""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.refuse(op, member, {}, code, status, client, text, lambda request: request.update(body=sent))

    def rename(self, request, op):
        target = request['headers']['X-Amz-Target']
        request['headers']['X-Amz-Target'] = target.rsplit('.', 1)[0] + '.' + op

    # -- answers ------------------------------------------------------------------------------------------------

    def validate(self, op, raw):
        shape, faults, self.op = self.model.operation_model(op).output_shape, self.envelope(raw, 200), op
        if not shape or not shape.members:
            faults += ['a body without need'] if raw.content not in (b'', b'{}' if shape else b'') else []
        elif not faults:
            self.value(shape, self.parse(raw, faults), '', faults, self.always.get(op, ()))
        if faults:
            raise AssertionError('%s: %s\n%s' % (op, '; '.join(faults), raw.text))

    def validate_error(self, op, raw):
        faults = self.envelope(raw, raw.status_code)
        body = self.parse(raw, faults)
        kind = body.get('__type')
        wanted = {'__type'} if kind in WORDLESS else {'__type', 'message'}
        if set(body) != wanted or not all(isinstance(v, str) and v for v in body.values()):
            faults.append('members %s' % sorted(body))
        if kind not in {e.name for e in self.model.error_shapes} | COMMON_ERRORS:
            faults.append('%s is no error of this service' % kind)
        if faults:
            raise AssertionError('%s: %s\n%s' % (op, '; '.join(faults), raw.text))

    @staticmethod
    def envelope(raw, status):
        faults = ['status %d' % raw.status_code] if raw.status_code != status else []
        if raw.headers.get('content-type') != 'application/x-amz-json-1.1':
            faults.append('content-type %s' % raw.headers.get('content-type'))
        if not re.fullmatch(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', raw.headers.get('x-amzn-requestid', '')):
            faults.append('x-amzn-requestid %s' % raw.headers.get('x-amzn-requestid'))
        return faults

    @staticmethod
    def parse(raw, faults):
        def once(pairs):
            names = [n for n, _ in pairs]
            faults.extend('%s is there twice' % n for n in names if names.count(n) > 1)
            return dict(pairs)
        return json.loads(raw.content, object_pairs_hook=once)

    def value(self, shape, v, path, faults, always=()):
        kind, limits = shape.type_name, shape.metadata
        if not isinstance(v, TYPES[kind]) or (isinstance(v, bool) and kind != 'boolean'):
            faults.append('%s is no %s' % (path, kind))
            return
        size = v if kind in ('integer', 'long') else len(v) if isinstance(v, (str, list)) else None
        if kind == 'blob':
            try:
                size = len(base64.b64decode(v, validate=True))
            except binascii.Error:
                faults.append('%s is no base64' % path)
        if size is not None and not limits.get('min', size) <= size <= limits.get('max', size):
            faults.append('%s has a wrong length or value' % path)
        if kind == 'string' and getattr(shape, 'enum', None) and v not in shape.enum:
            faults.append('%s is none of its values' % path)
        if kind == 'string' and 'pattern' in limits and not re.search(limits['pattern'], v):
            faults.append('%s does not fit its pattern' % path)
        if kind == 'structure':
            self.fields(shape, v, path + '.' if path else '', faults, always)
        for item in v if kind == 'list' else ():
            self.value(shape.member, item, path + '[]', faults, always)
        for name in v if kind == 'map' else ():
            self.value(shape.key, name, path + '{}', faults)
            self.value(shape.value, v[name], path + '{}', faults)

    def fields(self, shape, v, path, faults, always):
        wanted = set(shape.required_members) | {m for m in shape.members if path + m in always}
        faults += ['%s%s is unknown' % (path, n) for n in v if n not in shape.members and (self.op, path + n) not in self.later]
        faults += ['%s%s is missing' % (path, n) for n in sorted(wanted - set(v))]
        for name in v:
            if name in shape.members:
                self.value(shape.members[name], v[name], path + name, faults, always)


# What the front of every service sends, and KMS beyond its model.
COMMON_ERRORS = {'AccessDeniedException', 'ExpiredTokenException', 'IncompleteSignatureException', 'InvalidSignatureException',
                 'MissingAuthenticationTokenException', 'NotAuthorizedException', 'SerializationException', 'UnknownOperationException',
                 'UnrecognizedClientException', 'ValidationException'}
WORDLESS = {'InvalidCiphertextException', 'UnknownOperationException'}
