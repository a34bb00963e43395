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
    later: (operation, path) of answers as the newest model has them, for a botocore that is older."""

    def __init__(self, *args, later=(), **kw):
        super().__init__(*args, **kw)
        self.later, self.exact = later, True  # exact: the texts about bounds are those of this botocore's model

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
        if not (shape and shape.members):
            later = op in {o for o, _ in self.later}
            faults += ['a body without need'] if raw.content != b'' and not later else []
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

    # -- wrong values -------------------------------------------------------------------------------------------

    def sweep(self, op, body, narrower=()):
        """Each member of the operation with values of wrong types and beyond each of its bounds, in an otherwise right body.
        narrower: path -> (least, most) where the service is stricter than its model."""
        for path, shape, put in self.places(self.model.operation_model(op).input_shape, '', lambda v: dict(body, **v)):
            limits = dict(shape.metadata, **dict(zip(('min', 'max'), narrower.get(path, ()))))
            for value in WRONG_TYPES[shape.type_name] + self.wrong_elements(shape):
                self.refuse_raw(op, path, put(value), 'SerializationException', text=path.split('.')[-1] + ': ')
            for value, text in beyond(shape, limits):
                if limits.get('sensitive') or shape.type_name == 'blob':
                    shown = ''
                else:
                    shown = " '%s'" % ('[%s]' % ', '.join(v[:256] for v in value) if isinstance(value, list) else str(value)[:512])
                text = "1 validation error detected: Value%s at '%s' failed to satisfy constraint: %s" % (shown, wire(path), text)
                self.refuse_raw(op, path, put(value), 'ValidationException', text=text if self.exact else '')
        for name in self.model.operation_model(op).input_shape.required_members if self.exact else ():
            self.refuse_raw(op, name, {k: v for k, v in body.items() if k != name}, 'ValidationException',
                            text="1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null" % wire(name))

    def places(self, shape, prefix, put):
        """(path, shape, how to put a value there) of each member, the nested ones too"""
        for name, m in shape.members.items():
            yield prefix + name, m, lambda v, name=name: put({name: v})
            inner, listed = (m.member, True) if m.type_name == 'list' else (m, False)
            if inner.type_name == 'structure':
                rest = {k: sample(inner.members[k]) for k in inner.required_members}

                def nest(v, name=name, rest=rest, listed=listed):
                    one = dict(rest, **v)
                    return put({name: [one] if listed else one})
                yield from self.places(inner, prefix + name + ('[]' if listed else '') + '.', nest)

    @staticmethod
    def wrong_elements(shape):
        if shape.type_name == 'list':
            return tuple([v] for v in WRONG_TYPES[shape.member.type_name])
        return ({'k': 1},) if shape.type_name == 'map' else ()


WRONG_TYPES = {'string': (1, ['x']), 'integer': ('1', 1.5), 'boolean': ('true', 1), 'timestamp': ('2030-01-01T00:00:00Z',), 'blob': (1, '*'),
               'list': ('x', {}), 'map': ('x', []), 'structure': ('x', [])}


def wire(path):
    """a member as the validator writes it: tags.1.member.tagKey"""
    return '.'.join(p[0].lower() + p[1:] for p in path.replace('[]', '.1.member').split('.'))


def sample(shape):
    """a right value"""
    if shape.type_name == 'string':
        return shape.enum[0] if getattr(shape, 'enum', None) else 'a' * shape.metadata.get('min', 1)
    return {'blob': 'eA==', 'map': {}, 'list': []}[shape.type_name]


def beyond(shape, limits):
    """(value, the constraint it breaks) for each bound, the enum and the pattern; of a list's elements too"""
    kind, least, most = shape.type_name, limits.get('min', 0), limits.get('max')
    out = []
    if kind in ('integer', 'long'):
        out = [(least - 1, AT_LEAST % ('value', least)), (most + 1, AT_MOST % ('value', most))]
    elif kind == 'blob':
        make = {n: base64.b64encode(b'x' * n).decode() for n in (0, most + 1)}
        out = [(make[0], AT_LEAST % ('length', least)), (make[most + 1], AT_MOST % ('length', most))]
    elif kind == 'string' and getattr(shape, 'enum', None):
        out = [('NO_SUCH', one_of(shape))]
    elif kind == 'string':
        out += [('a' * (least - 1), AT_LEAST % ('length', least))] if least else []
        out += [('a' * (most + 1), AT_MOST % ('length', most))] if most else []
        out += [('a' * (max(least, 1) - 1) + stranger(limits['pattern']), PATTERN % limits['pattern'])] if 'pattern' in limits else []
    elif kind == 'list':
        element = shape.member
        out += [([sample(element)] * (most + 1), AT_MOST % ('length', most))] if most else []
        if element.type_name == 'string':
            enum = getattr(element, 'enum', None)
            every = one_of(element) if enum else ', '.join(t % ('length', element.metadata[b]) for b, t in (('max', AT_MOST), ('min', AT_LEAST)))
            out += [([v], 'Member must satisfy constraint: [%s]' % every) for v, _ in beyond(element, element.metadata)]
    return out


AT_LEAST, AT_MOST = 'Member must have %s greater than or equal to %d', 'Member must have %s less than or equal to %d'
PATTERN = 'Member must satisfy regular expression pattern: %s'


def one_of(shape):
    return 'Member must satisfy enum value set: [%s]' % ', '.join(shape.enum)


def stranger(pattern):
    """a character that the pattern does not let through"""
    return next(c for c in ' \u0101' if not re.fullmatch(pattern.strip('^$'), c))


# What the front of every service sends, and KMS beyond its model.
COMMON_ERRORS = {'AccessDeniedException', 'ExpiredTokenException', 'IncompleteSignatureException', 'InvalidSignatureException',
                 'MissingAuthenticationTokenException', 'NotAuthorizedException', 'SerializationException', 'UnknownOperationException',
                 'UnrecognizedClientException', 'ValidationException'}
WORDLESS = {'InvalidCiphertextException', 'NotAuthorizedException', 'UnknownOperationException'}
