"""The main job, typed as in the README, with the clients of two ages: aws (new and Debian's), psql, the JavaScript SDK."""
import json
import os
import shutil
import subprocess
import unittest

from harness import ACCOUNT, ROOT, SealiftTest, allow

CREATE = """CREATE TABLE FLIGHT_DATA ( FL_DATE TIMESTAMP, AIRLINE_ID INTEGER, ORIGIN_REGION VARCHAR(10), ORIGIN_DIVISION VARCHAR(20),
  ORIGIN_STATE_NAME CHAR(15), ORIGIN_STATE_ABR CHAR(2), ORIGIN_AP CHAR(3), DEST_REGION VARCHAR(10),
  DEST_DIVISION VARCHAR(20), DEST_STATE_NAME CHAR(15), DEST_STATE_ABR CHAR(2), DEST_AP CHAR(3),
  DEP_DELAY NUMERIC(8, 2), ARR_DELAY NUMERIC(8, 2), CANCELLED BOOLEAN )
DISTSTYLE EVEN SORTKEY ( FL_DATE );"""
ROWS = 20000


def expected(path, rows):
    """answers by plain Python on the same file"""
    import collections
    import gzip
    pairs, dep, nulls = collections.Counter(), 0, 0
    with gzip.open(path, 'rt') as f:
        for line in f:
            v = line.rstrip('\n').split(',')
            pairs[(v[6], v[11])] += 1
            if v[12]:
                dep += round(float(v[12]) * 100)
            else:
                nulls += 1
    return pairs, dep, nulls


class Walkthrough(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        parquet = os.path.join(ROOT, 'tests/demo/node_modules/vega-datasets/data/flights-3m.parquet')
        for extra in ([], ['--parts', '4', '--name', 'part']):
            subprocess.run(['python3', os.path.join(ROOT, 'tests/demo/make_flights.py'), '--input', parquet, '--out', s.work, '--rows', str(ROWS)] + extra,
                           check=True, stdout=subprocess.DEVNULL)
        cls.pairs, cls.dep, cls.nulls = expected(os.path.join(s.work, 'flight_data.gz'), ROWS)
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        s.sqlv(CREATE)

    def check_table(self):
        s = self.s
        got = [tuple(x.split('|')) for x in s.sqlv('select origin_ap, dest_ap, count(*) from flight_data group by 1,2 order by 3 desc, 1, 2 limit 10').splitlines()]
        want = sorted(self.pairs.items(), key=lambda kv: (-kv[1], kv[0]))[:10]
        self.assertEqual(got, [(a, b, str(n)) for (a, b), n in want])
        self.assertEqual(s.sqlv('select count(*), sum(dep_delay)*100, count(*) - count(dep_delay) from flight_data'),
                         '%d|%d.00|%d' % (ROWS, self.dep, self.nulls))
        self.assertEqual(s.sqlv("select count(*) from flight_data where origin_region is null"), '0')

    def chain(self, aws, bucket):
        s = self.s
        key = json.loads(self.accepted(s.aws(['kms', 'create-key', '--description', 'For Redshift SSE loads'], aws=aws)))['KeyMetadata']
        self.assertEqual(key['Arn'], 'arn:aws:kms:us-east-1:%s:key/%s' % (ACCOUNT, key['KeyId']))
        self.accepted(s.aws(['kms', 'create-alias', '--alias-name', 'alias/' + bucket, '--target-key-id', key['KeyId']], aws=aws))
        self.assertIn('alias/' + bucket, self.accepted(s.aws('kms list-aliases', aws=aws)))
        self.accepted(s.aws(['s3', 'mb', 's3://' + bucket], aws=aws))
        self.accepted(s.aws(['s3', 'cp', 'flight_data.gz', 's3://%s/flight_data_sse.gz' % bucket, '--sse', 'aws:kms', '--sse-kms-key-id', key['KeyId']], aws=aws))
        head = json.loads(self.accepted(s.aws(['s3api', 'head-object', '--bucket', bucket, '--key', 'flight_data_sse.gz'], aws=aws)))
        self.assertEqual((head['ServerSideEncryption'], head['SSEKMSKeyId']), ('aws:kms', key['Arn']))
        self.accepted(s.aws(['s3', 'cp', 's3://%s/flight_data_sse.gz' % bucket, 'back.gz'], aws=aws))
        with open(os.path.join(s.work, 'back.gz'), 'rb') as a, open(os.path.join(s.work, 'flight_data.gz'), 'rb') as b:
            self.assertEqual(a.read(), b.read())
        s.sqlv('TRUNCATE flight_data')
        r = s.sql("COPY FLIGHT_DATA FROM 's3://%s/flight_data_sse.gz' CREDENTIALS 'aws_iam_role=%s' GZIP DELIMITER ',';" % (bucket, self.role), options=())
        self.accepted(r)
        self.assertIn("INFO:  Load into table 'flight_data' completed, %d record(s) loaded successfully." % ROWS, r.err)
        self.check_table()

    def test_1_new_aws(self):
        self.chain('aws', 'bucket-new')

    def test_2_debian_aws(self):
        self.chain('/usr/bin/aws', 'bucket-old')

    def test_3_four_files(self):
        s = self.s
        self.accepted(s.aws('s3 mb s3://parts'))
        for i in range(4):
            self.accepted(s.aws('s3 cp part.%03d.gz s3://parts/p/flight_data.%03d.gz --sse aws:kms' % (i, i)))
        s.sqlv('TRUNCATE flight_data')
        self.accepted(s.sql("COPY flight_data FROM 's3://parts/p/' IAM_ROLE '%s' GZIP DELIMITER ','" % self.role))
        self.check_table()

    def test_4_psql_describes(self):
        r = self.s.run(['psql', '-X', '-c', '\\d flight_data'])
        self.accepted(r)
        self.assertIn('fl_date', r.out)
        self.assertIn('timestamp without time zone', r.out)
        r = self.s.run(['psql', '-X'], input="COPY flight_data FROM 's3://nowhere/x' IAM_ROLE 'arn:aws:iam::%s:role/no' CSV;\n" % ACCOUNT)
        self.assertIn('ERROR', r.err)
        r = self.s.run(['psql', '-X'], input="CREATE TABLE tag (a int); COPY tag FROM 's3://parts/none' IAM_ROLE 'x';")
        self.assertIn('CREATE TABLE', r.out)

    def test_5_copy_tag_has_no_count(self):
        r = self.s.run(['psql', '-X'], input="BEGIN; COPY flight_data FROM 's3://parts/p/' IAM_ROLE '%s' GZIP DELIMITER ','; ROLLBACK;" % self.role)
        self.assertIn('\nCOPY\n', '\n' + r.out, r)

    def test_6_javascript_sdk(self):
        s = self.s
        script = os.path.join(s.work, 'sdk.mjs')
        shutil.copy(os.path.join(ROOT, 'tests/clients/walkthrough.mjs'), script)
        os.symlink(os.path.join(ROOT, 'tests/clients/node_modules'), os.path.join(s.work, 'node_modules'))
        self.accepted(s.run(['node', script]))

    def test_7_node_driver(self):
        s = self.s
        script = os.path.join(s.work, 'driver.mjs')
        shutil.copy(os.path.join(ROOT, 'tests/clients/driver.mjs'), script)
        if not os.path.exists(os.path.join(s.work, 'node_modules')):
            os.symlink(os.path.join(ROOT, 'tests/clients/node_modules'), os.path.join(s.work, 'node_modules'))
        self.accepted(s.run(['node', script, self.role]))


if __name__ == '__main__':
    unittest.main()
