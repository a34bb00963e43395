"""Suites of the REST-XML protocol: headers, status and body of each raw answer against the model, errors in S3's form."""
import re
import xml.etree.ElementTree as ET

from botocore.exceptions import ClientError

from model import NUMBER, Suite, given

DATE = re.compile(r'(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT\Z')
STAMP = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z')
ETAG = re.compile(r'"[0-9a-f]{32}(-[1-9]\d{0,4})?"\Z')
EVERY = {'x-amz-request-id', 'x-amz-id-2'}
OF_HTTP = {'date', 'server', 'connection', 'content-length', 'content-type', 'transfer-encoding'}
# What an error tells beside Code, Message, RequestId and HostId; '?' marks what only some of its causes have.
EXTRAS = {
    'AccessDenied': ('EncodedAuthorizationMessage?',), 'BadDigest': ('ExpectedDigest?', 'CalculatedDigest?'),
    'BucketNotEmpty': ('BucketName',), 'EntityTooSmall': ('ProposedSize', 'MinSizeAllowed', 'PartNumber', 'ETag'),
    'InvalidArgument': ('ArgumentName?', 'ArgumentValue?'), 'InvalidBucketName': ('BucketName',), 'InvalidDigest': ('Content-MD5',),
    'InvalidLocationConstraint': ('LocationConstraint',), 'InvalidPart': ('UploadId', 'PartNumber', 'ETag'), 'InvalidPartNumber': ('ActualPartCount', 'PartNumberRequested'),
    'InvalidPartOrder': ('UploadId',), 'InvalidRange': ('RangeRequested', 'ActualObjectSize'), 'InvalidStorageClass': ('StorageClassRequested',),
    'InvalidTag': ('TagKey?', 'TagValue?'), 'KeyTooLongError': ('Size', 'MaxSizeAllowed'), 'MetadataTooLarge': ('Size', 'MaxSizeAllowed'),
    'MethodNotAllowed': ('Method', 'ResourceType'), 'NoSuchBucket': ('BucketName',), 'NoSuchBucketPolicy': ('BucketName',),
    'NoSuchCORSConfiguration': ('BucketName',), 'NoSuchKey': ('Key',), 'NoSuchLifecycleConfiguration': ('BucketName',),
    'NoSuchPublicAccessBlockConfiguration': ('BucketName',), 'NoSuchTagSet': ('BucketName',), 'NoSuchUpload': ('UploadId',),
    'NoSuchVersion': ('Key', 'VersionId'), 'NoSuchWebsiteConfiguration': ('BucketName',), 'NotImplemented': ('Header?', 'ArgumentName?'),
    'ObjectLockConfigurationNotFoundError': ('BucketName',), 'PreconditionFailed': ('Condition',), 'ReplicationConfigurationNotFoundError': ('BucketName',),
    'RequestHeaderSectionTooLarge': ('MaxSizeAllowed',),
}


def space_of(shape):
    return shape.serialization.get('xmlNamespace', {}).get('uri')


class RestXml(Suite):
    """`roots`: the root element of each answer that has one (a model names none); `newer`: headers and elements that the
    older models don't know; `statuses`: where AWS's differs from the model's."""

    absent_code = 'NotImplemented'
    bare_etags = ()  # operations that answer with ETags without quotes

    def __init__(self, service, env, namespace, roots, unsupported=(), always=(), newer=(), statuses=()):
        super().__init__(service, env, unsupported, always)
        self.namespace, self.roots, self.newer, self.statuses = namespace, roots, set(newer), dict(statuses)

    def told(self, op, params, code, status):
        """what the operation asks for can't be there: AWS's word for that is the accepted answer"""
        try:
            self.call(op, params, None)
        except ClientError as e:
            self.validate_error(op, self.client.raw)
            got = (e.response['Error']['Code'], e.response['ResponseMetadata']['HTTPStatusCode'])
            if got != (code, status):
                raise AssertionError('%s: %r instead of %s %d' % (op, e.response, code, status))
        else:
            raise AssertionError('%s: accepted %r' % (op, params))
        self.calls['accepted'] += 1
        self.accepted.setdefault(op, set()).update(given(self.model.operation_model(op).input_shape, params))

    # -- answers ----------------------------------------------------------------------------------------------------

    def validate(self, op, raw):
        m, faults, self.op = self.model.operation_model(op), [], op
        shape = m.output_shape
        wanted = self.statuses.get(op, (m.http.get('responseCode', 200),))
        if raw.status_code not in wanted:
            faults.append('status %d' % raw.status_code)
        inside = {n: s for n, s in (shape.members if shape else {}).items() if not s.serialization.get('location')}
        self.headers(shape, raw, faults, self.always.get(op, ()))
        payload = shape.serialization.get('payload') if shape else None
        if payload:
            inside = {} if shape.members[payload].type_name == 'structure' else {payload: shape.members[payload]}
        if payload and shape.members[payload].type_name in ('blob', 'string'):
            pass  # the caller reads it
        elif inside or payload:
            self.document(op, shape.members[payload] if payload else None, inside, raw, faults)
        elif raw.content and op not in self.roots:
            faults.append('a body where none belongs')
        if faults:
            raise AssertionError('%s: %s\n%d %s\n%s' % (op, '; '.join(faults), raw.status_code, dict(raw.headers), raw.text if not payload else ''))

    def headers(self, shape, raw, faults, always):
        by_name, maps = {}, []
        for name, m in (shape.members if shape else {}).items():
            if m.serialization.get('location') == 'header':
                by_name[m.serialization['name'].lower()] = (name, m)
            elif m.serialization.get('location') == 'headers':
                maps.append(m.serialization['name'].lower())
        have = {k.lower(): v for k, v in raw.headers.items()}
        for name, value in have.items():
            if name in by_name:
                self.scalar(by_name[name][1], value, name, faults, DATE)
            elif name not in EVERY | OF_HTTP | self.newer and not any(name.startswith(p) for p in maps):
                faults.append('header %s is unknown' % name)
        wanted = EVERY | {n for n, (member, m) in by_name.items() if member in always}
        faults += ['header %s is missing' % n for n in sorted(wanted - set(have))]

    def document(self, op, payload, inside, raw, faults):
        root = ET.fromstring(raw.content)
        space = '{%s}' % self.namespace
        faults += ['outside of the namespace: %s' % e.tag for e in root.iter() if not e.tag.startswith(space)]
        for e in root.iter():
            e.tag = e.tag.split('}')[-1]
        if root.tag != self.roots.get(op):
            faults.append('the root is %s' % root.tag)
        if (raw.headers.get('content-type') or '') != 'application/xml':
            faults.append('content-type %s' % raw.headers.get('content-type'))
        always = [n for n in self.always.get(op, ()) if payload is not None and n in payload.members or n in inside]
        self.elements(payload.members if payload is not None else inside, payload.required_members if payload is not None else (), root, '', faults, always)

    def elements(self, shapes, required, element, path, faults, always=()):
        names, seen = {}, {}
        for n, m in shapes.items():
            flat = m.type_name == 'list' and m.serialization.get('flattened')
            own = m.serialization.get('name', n)
            names[m.member.serialization.get('name', own) if flat else own] = (n, m, flat)
        for e in element:
            if e.tag not in names:
                if e.tag not in self.newer:
                    faults.append('%s%s is unknown' % (path, e.tag))
                continue
            n, m, flat = names[e.tag]
            if n in seen and not flat:
                faults.append('%s%s is there twice' % (path, e.tag))
            seen[n] = True
            self.value(m.member if flat else m, e, path + e.tag, faults)
        missing = (set(required) | set(always)) - set(seen)
        faults += ['%s%s is missing' % (path, n) for n in sorted(missing) if not shapes[n].serialization.get('xmlAttribute')]

    def value(self, shape, e, path, faults):
        if shape.type_name == 'structure':
            return self.elements(shape.members, shape.required_members, e, path + '.', faults)
        if shape.type_name == 'list':
            for item in e:
                if item.tag != shape.member.serialization.get('name', 'member'):
                    faults.append('%s holds %s' % (path, item.tag))
                self.value(shape.member, item, path + '[]', faults)
            return None
        if len(e):
            faults.append('%s has children' % path)
        return self.scalar(shape, e.text or '', path, faults, STAMP)

    def scalar(self, shape, text, path, faults, stamp):
        kind = shape.type_name
        fine = {'integer': NUMBER.match, 'long': NUMBER.match, 'timestamp': stamp.match, 'boolean': lambda t: t in ('true', 'false')}
        if not fine.get(kind, lambda t: True)(text):
            faults.append('%s is no %s: %s' % (path, kind, text))
        if getattr(shape, 'enum', None) and text not in shape.enum and text not in self.newer:
            faults.append('%s is none of its values: %s' % (path, text))
        if path.lower().split('.')[-1] == 'etag' and not ETAG.match('"%s"' % text if self.op in self.bare_etags else text):
            faults.append('%s is no ETag: %s' % (path, text))

    # -- errors -----------------------------------------------------------------------------------------------------

    def validate_error(self, op, raw):
        have = {k.lower(): v for k, v in raw.headers.items()}
        faults = ['header %s is missing' % n for n in EVERY - set(have)]
        if raw.status_code == 304 or self.model.operation_model(op).http['method'] == 'HEAD':
            faults += ['a body where none belongs'] if raw.content else []
        else:
            root = ET.fromstring(raw.content)
            texts = {e.tag: e.text or '' for e in root}
            extras = EXTRAS.get(texts.get('Code'), ())
            wanted = {'Code', 'Message', 'RequestId', 'HostId'} | {x for x in extras if x[-1] != '?'}
            known = wanted | {x.rstrip('?') for x in extras} | {'Resource'}
            faults += ['%s is missing' % n for n in sorted(wanted - set(texts))] + ['%s is unknown' % n for n in sorted(set(texts) - known)]
            if root.tag != 'Error' or len(texts) != len(root) or any(len(e) for e in root):
                faults.append('no error of S3')
            if (texts.get('RequestId'), texts.get('HostId')) != (have.get('x-amz-request-id'), have.get('x-amz-id-2')):
                faults.append('ids of header and body differ')
            if have.get('content-type') != 'application/xml':
                faults.append('content-type %s' % have.get('content-type'))
        if faults:
            raise AssertionError('%s: %s\n%d %s\n%s' % (op, '; '.join(faults), raw.status_code, have, raw.text))
