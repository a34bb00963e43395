"""Redshift: every member, accepted and refused. The one cluster, the roles that COPY may assume, the key that it hangs on."""
from harness import ACCOUNT, TRUST, allow
from model import Suite

ONE_PAGE = 'one cluster is one page: no answer has a marker'
UNSUPPORTED = {('DescribeClusters', 'Marker'): ONE_PAGE}
# What answers leave out, and why; of lists that are always empty, the members.
NO_NETWORK, NO_TAGS, NO_UPKEEP, NO_MOVES = 'no virtual network', 'the cluster has no tags', 'no maintenance windows and no snapshots', 'the cluster is not moved'
NEVER = {
    'DescribeClusters Marker': ONE_PAGE, 'NodeType': 'the machine is no type of node that AWS rents out', 'TotalStorageCapacityInMegaBytes': 'the disk is shared',
    'ModifyStatus': 'a change is done when it is answered', 'ClusterPublicKey': 'no COPY from hosts over SSH', 'ClusterRevisionNumber': 'revisions are of AWS alone',
    'HsmStatus': 'a PKCS#11 token holds the root key, not the cluster\'s', 'AquaConfiguration': 'retired by AWS',
    'ReservedNodeExchangeStatus': 'nothing is rented', 'ExtraComputeForAutomaticOptimization': 'nothing is rented', 'MultiAZ': 'one machine',
    'MultiAZSecondary': 'one machine', 'AvailabilityZone': 'one machine', 'MasterPasswordSecretArn': 'no Secrets Manager', 'MasterPasswordSecretKmsKeyId': 'no Secrets Manager',
    'LakehouseRegistrationStatus': 'no data catalogue', 'CatalogArn': 'no data catalogue', 'Tags[]': NO_TAGS,
    'ClusterParameterGroups[]': 'parameters are PostgreSQL\'s',
}
NEVER.update(dict.fromkeys((
    'VpcEndpoints', 'ClusterSecurityGroups[]', 'VpcSecurityGroups[]', 'ClusterSubnetGroupName', 'VpcId', 'PrivateIPAddress', 'PublicIPAddress', 'ElasticIpStatus',
    'CustomDomainName', 'CustomDomainCertificateArn', 'CustomDomainCertificateExpiryDate', 'IpAddressType', 'AvailabilityZoneRelocationStatus'), NO_NETWORK))
NEVER.update(dict.fromkeys((
    'ManualSnapshotRetentionPeriod', 'PreferredMaintenanceWindow', 'MaintenanceTrackName', 'DeferredMaintenanceWindows[]', 'NextMaintenanceWindowStartTime',
    'SnapshotScheduleIdentifier', 'SnapshotScheduleState', 'ExpectedNextSnapshotScheduleTime', 'ExpectedNextSnapshotScheduleTimeStatus', 'ClusterSnapshotCopyStatus',
    'RestoreStatus', 'PendingActions'), NO_UPKEEP))
NEVER.update(dict.fromkeys(('DataTransferProgress', 'ElasticResizeNumberOfNodeOptions', 'ResizeInfo'), NO_MOVES))
NEVER.update(dict.fromkeys(('PendingModifiedValues.' + m for m in (
    'MasterUserPassword', 'NodeType', 'NumberOfNodes', 'ClusterType', 'ClusterVersion', 'AutomatedSnapshotRetentionPeriod', 'ClusterIdentifier', 'PubliclyAccessible',
    'EnhancedVpcRouting', 'MaintenanceTrackName', 'EncryptionType')), 'nothing is pending'))
PARAMETER, MISSING = 'InvalidParameterValue', 'ClusterNotFound'
NO_IDENTIFIER = ('The parameter ClusterIdentifier is not a valid identifier. Identifiers must begin with a letter; must contain only ASCII letters, digits, and '
                 'hyphens; and must not end with a hyphen or contain two consecutive hyphens.')


def no_role(arn):
    return 'The IAM role %s is not valid. The IAM role must delegate access to an Amazon Redshift account.' % arn


def roles(answer):
    cluster = answer['Cluster'] if 'Cluster' in answer else answer['Clusters'][0]
    return [r['IamRoleArn'] for r in cluster['IamRoles']], cluster.get('DefaultIamRoleArn')


def describe(t, nobody):
    op = 'DescribeClusters'
    t.accept(op, {'ClusterIdentifier': 'local', 'MaxRecords': 20}, read_back=lambda a: [c['ClusterIdentifier'] for c in a['Clusters']] == ['local'])
    t.accept(op, {'MaxRecords': 100}, read_back=lambda a: len(a['Clusters']) == 1)
    # The cluster has no tags: whoever asks for some gets no cluster.
    t.accept(op, {'TagKeys': ['k']}, read_back=lambda a: a['Clusters'] == [])
    t.accept(op, {'TagValues': ['v']}, read_back=lambda a: a['Clusters'] == [])
    for member, params, code, status, text in (
            ('ClusterIdentifier', {'ClusterIdentifier': 'other'}, MISSING, 404, 'Cluster other not found.'),
            ('ClusterIdentifier', {'ClusterIdentifier': '1local'}, PARAMETER, 400, NO_IDENTIFIER),
            ('ClusterIdentifier', {'ClusterIdentifier': 'lo--cal'}, PARAMETER, 400, NO_IDENTIFIER),
            ('ClusterIdentifier', {'ClusterIdentifier': 'local-'}, PARAMETER, 400, NO_IDENTIFIER),
            ('ClusterIdentifier', {'ClusterIdentifier': 'l' * 64}, PARAMETER, 400, NO_IDENTIFIER),
            ('MaxRecords', {'MaxRecords': 19}, PARAMETER, 400, 'Invalid value 19 for MaxRecords. Must be between 20 and 100'),
            ('MaxRecords', {'MaxRecords': 101}, PARAMETER, 400, 'Invalid value 101 for MaxRecords. Must be between 20 and 100'),
            ('MaxRecords', {'MaxRecords': 'many'}, PARAMETER, 400, 'Invalid value many for MaxRecords.'),
            ('Marker', {'Marker': 'x'}, PARAMETER, 400, 'The parameter Marker is not valid.'),
            ('TagKeys', {'TagKeys': ['k' * 129]}, 'InvalidTagFault', 400, 'The tag is invalid.'),
            ('TagKeys', {'TagKeys': ['k'] * 51}, 'InvalidTagFault', 400, 'The tag is invalid.'),
            ('TagValues', {'TagValues': ['v' * 257]}, 'InvalidTagFault', 400, 'The tag is invalid.')):
        t.refuse(op, member, params, code, status, text=text)
    t.refuse(op, 'ClusterIdentifier', {'ClusterIdentifier': 'local'}, 'AccessDenied', 403, nobody, 'is not authorized to perform: redshift:DescribeClusters')


def modify(t, s, nobody):
    op = 'ModifyClusterIamRoles'
    a, b, loose = (t.role('conform-' + n, TRUST, allow('s3:GetObject')) for n in ('a', 'b', 'loose'))
    nothing, user = a + 'nothing', 'arn:aws:iam::%s:user/conform' % ACCOUNT

    def now(**params):
        return dict({'ClusterIdentifier': 'local'}, **params)
    for params, wanted in (
            (now(AddIamRoles=[a, b], DefaultIamRoleArn=a), ([a, b], a)),
            (now(AddIamRoles=[a]), ([a, b], a)),
            (now(RemoveIamRoles=[a]), ([b], None)),
            (now(AddIamRoles=[a], RemoveIamRoles=[b]), ([a], None)),
            (now(DefaultIamRoleArn=a), ([a], a)),
            (now(RemoveIamRoles=[loose]), ([a], a))):
        t.accept(op, params, read_back=lambda answer: roles(answer) == wanted)
        t.accept('DescribeClusters', read_back=lambda answer: roles(answer) == wanted)
    for member, params, code, status, text in (
            ('ClusterIdentifier', {'ClusterIdentifier': 'other', 'AddIamRoles': [b]}, MISSING, 404, 'Cluster other not found.'),
            ('ClusterIdentifier', {'ClusterIdentifier': 'lo cal'}, PARAMETER, 400, NO_IDENTIFIER),
            ('ClusterIdentifier', {}, 'MissingParameter', 400, 'The request must contain the parameter ClusterIdentifier.'),
            ('AddIamRoles', now(AddIamRoles=[b, 'Loader']), PARAMETER, 400, no_role('Loader')),
            ('AddIamRoles', now(AddIamRoles=[user]), PARAMETER, 400, no_role(user)),
            ('AddIamRoles', now(AddIamRoles=[b, nothing]), PARAMETER, 400, no_role(nothing)),
            ('AddIamRoles', now(AddIamRoles=[b] * 51), PARAMETER, 400, 'At most 50 IAM roles'),
            ('RemoveIamRoles', now(RemoveIamRoles=['Loader']), PARAMETER, 400, no_role('Loader')),
            ('DefaultIamRoleArn', now(DefaultIamRoleArn='Loader'), PARAMETER, 400, no_role('Loader')),
            ('DefaultIamRoleArn', now(DefaultIamRoleArn=b), PARAMETER, 400,
             'The list of Amazon Resource Names (ARNs) for customer roles should contain the ARN of the default IAM role when a default is specified.'),
            ('DefaultIamRoleArn', now(RemoveIamRoles=[a], DefaultIamRoleArn=a), PARAMETER, 400, 'The list of Amazon Resource Names (ARNs)')):
        t.refuse(op, member, params, code, status, text=text)
    passer = t.user('conform-redshift', allow('redshift:ModifyClusterIamRoles'))
    t.refuse(op, 'AddIamRoles', now(AddIamRoles=[b]), 'AccessDenied', 403, passer, 'is not authorized to perform: iam:PassRole on resource: ' + b)
    t.refuse(op, 'ClusterIdentifier', now(), 'AccessDenied', 403, nobody, 'is not authorized to perform: redshift:ModifyClusterIamRoles')
    # No refused call has changed anything.
    t.accept('DescribeClusters', read_back=lambda answer: roles(answer) == ([a], a))
    t.accept(op, now(RemoveIamRoles=[a]), read_back=lambda answer: roles(answer) == ([], None))


def rotate(t, nobody):
    op, role = 'RotateEncryptionKey', 'arn:aws:iam::%s:role/conform-a' % ACCOUNT
    t.accept('ModifyClusterIamRoles', {'ClusterIdentifier': 'local', 'AddIamRoles': [role], 'DefaultIamRoleArn': role})
    t.accept(op, {'ClusterIdentifier': 'local'}, read_back=lambda a: a['Cluster']['Encrypted'] and a['Cluster']['KmsKeyId'].startswith('arn:aws:kms:us-east-1:%s:key/' % ACCOUNT))
    for params, code, status, text in (
            ({'ClusterIdentifier': 'other'}, MISSING, 404, 'Cluster other not found.'),
            ({'ClusterIdentifier': 'lo cal'}, PARAMETER, 400, NO_IDENTIFIER),
            ({}, 'MissingParameter', 400, 'The request must contain the parameter ClusterIdentifier.')):
        t.refuse(op, 'ClusterIdentifier', params, code, status, text=text)
    t.refuse(op, 'ClusterIdentifier', {'ClusterIdentifier': 'local'}, 'AccessDenied', 403, nobody, 'is not authorized to perform: redshift:RotateEncryptionKey')
    t.accept('ModifyClusterIamRoles', {'ClusterIdentifier': 'local', 'RemoveIamRoles': [role]})


def run(s):
    """the suite, for what it counted"""
    t = Suite('redshift', s.env, UNSUPPORTED, never=NEVER)
    nobody = t.user('conform-nobody')
    describe(t, nobody)
    modify(t, s, nobody)
    rotate(t, nobody)
    return t
