"""COPY's options end to end, and what is refused by name."""
import gzip
import json
import subprocess
import unittest

from harness import SealiftTest, allow


class Copy(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        s.aws('s3 mb s3://bkt')
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket'])])
        s.sqlv("create table t (a integer, b varchar(20) default 'none', c numeric(6,2), d date)")

    def put(self, key, data):
        self.s.write('file', data)
        self.accepted(self.s.aws('s3 cp file s3://bkt/' + key))

    def copy(self, key, options='', columns='', tail=''):
        return self.s.sql("TRUNCATE t; COPY t %s FROM 's3://bkt/%s' IAM_ROLE '%s' %s; %s" % (columns, key, self.role, options, tail))

    def rows(self):
        return self.s.sqlv('select a, b, c, d from t order by a').splitlines()

    def test_default_format(self):
        self.put('plain', '1|x|2.5|2001-02-03\n2||\\N|\n3|\\N|-1.999|2001-12-31')
        self.accepted(self.copy('plain'))
        self.assertEqual(self.rows(), ['1|x|2.50|2001-02-03', '2|||', '3||-1.99|2001-12-31'])
        self.assertEqual(self.s.sqlv("select count(*) from t where b is null"), '1')

    def test_csv_header_null_columns(self):
        self.put('csv', 'a,b\n1,"two, ""quoted""\nlines"\n2,NIL\n')
        self.accepted(self.copy('csv', "CSV IGNOREHEADER 1 NULL AS 'NIL' REGION 'us-east-1' COMPUPDATE OFF STATUPDATE ON", '(a, b)'))
        self.assertEqual(self.s.sqlv("select a, replace(b, chr(10), '/'), b is null from t order by a").splitlines(), ['1|two, "quoted"/lines|f', '2||t'])
        self.put('rev', 'x;7\n')
        self.accepted(self.copy('rev', "DELIMITER ';'", '(b, a)'))
        self.assertEqual(self.rows(), ['7|x||'])
        self.put('only', '5\n')
        self.accepted(self.copy('only', '', '(a)'))
        self.assertEqual(self.rows(), ['5|none||'])

    def test_header_is_skipped_in_every_file(self):
        for i in range(3):
            self.put('many/%d' % i, gzip.compress(b'a|b|c|d\n%d|x||\n' % i))
        self.accepted(self.copy('many/', 'GZIP IGNOREHEADER AS 1'))
        self.assertEqual([r.split('|')[0] for r in self.rows()], ['0', '1', '2'])

    def test_compressions(self):
        rows = ''.join('%d|x%d||\n' % (i, i) for i in range(5000)).encode()
        for option, tool in (('GZIP', 'gzip -c'), ('ZSTD', 'zstd -q -c'), ('BZIP2', 'bzip2 -c'), ('LZOP', 'lzop -c')):
            packed = subprocess.run(tool.split(), input=rows, stdout=subprocess.PIPE, check=True).stdout
            self.put('packed/' + option, packed)
            self.accepted(self.copy('packed/' + option, option))
            self.assertEqual(self.s.sqlv('select count(*), sum(a), max(b) from t'), '5000|12497500|x999')
            self.put('cut/' + option, packed[:-20])
            self.refused(self.copy('cut/' + option, option), 'The file is not in %s format or is damaged: %s: ' % (option, option.lower()))
            self.assertEqual(self.s.sqlv('select count(*) from t'), '5000')  # as before
            self.put('other/' + option, rows)
            self.refused(self.copy('other/' + option, option), '%s file' % option.lower())

    def test_conversion_options(self):
        self.put('odd', b'1|  |2.005|2001-02-30\n\n2||3.1|soon\n3|' + b'y' * 25 + b' |9.999|2001-02-03\n4|a\xa4b\n')
        self.refused(self.copy('odd'), "Load into table 't' failed.")
        self.accepted(self.copy('odd', "EMPTYASNULL BLANKSASNULL TRUNCATECOLUMNS TRIMBLANKS FILLRECORD ACCEPTANYDATE ROUNDEC IGNOREBLANKLINES ACCEPTINVCHARS AS '#'"))
        self.assertEqual(self.s.sqlv("select a, b is null, b, c, d from t order by a").splitlines(),
                         ['1|t||2.01|', '2|t||3.10|', '3|f|%s|10.00|2001-02-03' % ('y' * 20), '4|f|a#b||'])

    def manifest(self, *entries, raw=None):
        self.put('manifest', raw if raw is not None else json.dumps({'entries': [dict(zip(('url', 'mandatory'), e)) for e in entries]}))
        return self.copy('manifest', 'MANIFEST')

    def test_manifest(self):
        self.s.aws('s3 mb s3://other')
        self.put('m1', '1|x||\n')
        self.put('m2', '2|y||\n')
        self.s.write('file', '3|z||\n')
        self.accepted(self.s.aws('s3 cp file s3://other/m3'))
        self.accepted(self.manifest(('s3://bkt/m2', True), ('s3://bkt/none', False), ('s3://other/m3', True), ('s3://bkt/m2', False)))
        self.assertEqual(self.rows(), ['2|y||', '2|y||', '3|z||'])  # not m1; one that is named twice is loaded twice
        self.refused(self.manifest(('s3://bkt/m1', True), ('s3://bkt/none', True)), 'Status 404', 'NoSuchKey')
        self.refused(self.manifest(('s3://bkt/none',), ('s3://bkt/nor-this',)), "None of the manifest's 2 files exists")
        self.refused(self.manifest(raw='{"entries": 3}'), 'Manifest file is not in correct json format')
        self.refused(self.manifest(raw='s3://bkt/m1'), 'Manifest file is not in correct json format')
        self.refused(self.manifest(('http://bkt/m1', True)), 'Manifest file is not in correct json format: "http://bkt/m1" is no URL of S3')
        self.refused(self.copy('no-manifest', 'MANIFEST'), 'NoSuchKey')
        self.refused(self.s.sql("COPY t FROM 's3://bkt' IAM_ROLE '%s' MANIFEST" % self.role), 'COPY with MANIFEST parameter requires full path of an S3 object.')
        self.put('m4bad', 'no|x||\n')
        self.refused(self.manifest(('s3://bkt/m4bad', True)), "Load into table 't' failed.")
        self.assertEqual(self.s.sqlv('select trim(filename) from stl_load_errors order by starttime desc limit 1'), 's3://bkt/m4bad')

    def test_maxerror(self):
        self.put('bad', '1|x||\nno|x||\n3|%s||\n4|x||2001-02-30\n5|x||\n6|x\n7|x|||9\n' % ('y' * 21))
        r = self.copy('bad', 'MAXERROR 10')
        self.accepted(r)
        self.assertIn("Load into table 't' completed, 2 record(s) loaded successfully.", r.err)
        self.assertIn("5 record(s) could not be loaded.  Check 'stl_load_errors' system table for details.", r.err)
        self.assertEqual([x.split('|')[0] for x in self.rows()], ['1', '5'])
        got = self.s.sqlv('select line_number, trim(colname), err_code from stl_load_errors where query = (select max(query) from stl_load_errors) order by 1').splitlines()
        self.assertEqual([g.split('|')[0] for g in got], ['2', '3', '4', '6', '7'])
        self.assertEqual([g.split('|')[2] for g in got][:3], ['1207', '1204', '1205'])
        self.refused(self.copy('bad', 'MAXERROR 5'), "Load into table 't' failed.")

    def test_marks_are_of_their_own(self):
        self.put('marks', ''.join('%d|x||\n' % i for i in range(9)))
        for options, text in (("DELIMITER '\\012'", 'COPY delimiter cannot be newline or carriage return'),
                              ("DELIMITER '\\015'", 'COPY delimiter cannot be newline or carriage return'),
                              ("CSV DELIMITER '\\012'", 'COPY delimiter cannot be newline or carriage return'),
                              ("CSV QUOTE '\\012'", 'COPY quote cannot be a blank, newline or carriage return'),
                              ("CSV QUOTE ' '", 'COPY quote cannot be a blank, newline or carriage return'),
                              ("CSV QUOTE ','", 'COPY delimiter and quote must be different'),
                              ("CSV DELIMITER '\"'", 'COPY delimiter and quote must be different')):
            self.refused(self.copy('marks', options), text)
        self.accepted(self.copy('marks', "CSV DELIMITER '|' QUOTE ','"))
        self.accepted(self.copy('marks', "DELIMITER '\\174'"))
        self.assertEqual(self.s.sqlv('select count(*) from t'), '9')

    def test_zone_before_the_first_timestamp(self):
        self.s.sqlv('create table z (at timestamptz)')
        self.put('first', 'J0 00:00:00\n')
        load = "set timezone to '%s'; copy z from 's3://bkt/first' iam_role '" + self.role + "' timeformat 'auto'"
        self.refused(self.s.sql(load % 'Asia/Tokyo'), 'timestamp out of range')
        self.accepted(self.s.sql(load % 'America/New_York'))
        self.assertEqual(self.s.sqlv("select count(*), min(extract(year from at)) from z"), '1|-4714')

    def test_failed_load_leaves_the_table(self):
        self.put('good', '1|x||\n')
        self.accepted(self.copy('good'))
        self.put('half', '8|x||\nno|x||\n')
        r = self.s.sql("COPY t FROM 's3://bkt/half' IAM_ROLE '%s'" % self.role, options=('-v', 'VERBOSITY=verbose'))
        self.refused(r, 'XX000', "Load into table 't' failed.  Check 'stl_load_errors' system table for details.")
        self.assertEqual(self.rows(), ['1|x||'])

    def test_rights_on_the_table(self):
        s = self.s
        s.sqlv("create user reader password 'Reader123'; grant select on t to reader")
        self.put('good', '1|x||\n')
        self.refused(s.sql("COPY t FROM 's3://bkt/good' IAM_ROLE '%s'" % self.role, user='reader', password='Reader123'), 'permission denied for table t')
        self.refused(s.sql("BEGIN READ ONLY; COPY t FROM 's3://bkt/good' IAM_ROLE '%s'" % self.role), 'read-only')

    def test_refused_by_name(self):
        for options, text in (('PARQUET', 'COPY option PARQUET is not supported yet'), ('ORC', 'COPY option ORC is not supported yet'),
                              ('NONSENSE', 'syntax error at or near "NONSENSE"'), ("DELIMITER 'ab'", 'single ASCII character'), ('GZIP GZIP', 'more than once')):
            self.refused(self.copy('good', options), text)
        self.refused(self.s.sql("COPY t FROM 's3://bkt/good'"), 'needs IAM_ROLE')
        self.refused(self.s.sql("COPY t FROM 's3://bkt/good' CREDENTIALS 'nonsense'"), 'Invalid credentials. Must be of the format')
        self.refused(self.s.sql("UNLOAD ('select 1') TO 's3://bkt/x' IAM_ROLE 'x'"), 'UNLOAD is not supported yet')
        self.refused(self.s.sql('create table bad (a uuid)'), 'unsupported type "uuid"')

    def test_attributes_are_kept(self):
        self.s.sqlv('create table k (a int primary key, b varchar(max) encode zstd) distkey(a) sortkey(a, b) backup no')
        got = self.s.sqlv("select attributes from svv_table_attributes where table_name = 'k'")
        for part in ('"distkey": "a"', '"sortkey": ["a", "b"]', '"zstd"', 'primary key (a)', '"backup": false'):
            self.assertIn(part, got)
        self.s.sqlv("insert into k values (1, 'x'), (1, 'y')")  # informational, as in Redshift
        self.s.sqlv('drop table k')
        self.assertEqual(self.s.sqlv("select count(*) from svv_table_attributes where table_name = 'k'"), '0')


if __name__ == '__main__':
    unittest.main()
