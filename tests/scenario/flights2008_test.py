"""A million real flights of 2008 from 1, 4 and 100 files give the known answers.

The data is not part of the project: SEALIFT_FLIGHTS names a folder with make_flight_data.py, ontime_2008_jan_apr.csv.xz and
expected_2008_1000000.txt. Without it the class has nothing to run on and is left out by the runner's loader.
"""
import os
import subprocess
import unittest

from harness import SealiftTest, allow
from walkthrough_test import CREATE

DATA = os.environ.get('SEALIFT_FLIGHTS')
QUERIES = {
    'rows': 'select count(*) from flight_data',
    'blog query': 'select origin_ap, dest_ap, count(*) from flight_data group by 1,2 order by 3 desc limit 10',
    'distinct': 'select (select count(*) from (select distinct origin_ap, dest_ap from flight_data) x), count(distinct origin_ap), '
                'count(distinct dest_ap), count(distinct airline_id), count(distinct fl_date) from flight_data',
    'first and last': 'select min(fl_date), max(fl_date) from flight_data',
    'cancelled': 'select cancelled::int, count(*) from flight_data group by 1 order by 1',
    'null delays': 'select sum((dep_delay is null)::int), sum((arr_delay is null)::int) from flight_data',
    'delays in hundredths': 'select (sum(dep_delay)*100)::bigint, (min(dep_delay)*100)::bigint, (max(dep_delay)*100)::bigint, '
                            '(sum(arr_delay)*100)::bigint, (min(arr_delay)*100)::bigint, (max(arr_delay)*100)::bigint from flight_data',
    'flights by airline': 'select airline_id, count(*) from flight_data group by 1 order by 2 desc, 1',
    'flights, cancelled': 'select origin_region, origin_division, count(*), sum(cancelled::int), (sum(arr_delay)*100)::bigint from flight_data group by 1,2 order by 1,2',
    'states with most': 'select origin_state_abr, trim(origin_state_name), count(*) from flight_data group by 1,2 order by 3 desc, 1 limit 10',
    'worst 5 days': "select to_char(fl_date, 'YYYY-MM-DD'), count(*), round(avg(dep_delay), 2)::float8 from flight_data group by 1 order by avg(dep_delay) desc limit 5",
    'flights by month': "select to_char(fl_date, 'YYYY-MM'), count(*) from flight_data group by 1 order by 1",
}


def answers():
    """title -> rows of the file of known answers"""
    out, title = {}, None
    with open(os.path.join(DATA, 'expected_2008_1000000.txt')) as f:
        for line in f.read().splitlines():
            if line.startswith('# select'):
                continue
            if line.startswith('# '):
                title = line[2:]
                out[title] = []
            elif line:
                out[title].append(line)
    return out


class Flights(SealiftTest):
    @classmethod
    def prepare(cls):
        cls.role = cls.s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        cls.s.sqlv(CREATE)
        cls.s.aws('s3 mb s3://flights')

    def load(self, parts):
        s = self.s
        folder = os.path.join(s.work, 'p%d' % parts)
        subprocess.run(['python3', os.path.join(DATA, 'make_flight_data.py'), '--out', folder, '--parts', str(parts)], check=True, stdout=subprocess.DEVNULL)
        self.accepted(s.aws('s3 cp --recursive %s s3://flights/p%d/ --sse aws:kms' % (folder, parts)))
        s.sqlv('truncate flight_data')
        r = s.sql("COPY flight_data FROM 's3://flights/p%d/' IAM_ROLE '%s' GZIP DELIMITER ','" % (parts, self.role))
        self.accepted(r)
        self.assertIn('1000000 record(s)', r.err)
        known, checked = answers(), 0
        for name, sql in QUERIES.items():
            want = [rows for title, rows in known.items() if title.startswith(name)]
            self.assertEqual(len(want), 1, name)
            self.assertEqual(s.sqlv(sql).splitlines(), want[0], name)
            checked += 1
        self.assertEqual(checked, len(QUERIES))

    def test_one_file(self):
        self.load(1)

    def test_four_files(self):
        self.load(4)

    def test_hundred_files(self):
        self.load(100)


def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite()
    if DATA:
        suite.addTests(loader.loadTestsFromTestCase(Flights))
    return suite


if __name__ == '__main__':
    unittest.main()
