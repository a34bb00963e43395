"""Calls made through botocore, counted against its models: which members of which operations were accepted and refused,
and whether each raw answer holds exactly what the model's output says. Answers here are those of the query protocol; other
protocols are suites derived from this one.

A member is written as a path: "Tags", "Tags[].Key", "PolicyArns[].arn"; maps have no members of their own.
"""
import json
import re
import xml.etree.ElementTree as ET

import boto3
import botocore.session
from botocore.client import Config
from botocore.exceptions import ClientError

NUMBER = re.compile(r'-?\d+\Z')
ERROR = ['ErrorResponse', 'Error', 'Type', 'Code', 'Message', 'RequestId']
TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z')


def members(shape, prefix='', seen=()):
    """every member of a structure, the nested ones too; a shape within itself is entered once"""
    out = []
    for name, m in shape.members.items():
        path = prefix + name
        out.append(path)
        while m.type_name == 'list':
            path, m = path + '[]', m.member
        if m.type_name == 'structure' and m.name not in seen:
            out += members(m, path + '.', seen + (m.name,))
    return out


def given(shape, value, prefix=''):
    """the members that parameters name"""
    out = set()
    for name, v in value.items():
        m, path, items = shape.members[name], prefix + name, [v]
        out.add(path)
        while m.type_name == 'list':
            path, m, items = path + '[]', m.member, [e for i in items for e in i]
        for i in items if m.type_name == 'structure' else ():
            out |= given(m, i, path + '.')
    return out


def held(shape, element, prefix=''):
    """the members that an answer in XML holds"""
    out = set()
    for name, m in shape.members.items():
        path, items = prefix + name, element.findall(m.serialization.get('name', name))
        out |= {path} if items else set()
        while m.type_name == 'list':
            path, m, items = path + '[]', m.member, [e for i in items for e in i]
        for i in items if m.type_name == 'structure' else ():
            out |= held(m, i, path + '.')
    return out


def document(*statements):
    return json.dumps({'Version': '2012-10-17', 'Statement': list(statements)})


class Suite:
    """One service of one instance. `check` names what is missing at the end; faults found on the way raise at once."""

    def __init__(self, service, env, unsupported=(), always=(), never=None):
        self.service, self.env = service, env
        self.model = botocore.session.get_session().get_service_model(service)
        self.unsupported = dict(unsupported)  # (operation, member) -> why
        self.always = dict(always)            # operation -> members of the answer that AWS always sends
        self.never = never                    # members of answers that are left out -> why; None: not counted
        self.accepted, self.refused, self.answered = {}, {}, {}  # operation -> members
        self.calls = {'accepted': 0, 'refused': 0}
        self.absent = []                      # operations that the server does not have: check finds them
        self.client = self.client_of(env)

    def client_of(self, env):
        c = boto3.client(self.service, endpoint_url=self.env['AWS_ENDPOINT_URL'], region_name='us-east-1', verify=self.env['AWS_CA_BUNDLE'],
                         aws_access_key_id=env['AWS_ACCESS_KEY_ID'], aws_secret_access_key=env['AWS_SECRET_ACCESS_KEY'],
                         aws_session_token=env.get('AWS_SESSION_TOKEN'), config=Config(retries={'max_attempts': 0}, parameter_validation=False))
        session = c._endpoint.http_session
        send = session.send

        def keep(request):
            c.raw = send(request)
            return c.raw
        session.send = keep
        return c

    # -- identities: an `aws` for each would take longer than all calls of a suite ------------------------------------

    def iam(self):
        return boto3.client('iam', endpoint_url=self.env['AWS_ENDPOINT_URL'], region_name='us-east-1', verify=self.env['AWS_CA_BUNDLE'],
                            aws_access_key_id=self.env['AWS_ACCESS_KEY_ID'], aws_secret_access_key=self.env['AWS_SECRET_ACCESS_KEY'])

    def user(self, name, *statements):
        """a client of a new user"""
        iam = self.iam()
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName='p', PolicyDocument=document(*statements))
        key = iam.create_access_key(UserName=name)['AccessKey']
        return self.client_of({'AWS_ACCESS_KEY_ID': key['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': key['SecretAccessKey']})

    def role(self, name, trust, *statements):
        """the ARN of a new role"""
        iam = self.iam()
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))['Role']['Arn']
        iam.put_role_policy(RoleName=name, PolicyName='p', PolicyDocument=document(*statements))
        return arn

    # -- calls --------------------------------------------------------------------------------------------------------

    def call(self, op, params, client, change=None):
        """change(request): what botocore would not send, made of its serialized request before that is signed"""
        c, event = client or self.client, 'before-call.%s.%s' % (self.service, op)

        def edit(params, **_):
            change(params)
        if change:
            c.meta.events.register(event, edit)
        try:
            return getattr(c, botocore.xform_name(op))(**params), c.raw
        finally:
            if change:
                c.meta.events.unregister(event, edit)

    def known(self, op, path):
        """does this botocore's model have the operation and the member? The older one lacks some."""
        return op in self.model.operation_names and path in self.members(op)

    def members(self, op):
        shape = self.model.operation_model(op).input_shape
        return members(shape) if shape else []

    def fit(self, op, params):
        shape = self.model.operation_model(op).input_shape
        return {k: v for k, v in params.items() if shape and k in shape.members}

    def accept(self, op, params=None, client=None, read_back=None):
        """the call succeeds, its answer is whole, and read_back(answer) is true"""
        params = self.fit(op, params or {})
        answer, raw = self.call(op, params, client)
        self.validate(op, raw)
        if read_back is not None and not read_back(answer):
            raise AssertionError('%s %r: not read back in %r' % (op, params, answer))
        self.calls['accepted'] += 1
        shape = self.model.operation_model(op).input_shape
        self.accepted.setdefault(op, set()).update(given(shape, params) if shape else ())
        return answer

    def refuse(self, op, member, params, code, status=400, client=None, text='', change=None):
        """the call fails for what `member` holds; its answer (None: this model does not know the member)"""
        if not self.known(op, member):
            return None
        client = client or self.client
        try:
            self.call(op, self.fit(op, params), client, change)
        except ClientError as e:
            self.validate_error(op, client.raw)
            answer = e.response
            got = (e.response['Error']['Code'], e.response['ResponseMetadata']['HTTPStatusCode'])
            if got != (code, status) or text not in e.response['Error']['Message']:
                raise AssertionError('%s %s: %r instead of %s %d %s' % (op, member, e.response, code, status, text))
        else:
            raise AssertionError('%s %s: accepted %r' % (op, member, params))
        self.calls['refused'] += 1
        self.refused.setdefault(op, set()).add(member)
        return answer

    # -- answers of the query protocol ------------------------------------------------------------------------------

    def validate(self, op, raw):
        m = self.model.operation_model(op)
        root = ET.fromstring(raw.content)
        space = '{%s}' % self.model.metadata['xmlNamespace']
        stray = [e.tag for e in root.iter() if not e.tag.startswith(space)]
        faults = ['outside of the namespace: %s' % t for t in stray]
        for e in root.iter():
            e.tag = e.tag[len(space):]
        parts = [e.tag for e in root]
        wanted = ([m.output_shape.serialization['resultWrapper']] if m.output_shape else []) + ['ResponseMetadata']
        if root.tag != op + 'Response' or parts != wanted:
            faults.append('envelope %s of %s' % (root.tag, parts))
        elif m.output_shape:
            self.structure(m.output_shape, root[0], '', faults, self.always.get(op, ()))
            self.answered.setdefault(op, set()).update(held(m.output_shape, root[0]))
        if faults:
            raise AssertionError('%s: %s\n%s' % (op, '; '.join(faults), raw.text))

    def validate_error(self, op, raw):
        root = ET.fromstring(raw.content)
        space = '{%s}' % self.model.metadata['xmlNamespace']
        parts = [e.tag.replace(space, '') for e in root.iter()]
        if parts not in (ERROR, ERROR[:5] + ['EncodedAuthorizationMessage'] + ERROR[5:]):
            raise AssertionError('%s: no error of AWS\n%s' % (op, raw.text))

    def structure(self, shape, element, path, faults, always=()):
        names = {m.serialization.get('name', n): (n, m) for n, m in shape.members.items()}
        seen = set()
        for e in element:
            if e.tag not in names or e.tag in seen:
                faults.append('%s%s is %s' % (path, e.tag, 'there twice' if e.tag in seen else 'unknown'))
                continue
            seen.add(e.tag)
            self.value(names[e.tag][1], e, path + e.tag, faults)
        faults += ['%s%s is missing' % (path, n) for n in sorted((set(shape.required_members) | set(always)) - seen)]

    def value(self, shape, e, path, faults):
        kind, text = shape.type_name, e.text or ''
        if kind == 'structure':
            return self.structure(shape, e, path + '.', faults)
        if kind == 'list':
            for item in e:
                if item.tag != shape.member.serialization.get('name', 'member'):
                    faults.append('%s holds %s' % (path, item.tag))
                self.value(shape.member, item, path + '[]', faults)
            return None
        fine = {'integer': NUMBER.match, 'long': NUMBER.match, 'timestamp': TIME.match, 'boolean': lambda t: t in ('true', 'false')}
        if len(e) or not fine.get(kind, lambda t: True)(text):
            faults.append('%s is no %s' % (path, kind))
        limits = shape.metadata
        if kind == 'string' and not limits.get('min', 0) <= len(text) <= limits.get('max', 1 << 30):
            faults.append('%s has a wrong length' % path)
        if kind == 'string' and getattr(shape, 'enum', None) and text not in shape.enum:
            faults.append('%s is none of its values' % path)
        return None

    # -- the end ------------------------------------------------------------------------------------------------

    def unbuilt(self, op):
        """does the server say that it knows no such operation? Asked signed, under the name of one that it has, as botocore signs not all."""
        try:
            self.call(next(iter(self.accepted)), {}, None, lambda request: self.rename(request, op))
        except ClientError as e:
            return e.response['Error']['Code'] == self.absent_code
        return False

    absent_code = 'InvalidAction'

    def rename(self, request, op):
        request['body']['Action'] = op

    def silent(self, op):
        """members that no answer held, though nothing says why"""
        shape = self.model.operation_model(op).output_shape
        out = []
        for p in members(shape) if shape and self.never is not None else ():
            barred = any(re.search(r'(^|[ .])%s($|\.|\[)' % re.escape(n), '%s %s' % (op, p)) for n in self.never)
            if (p in self.answered.get(op, ())) == barred:
                out.append('%s: %s %s' % (op, 'an answer held' if barred else 'no answer held', p))
        return out

    def check(self):
        """each member of each operation that the server knows: accepted (or unsupported, with its reason), and refused"""
        missing = []
        for op in self.model.operation_names:
            if op not in self.accepted:
                if self.unbuilt(op):
                    self.absent.append(op)
                else:
                    missing.append('%s was never accepted' % op)
                continue
            for path in self.members(op):
                barred = any(path == m or path.startswith((m + '.', m + '[]')) for o, m in self.unsupported if o == op)
                top = (op, path) in self.unsupported
                if path in self.accepted[op] if barred else path not in self.accepted[op]:
                    missing.append('%s %s %s' % (op, path, 'was accepted, though unsupported' if barred else 'was never accepted'))
                if (top or not barred) and path not in self.refused.get(op, ()):
                    missing.append('%s %s was never refused' % (op, path))
            missing += self.silent(op)
        return missing
