"""The warehouse's keys: where the cluster key comes from, its rotation, and what is refused."""
import json
import os
import signal
import time

from harness import Sealift, SealiftTest, allow

CONTEXT = 'arn:aws:redshift:us-east-1:%s:cluster:local'


def deny_redshift(account):
    return {'Version': '2012-10-17', 'Statement': [
        {'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::%s:root' % account}, 'Action': 'kms:*', 'Resource': '*'},
        {'Effect': 'Deny', 'Principal': '*', 'Action': ['kms:Decrypt', 'kms:GenerateDataKey'], 'Resource': '*',
         'Condition': {'StringEquals': {'kms:ViaService': 'redshift.us-east-1.amazonaws.com'}}}]}


class ClusterKeyTest(SealiftTest):
    def cluster(self):
        return self.s.awsj('redshift describe-clusters --cluster-identifier local')['Clusters'][0]

    def cluster_file(self):
        with open(os.path.join(self.s.data, 'warehouse/cluster'), 'rb') as f:
            return f.read()

    def restart(self, options=()):
        self.s.down()
        self.s.options = list(options)
        self.s.up()

    def status(self):
        return self.s.run([os.path.join(os.environ.get('SEALIFT_BUILD', 'build'), 'sealift'), 'status', '--data', self.s.data])

    def events(self, name):
        found = self.s.awsj('cloudtrail lookup-events --no-paginate --lookup-attributes AttributeKey=EventName,AttributeValue=' + name)
        return [json.loads(e['CloudTrailEvent']) for e in found['Events']]

    def test_1_the_key_of_aws_by_default(self):
        c = self.cluster()
        self.assertIs(c['Encrypted'], True)
        key = self.s.awsj('kms describe-key --key-id alias/aws/redshift')['KeyMetadata']
        self.assertEqual(c['KmsKeyId'], key['Arn'])
        self.assertEqual(key['KeyManager'], 'AWS')
        made = [e for e in self.events('GenerateDataKey') if e['userIdentity'].get('invokedBy') == 'redshift.amazonaws.com']
        self.assertEqual(len(made), 1)
        context = made[0]['requestParameters']['encryptionContext']
        self.assertEqual(sorted(context), ['aws:redshift:arn', 'aws:redshift:createtime'])
        self.assertEqual(context['aws:redshift:arn'], CONTEXT % self.s.account)
        self.assertRegex(context['aws:redshift:createtime'], r'^\d{8}T\d{4}Z$')
        self.assertEqual(self.cluster_file()[:7], b'SLCLK\x01\x01')

    def test_2_rotation(self):
        user = self.s.new_user('rotator', [allow('redshift:DescribeClusters')])
        refused = self.s.aws('redshift rotate-encryption-key --cluster-identifier local', user)
        self.refused(refused, 'AccessDenied', 'redshift:RotateEncryptionKey')
        self.refused(self.s.aws('redshift rotate-encryption-key --cluster-identifier other'), 'ClusterNotFound')
        before = self.cluster_file()
        c = self.s.awsj('redshift rotate-encryption-key --cluster-identifier local')['Cluster']
        self.assertIn(c['ClusterStatus'], ('rotating-keys', 'available'))
        self.wait_available()
        after = self.cluster_file()
        self.assertNotEqual(after, before)
        self.assertEqual(after[:7], b'SLCLK\x01\x01')
        self.assertEqual(self.s.sqlv('select 1'), '1')
        self.restart()
        self.assertEqual(self.s.sqlv('select 1'), '1')
        self.assertEqual(self.cluster_file(), after)

    def test_3_killed_while_it_rotates(self):
        for i in range(4):
            before = self.cluster_file()
            self.s.aws('redshift rotate-encryption-key --cluster-identifier local')
            time.sleep(0.005 * i)
            self.s.kill_all()
            self.s.up()
            self.wait_available()
            self.assertEqual(self.cluster_file()[6], 1)
            self.assertNotEqual(self.cluster_file(), before)
            self.assertEqual(self.s.sqlv('select 1'), '1')

    def test_4_another_root_key_and_its_states(self):
        key = self.s.awsj('kms create-key')['KeyMetadata']
        self.restart(['--warehouse-key', key['KeyId']])
        self.assertNotEqual(self.cluster()['KmsKeyId'], key['Arn'])  # until the rotation
        self.s.awsj('redshift rotate-encryption-key --cluster-identifier local')
        self.assertEqual(self.wait_available()['KmsKeyId'], key['Arn'])
        # Disabled: what runs goes on, nothing new is made, a start waits until it is enabled.
        self.accepted(self.s.aws('kms disable-key --key-id ' + key['KeyId']))
        self.assertEqual(self.s.sqlv('select 1'), '1')
        self.refused(self.s.aws('redshift rotate-encryption-key --cluster-identifier local'), 'InvalidClusterState', 'is disabled')
        self.wait_available()
        self.restart()
        self.waits('is disabled')
        self.accepted(self.s.aws('kms enable-key --key-id ' + key['KeyId']))
        self.comes_up()
        # Denied by the key's policy.
        policy = self.s.json_file('deny', deny_redshift(self.s.account))
        self.accepted(self.s.aws(['kms', 'put-key-policy', '--key-id', key['KeyId'], '--policy-name', 'default', '--policy', policy]))
        self.restart()
        self.waits('not authorized to perform: kms:Decrypt')
        denied = [e for e in self.events('Decrypt') if e.get('errorCode') == 'AccessDenied']
        self.assertEqual(denied[0]['userIdentity']['invokedBy'], 'redshift.amazonaws.com')
        self.accepted(self.s.aws(['kms', 'put-key-policy', '--key-id', key['KeyId'], '--policy-name', 'default', '--policy', self.s.json_file('ok', {
            'Version': '2012-10-17', 'Statement': deny_redshift(self.s.account)['Statement'][:1]})]))
        self.comes_up()

    def log_says(self, name, why):
        for _ in range(100):
            with open(os.path.join(self.s.data, 'log', name)) as f:
                if why in f.read():
                    return
            time.sleep(0.1)
        self.fail('%s does not say "%s"\n%s' % (name, why, self.s.logs()))

    def waits(self, why):
        r = self.status()
        self.assertNotEqual(r.code, 0)
        self.assertIn(why, [line for line in r.out.splitlines() if line.startswith('postgres')][0])
        self.assertNotEqual(self.s.sql('select 1').code, 0)
        for name in ('supervisor.log', 'postgres.log'):
            self.log_says(name, why)

    def comes_up(self):
        for _ in range(300):
            if self.s.sql('select 1').code == 0:
                break
            time.sleep(0.1)
        self.assertEqual(self.s.sqlv('select 1'), '1')
        self.assertEqual(self.status().code, 0)

    def test_5_altered_files(self):
        path = os.path.join(self.s.data, 'warehouse/cluster')
        good = self.cluster_file()
        self.s.down()
        for at, why in ((None, 'it is cut short or too long'), (40, 'key that does not exist'), (-20, 'its wrapped form was altered')):
            change = good[:-1] if at is None else good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]
            with open(path, 'wb') as f:
                f.write(change)
            self.s.up()
            self.assertNotEqual(self.s.sql('select 1').code, 0)
            self.assertIn(why, self.status().out)
            self.s.down()
        with open(path, 'wb') as f:
            f.write(good)
        self.s.up()
        self.assertEqual(self.s.sqlv('select 1'), '1')


class ThrowAwayTest(SealiftTest):
    options = ('--ephemeral',)

    def test_the_service_s_own_key(self):
        """A reset empties KMS; the warehouse's key is not among what it empties, or what anybody lists."""
        s = self.s
        c = s.awsj('redshift describe-clusters')['Clusters'][0]
        self.assertIs(c['Encrypted'], True)
        self.assertNotIn('KmsKeyId', c)
        self.assertEqual(s.awsj('kms list-keys')['Keys'], [])
        s.awsj('redshift rotate-encryption-key --cluster-identifier local')
        r = s.run(['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', s.env['AWS_CA_BUNDLE'], '-X', 'POST', s.env['AWS_ENDPOINT_URL'] + '/moto-api/reset'])
        self.assertEqual(r.out, '200')
        s.down()
        s.up()
        self.assertEqual(s.sqlv('select 1'), '1')
