"""A standby as docs/standby.md makes it: a second instance on the first one's key store, its warehouse a pg_basebackup through the
gateway. It answers queries while the first one goes on, sees what is loaded there, is promoted and takes writes."""
import contextlib
import os
import shutil
import subprocess
import threading
import time
import unittest

from harness import SEALIFT, Sealift, SealiftTest, allow, check_warehouse
from sessions import Session
from superuser import Superuser
from walkthrough_test import CREATE

QUERY = 'select origin_ap, dest_ap, count(*) from flight_data group by 1,2 order by 3 desc, 1, 2 limit 10'
TOTALS = "select count(*), sum(dep_delay), min(fl_date), max(origin_ap) from flight_data"


class Standby(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        s.aws('s3 mb s3://bkt')
        cls.role = s.put_role('Redshift-Loader', [allow(['s3:GetObject', 's3:ListBucket']), allow('kms:Decrypt')])
        s.write('flights.csv', ''.join('2008-01-%02d 00:00:00,%d,R%d,Div,State,ST,A%02d,R%d,Div,State,ST,B%02d,%d.5,%d,f\n'
                                       % (i % 28 + 1, i % 20, i % 9, i * i % 37, i % 7, i % 5, i % 60, i % 44) for i in range(20000)))
        assert s.aws('s3 cp flights.csv s3://bkt/flights.csv --sse aws:kms').code == 0
        s.sqlv(CREATE)
        cls.load()
        s.sqlv("delete from flight_data where airline_id = 3; update flight_data set cancelled = true where airline_id = 4")
        os.chmod(s.write('word', 'correct horse battery\n'), 0o600)

    @classmethod
    def load(cls):
        cls.s.sqlv("COPY flight_data FROM 's3://bkt/flights.csv' IAM_ROLE '%s' DELIMITER ','" % cls.role)

    def done(self, args, **kw):
        p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, cwd=self.s.work, **kw)
        self.assertEqual(p.returncode, 0, p.stdout + self.s.logs())
        return p.stdout.strip()

    def copy_keys(self, t):
        self.done(['cp', '-a', self.s.data + '/warehouse/.', t.data + '/warehouse/'])

    @contextlib.contextmanager
    def busy(self):
        """the first one works on while its files are copied"""
        s, stop, said = self.s, threading.Event(), []
        s.sqlv('create table busy (a integer, b varchar(40))')

        def work():
            i = 0
            while not stop.is_set():
                i += 1
                for sql in ("insert into busy select i, md5(i::varchar(12)) from generate_series(%d, %d) i" % (i * 20000, i * 20000 + 19999), 'delete from busy where a %% 7 = %d' % (i % 7),
                            'vacuum busy'):
                    r = s.sql(sql)
                    said.extend([r] if r.code != 0 else [])
        worker = threading.Thread(target=work)
        worker.start()
        time.sleep(1)
        try:
            yield
        finally:
            stop.set()
            worker.join()
        self.assertEqual(said, [])

    def make_standby(self):
        """the steps of docs/standby.md"""
        s, t = self.s, Sealift()
        self.addCleanup(t.close)
        self.done([SEALIFT, 'keys', 'backup', '--to', s.work + '/store', '--passphrase-file', s.work + '/word', '--data', s.data], env=s.base_env)
        self.done([SEALIFT, 'keys', 'restore', '--from', s.work + '/store', '--passphrase-file', s.work + '/word', '--data', t.data, '--root', 'file:' + t.work + '/root'], env=t.base_env)
        t.options = ['--root-key', t.work + '/root']
        way_in = self.done([SEALIFT, 'warehouse', 'standby', '--data', s.data], env=s.base_env)
        self.assertIn('user=sealift_standby password=', way_in)
        shutil.copy(s.data + '/tls/ca.pem', t.data + '/tls/ca.pem')
        way_in = way_in.replace(s.data, t.data)
        with self.busy():
            self.done(['pg_basebackup', '-d', way_in, '-D', t.data + '/pg', '-R', '-X', 'stream', '-C', '-S', 'second', '-c', 'fast'], env=t.base_env)
        self.copy_keys(t)
        if os.geteuid() == 0:
            self.done(['chown', '-R', 'postgres:postgres', t.data + '/pg'])
        t.up()
        return t

    def caught_up(self, t):
        """everything that the first one has committed by now is there"""
        at = self.s.sqlv('select pg_current_wal_lsn()')
        for _ in range(300):
            if t.sqlv("select pg_last_wal_replay_lsn() >= '%s'::pg_lsn" % at) == 't':
                return
            time.sleep(0.1)
        self.fail(t.logs())

    def test_standby(self):
        s = self.s
        want = s.sqlv(QUERY), s.sqlv(TOTALS)
        t = self.make_standby()
        self.caught_up(t)
        self.assertEqual(t.sqlv('select pg_is_in_recovery()'), 't')
        self.assertEqual((t.sqlv(QUERY), t.sqlv(TOTALS)), want)
        rows = "select count(*), sum(a), md5(string_agg(b, '' order by a, b)) from busy"
        self.assertEqual(t.sqlv(rows), s.sqlv(rows))
        self.refused(t.sql('insert into flight_data (airline_id) values (1)'), 'cannot execute INSERT in a read-only transaction')
        self.refused(t.sql('create table x (a int)'), 'read-only transaction')
        # what is loaded, deleted, vacuumed and truncated there comes over
        self.load()
        s.sqlv('delete from flight_data where airline_id = 7')
        self.caught_up(t)
        self.assertEqual((t.sqlv(QUERY), t.sqlv(TOTALS)), (s.sqlv(QUERY), s.sqlv(TOTALS)))
        s.sqlv('vacuum flight_data')
        s.sqlv('vacuum full flight_data')
        s.sqlv('create table young as select i as a from generate_series(1, 9000) i')
        self.caught_up(t)
        self.refused(t.sql('select count(*) from young'), "the table's key", 'is missing')  # the keys of new files come by hand
        self.copy_keys(t)
        self.assertEqual(t.sqlv('select count(*), sum(a) from young'), '9000|40504500')
        self.assertEqual((t.sqlv(QUERY), t.sqlv(TOTALS)), (s.sqlv(QUERY), s.sqlv(TOTALS)))
        r = t.run([SEALIFT, 'warehouse', 'check', '--data', t.data])
        self.assertEqual(r.code, 0, r)
        self.space_is_used_again(t)
        # the first one is lost
        want = s.sqlv(QUERY), s.sqlv(TOTALS)
        s.kill_all()
        self.assertEqual((t.sqlv(QUERY), t.sqlv(TOTALS)), want)
        self.done([SEALIFT, 'warehouse', 'promote', '--data', t.data], env=t.base_env)
        self.refused(t.run([SEALIFT, 'warehouse', 'promote', '--data', t.data]), 'is no standby')
        t.sqlv("insert into flight_data (airline_id, origin_ap, dest_ap) select 1, 'NEW', 'NEW' from generate_series(1, 5000)")
        t.sqlv('create table mine as select 1 as a; drop table young')
        self.assertEqual(t.sqlv(QUERY).splitlines()[0], 'NEW|NEW|5000')
        t.down()
        t.up()
        self.assertEqual(t.sqlv(QUERY).splitlines()[0], 'NEW|NEW|5000')
        self.assertEqual(t.sqlv('select a from mine'), '1')
        self.assertEqual(check_warehouse(t), [])
        s.up()

    def space_is_used_again(self, t):
        """an old snapshot here sees its rows until the first one's new content reaches their blocks, then it is ended; it never sees damage"""
        s = self.s

        def replace():
            for i in range(3):
                s.sqlv('delete from flight_data where airline_id %% 3 = %d' % i)
                s.sqlv('vacuum flight_data')
                self.load()

        def replace_late():
            """what VACUUM leaves alone, as another one writes, is found by the next; in between a query of the first one has marked it as gone"""
            other = Session(s)
            try:
                other('begin; insert into flight_data (airline_id) values (1)')
                s.sqlv('delete from flight_data where airline_id < 10')
                s.sqlv('vacuum flight_data')
                other('rollback')
            finally:
                other.close()
            s.sqlv(TOTALS)
            s.sqlv('vacuum flight_data')
            self.load()
        for change in (replace, replace_late):
            with Superuser(s) as su:
                su('vacuum sealift.segment')  # a full page of it would be pruned, which ends old snapshots too
            self.caught_up(t)
            self.ends_old_snapshot(t, change)
        self.caught_up(t)
        self.assertEqual((t.sqlv(QUERY), t.sqlv(TOTALS)), (s.sqlv(QUERY), s.sqlv(TOTALS)))

    def ends_old_snapshot(self, t, change):
        old = Session(t)
        try:
            old('begin isolation level repeatable read')
            said = seen = old(TOTALS)
            change()
            for _ in range(240):
                said = old(TOTALS)
                if said != seen:
                    break
                time.sleep(0.25)
            self.assertRegex(said, 'conflict with recovery|terminating connection')
            self.assertNotIn('XX001', said)
        finally:
            old.close()

    def test_who_may_replicate(self):
        s = self.s
        way_in = self.done([SEALIFT, 'warehouse', 'standby', '--data', s.data], env=s.base_env)
        into = s.work + '/stolen'
        for text, change in (('password authentication failed', ('password=', 'password=x')), ('replication connections are not supported', ('user=sealift_standby', 'user=awsuser'))):
            p = subprocess.run(['pg_basebackup', '-d', way_in.replace(*change), '-D', into], env=s.base_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertNotEqual(p.returncode, 0)
            self.assertIn(text, p.stdout)
        p = subprocess.run(['pg_recvlogical', '-d', way_in + ' dbname=dev', '--slot=x', '--create-slot'], env=s.base_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertIn('replication connections are not supported', p.stdout)
        again = self.done([SEALIFT, 'warehouse', 'standby', '--data', s.data], env=s.base_env)
        p = subprocess.run(['pg_basebackup', '-d', way_in, '-D', into], env=s.base_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertIn('password authentication failed', p.stdout)  # the newest password alone
        self.assertNotEqual(again, way_in)
        self.assertFalse(os.path.exists(into + '/PG_VERSION'))


if __name__ == '__main__':
    unittest.main()
