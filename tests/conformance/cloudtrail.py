"""CloudTrail's LookupEvents: every member, accepted and refused."""
import datetime

from harness import ACCOUNT
from json_suite import JsonSuite

ALWAYS = {'LookupEvents': ('Events',) + tuple('Events[].' + m for m in (
    'EventId', 'EventName', 'ReadOnly', 'EventTime', 'EventSource', 'Resources', 'CloudTrailEvent'))}
ATTRIBUTES = 'InvalidLookupAttributesException'
TYPE = 'SerializationException'


def one(key, value):
    return {'LookupAttributes': [{'AttributeKey': key, 'AttributeValue': value}]}


def only(**wanted):
    """there are events, and all are like this"""
    return lambda a: a['Events'] and all(e.get(k) == v for e in a['Events'] for k, v in wanted.items())


def attributes(t, s):
    made = t.accept('LookupEvents', one('EventName', 'CreateAccessKey'), read_back=only(EventName='CreateAccessKey'))['Events'][0]
    for key, value, wanted in (('EventId', made['EventId'], {'EventId': made['EventId']}),
                               ('EventSource', 'iam.amazonaws.com', {'EventSource': 'iam.amazonaws.com'}),
                               ('ReadOnly', 'false', {'ReadOnly': 'false'}),
                               ('Username', 'admin', {'Username': 'admin'}),
                               ('AccessKeyId', s.env['AWS_ACCESS_KEY_ID'], {'AccessKeyId': s.env['AWS_ACCESS_KEY_ID']})):
        t.accept('LookupEvents', one(key, value), read_back=only(**wanted))
    key = t.key()['Arn']
    for name, value in (('ResourceName', key), ('ResourceType', 'AWS::KMS::Key')):
        t.accept('LookupEvents', one(name, value), read_back=lambda a: a['Events'] and all(e['Resources'][0]['ResourceType'] == 'AWS::KMS::Key'
                                                                                          for e in a['Events']))
    t.accept('LookupEvents', one('ResourceName', key), read_back=lambda a: [e['EventName'] for e in a['Events']] == ['CreateKey'])


def pages(t):
    first = t.accept('LookupEvents', {'MaxResults': 1}, read_back=lambda a: len(a['Events']) == 1 and a['NextToken'])
    second = t.accept('LookupEvents', {'MaxResults': 1, 'NextToken': first['NextToken']}, read_back=lambda a: len(a['Events']) == 1)
    assert second['Events'][0]['EventId'] != first['Events'][0]['EventId']
    t.accept('LookupEvents', {'EventCategory': 'insight'}, read_back=lambda a: a['Events'] == [] and 'NextToken' not in a)
    for token in ('x', first['NextToken'][::-1]):
        t.refuse('LookupEvents', 'NextToken', {'NextToken': token}, 'InvalidNextTokenException')
    t.refuse('LookupEvents', 'NextToken', dict(one('ReadOnly', 'true'), NextToken=first['NextToken']), 'InvalidNextTokenException')


def times(t):
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    t.accept('LookupEvents', {'StartTime': now + hour}, read_back=lambda a: a['Events'] == [])
    t.accept('LookupEvents', {'EndTime': now - hour}, read_back=lambda a: a['Events'] == [])
    t.accept('LookupEvents', {'StartTime': now - hour, 'EndTime': now},
             read_back=lambda a: a['Events'] and all(now - hour <= e['EventTime'] <= now for e in a['Events']))
    for member in ('StartTime', 'EndTime'):
        t.refuse('LookupEvents', member, {'StartTime': now, 'EndTime': now - hour}, 'InvalidTimeRangeException')
        t.refuse_raw('LookupEvents', member, {member: -1}, 'InvalidTimeRangeException')


def wrong_values(t):
    for member, params, code in (
            ('LookupAttributes', {'LookupAttributes': one('ReadOnly', 'true')['LookupAttributes'] * 2}, ATTRIBUTES),
            ('LookupAttributes[].AttributeKey', one('Colour', 'red'), ATTRIBUTES),
            ('LookupAttributes[].AttributeKey', {'LookupAttributes': [{'AttributeValue': 'red'}]}, ATTRIBUTES),
            ('LookupAttributes[].AttributeValue', one('EventName', ''), ATTRIBUTES),
            ('LookupAttributes[].AttributeValue', one('EventName', 'x' * 2001), ATTRIBUTES),
            ('LookupAttributes[].AttributeValue', {'LookupAttributes': [{'AttributeKey': 'EventName'}]}, ATTRIBUTES),
            ('EventCategory', {'EventCategory': 'data'}, 'InvalidEventCategoryException'),
            ('MaxResults', {'MaxResults': 0}, 'InvalidMaxResultsException'),
            ('MaxResults', {'MaxResults': 51}, 'InvalidMaxResultsException')):
        t.refuse('LookupEvents', member, params, code)
    for member, value in (('LookupAttributes', {}), ('LookupAttributes', 'x'), ('LookupAttributes', ['x']), ('StartTime', 'now'), ('EndTime', True),
                          ('EventCategory', 1), ('MaxResults', '1'), ('MaxResults', 1.5), ('NextToken', 1)):
        t.refuse_raw('LookupEvents', member, {member: value}, TYPE)
    for member in ('AttributeKey', 'AttributeValue'):
        t.refuse_raw('LookupEvents', 'LookupAttributes[].' + member, {'LookupAttributes': [dict({'AttributeKey': 'EventName', 'AttributeValue': 'x'},
                                                                                               **{member: 1})]}, TYPE)
    for body in (b'{', b'[]', b'"x"', b'\xff'):
        t.refuse_raw('LookupEvents', 'LookupAttributes', body, TYPE)


class Trail(JsonSuite):
    def key(self):
        kms = JsonSuite('kms', self.env)
        return kms.client.create_key()['KeyMetadata']


def run(s):
    """the suite, for what it counted"""
    t = Trail('cloudtrail', s.env, always=ALWAYS)
    nobody = t.user('trail')
    attributes(t, s)
    pages(t)
    times(t)
    wrong_values(t)
    text = 'User: arn:aws:iam::%s:user/trail is not authorized to perform: cloudtrail:LookupEvents on resource: * because no identity-based policy ' \
           'allows the cloudtrail:LookupEvents action' % ACCOUNT
    t.refuse('LookupEvents', 'LookupAttributes', {}, 'AccessDeniedException', client=nobody, text=text)
    return t
