"""Keys of tables: made and destroyed with the transaction, refused when altered or another's, wrapped anew by a rotation."""
import os
import shutil
import subprocess
import time

from harness import SealiftTest


class TableKeysTest(SealiftTest):
    def folder(self, database='dev'):
        return os.path.join(self.s.data, 'warehouse', self.s.sqlv("select oid from pg_database where datname = '%s'" % database))

    def keys(self, database='dev'):
        folder = self.folder(database)
        return sorted(f for f in os.listdir(folder) if f != 'key') if os.path.isdir(folder) else []

    def made_by(self, sql, **kw):
        """the one key that the statements left more"""
        before = self.keys()
        self.s.sqlv(sql, **kw)
        made = set(self.keys()) - set(before)
        self.assertEqual(len(made), 1)
        return os.path.join(self.folder(), made.pop())

    def parent_and_cluster(self):
        """ids: under which the database's key is wrapped, of the cluster's key"""
        with open(os.path.join(self.folder(), 'key'), 'rb') as f:
            record = f.read()
        with open(os.path.join(self.s.data, 'warehouse/cluster'), 'rb') as f:
            cluster = f.read()
        self.assertEqual(cluster[:7], b'SLCLK\x01\x01')
        return record[24:40], cluster[7:23]

    def test_1_commit_and_abort(self):
        s, before = self.s, self.keys()
        s.sqlv('begin; create table a (x int) using sealed; rollback')
        self.assertEqual(self.keys(), before)
        s.sqlv('begin; create table a (x int) using sealed; savepoint p; create table b (x int) using sealed; rollback to p; commit')
        self.assertEqual(len(self.keys()), len(before) + 1)
        first = self.keys()
        s.sqlv('begin; drop table a; rollback')
        self.assertEqual(self.keys(), first)
        s.sqlv('begin; savepoint p; drop table a; rollback to p; commit; insert into a values (1)')
        s.sqlv('begin; truncate a; rollback')
        self.assertEqual(self.keys(), first)
        self.assertEqual(s.sqlv('select x from a'), '1')
        s.sqlv('truncate a')
        self.assertEqual(len(self.keys()), len(first))
        self.assertNotEqual(self.keys(), first)
        s.sqlv('create table gone (x int) using sealed; begin; create table c (x int) using sealed; savepoint p; drop table gone; release p; drop table c; commit')
        s.sqlv('drop table a')
        self.assertEqual(self.keys(), before)
        s.sqlv('create temp table t (x int) using sealed; insert into t values (7); select x from t')
        self.assertEqual(self.keys(), before)

    def test_2_altered_or_anothers(self):
        s = self.s
        one = self.made_by("create table one (x int) using sealed; insert into one values (1)")
        two = self.made_by("create table two (x int) using sealed; insert into two values (2)")
        with open(one, 'rb') as f:
            good = f.read()
        self.assertEqual(len(good), 168)

        def refused(text):
            self.refused(s.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-c', 'select * from one']), 'XX001', text)
        with open(two, 'rb') as f:
            other = f.read()
        with open(one, 'wb') as f:
            f.write(other)
        refused("it is another's key")
        for i in range(0, len(good), 7):
            with open(one, 'wb') as f:
                f.write(good[:i] + bytes([good[i] ^ 4]) + good[i + 1:])
            self.assertNotEqual(s.sql('select * from one').code, 0, i)
        with open(one, 'wb') as f:
            f.write(good[:-1])
        refused('it is not a wrapped key')
        os.unlink(one)
        refused('is missing')
        with open(one, 'wb') as f:
            f.write(good)
        shutil.chown(one, *(('postgres', 'postgres') if os.geteuid() == 0 else (os.geteuid(),)))
        self.assertEqual(s.sqlv('select x from one'), '1')
        self.assertEqual(s.sqlv('select x from two'), '2')

    def test_3_destroyed_for_all_sessions(self):
        s = self.s
        self.made_by('create table late (x int) using sealed; insert into late values (3)')
        p = subprocess.Popen(['psql', '-X', '-q', '-A', '-t'], env=s.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

        def ask(sql):
            p.stdin.write(sql + '\n\\echo .\n')
            p.stdin.flush()
            out = ''
            while not out.endswith('.\n'):
                out += p.stdout.readline()
            return out[:-2].strip()
        self.assertEqual(ask('select x from late;'), '3')
        s.sqlv('truncate late; insert into late values (4)')
        self.assertEqual(ask('select x from late;'), '4')
        s.sqlv('drop table late')
        self.assertIn('does not exist', ask('select x from late;'))
        p.stdin.close()
        p.wait(10)
        p.stdout.close()

    def test_4_databases(self):
        s = self.s
        s.sqlv('create database first')
        s.sqlv('create table t (x int) using sealed; insert into t values (5)', database='first')
        os.chmod(self.folder('first'), 0o300)  # one that can't be listed is no empty one
        self.refused(s.sql('create database second template first'), "can't be opened: Permission denied")
        os.chmod(self.folder('first'), 0o700)
        s.sqlv('create database second template first')
        self.assertEqual(self.keys('second'), self.keys('first'))
        self.assertEqual(s.sqlv('select x from t', database='second'), '5')
        first, second = self.folder('first'), self.folder('second')
        name = self.keys('first')[0]
        with open(os.path.join(first, name), 'rb') as f, open(os.path.join(second, name), 'rb') as g:
            a, b = f.read(), g.read()
        self.assertNotEqual(a[24:40], b[24:40])  # the database's id
        with open(os.path.join(second, name), 'wb') as f:
            f.write(a)
        self.refused(s.sql('select x from t', database='second'), "it is another's key")
        s.sqlv('drop database first')
        self.assertFalse(os.path.exists(first))
        with open(os.path.join(second, name), 'wb') as f:
            f.write(b)
        self.assertEqual(s.sqlv('select x from t', database='second'), '5')
        s.sqlv('drop database second')
        self.assertFalse(os.path.exists(second))

    def test_5_rotation_and_kills(self):
        s = self.s
        self.made_by('create table r (x int) using sealed; insert into r values (6)')
        for i in range(5):
            s.sqlv('create database d%d' % i)
            s.sqlv('create table t (x int) using sealed; insert into t values (%d)' % i, database='d%d' % i)
        for i in range(6):
            _, was = self.parent_and_cluster()
            r = s.aws('redshift rotate-encryption-key --cluster-identifier local')
            if i > 0:
                time.sleep(0.004 * (i - 1))
                s.kill_all()
                s.up()
            self.accepted(r)
            self.wait_available()
            parent, cluster = self.parent_and_cluster()
            self.assertEqual(parent, cluster)
            self.assertNotEqual(cluster, was)
            self.assertEqual(s.sqlv('select x from r'), '6')
            for d in range(5):
                self.assertEqual(s.sqlv('select x from t', database='d%d' % d), str(d))
        for i in range(5):
            s.sqlv('drop database d%d' % i)

    def test_6_swept_after_a_crash(self):
        s = self.s
        kept = self.made_by('create table kept (x int) using sealed; insert into kept values (8)')
        before = self.keys()
        p = subprocess.Popen(['psql', '-X', '-q', '-A', '-t'], env=s.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        p.stdin.write('begin; create table lost (x int) using sealed; select 1;\n')
        p.stdin.flush()
        self.assertEqual(p.stdout.readline(), '1\n')
        self.assertEqual(len(self.keys()), len(before) + 1)
        folder = self.folder()
        orphan = os.path.join(s.data, 'warehouse', '999999')
        shutil.copytree(folder, orphan)  # as of a database that was dropped in the crash
        shutil.copy(os.path.join(folder, 'key'), os.path.join(folder, '.%032d-1' % 0))
        if os.geteuid() == 0:
            subprocess.run(['chown', '-R', 'postgres:postgres', os.path.join(s.data, 'warehouse')], check=True)
        s.kill_all()
        p.communicate()
        s.up()
        for _ in range(200):
            if not os.path.exists(orphan) and self.keys() == before:
                break
            time.sleep(0.1)
        self.assertEqual(self.keys(), before)
        self.assertFalse(os.path.exists(orphan))
        self.assertIn(os.path.basename(kept), self.keys())
        self.assertEqual(s.sqlv('select x from kept'), '8')
