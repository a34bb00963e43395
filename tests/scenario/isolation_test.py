"""Sessions interleaved over sealed tables: no update is lost, no stale row is changed, snapshots hold."""
import re
import sys
import threading
import unittest

from harness import SOAK, SealiftTest, allow
from sessions import Session


class Isolation(SealiftTest):
    def setUp(self):
        self.s.sqlv('drop table if exists t, u; create table t (a integer, v integer); insert into t values (1, 0), (2, 0), (3, 0); create table u (a integer, v integer); '
                    'insert into u values (1, 0)')
        self.open = []

    def tearDown(self):
        for x in self.open:
            x.close()

    def session(self, start=''):
        self.open.append(Session(self.s, start))
        return self.open[-1]

    def rows(self):
        return self.s.sqlv("select string_agg(a || ':' || v, ' ' order by a, v) from t")

    def second_waits_and_sees(self, change, prepare=''):
        """two sessions run the same change of row 1; the second waits for the first and builds on what it did"""
        self.setUp()
        one, two = self.session(prepare), self.session(prepare)
        one('begin')
        one(change)
        two('begin')
        two.send(change)
        self.assertTrue(two.waits(), change)
        one('commit')
        self.assertNotIn('ERROR', two.answer(), change)
        two('commit')
        self.assertEqual(self.rows(), '1:2 2:0 3:0', change)

    def test_no_update_is_lost(self):
        function = ("create or replace function bump() returns void language plpgsql as $$ begin update t set v = v + 1 where a = 1; end $$; "
                    "create or replace function bump_sql() returns void language sql as $$ update t set v = v + 1 where a = 1 $$; "
                    "create or replace function bump_loop() returns void language plpgsql as $$ declare x integer; begin "
                    "update t set v = v + 1 where a = 1 returning v into x; update t set v = x where a = 1; end $$")
        self.s.sqlv(function)
        prepared = 'set plan_cache_mode = force_generic_plan; prepare p (integer) as update t set v = v + $1 where a = 1'
        for change, prepare in (('update t set v = v + 1 where a = 1', ''),
                                ('update t set v = v + 1 where a = 1 returning v', ''),
                                ('update t set v = (select max(v) from t where a = 1) + 1 where a = 1', ''),
                                ('update t set v = x.v + 1 from (select v from t where a = 1) x where a = 1', ''),
                                ('execute p (1)', prepared),
                                ('select bump()', ''), ('select bump_sql()', ''), ('select bump_loop()', ''),
                                ('with w as (update t set v = v + 1 where a = 1 returning v) select * from w', ''),
                                ('with d as (delete from t where a = 1 returning v) insert into t select 1, v + 1 from d', ''),
                                ('merge into t using (select v + 1 as n from t where a = 1) x on t.a = 1 when matched then update set v = x.n', ''),
                                ('do $$ begin perform bump(); end $$', ''),
                                ('explain analyze update t set v = v + 1 where a = 1', '')):
            with self.subTest(change):
                self.second_waits_and_sees(change, prepare)

    def test_first_rolls_back(self):
        one, two = self.session('begin'), self.session()
        one('update t set v = 100')
        two.send('update t set v = v + 1')
        self.assertTrue(two.waits())
        one('rollback')
        self.assertEqual(two.answer(), '')
        self.assertEqual(self.rows(), '1:1 2:1 3:1')

    def test_deleted_meanwhile(self):
        one, two = self.session('begin'), self.session()
        one('delete from t where a = 1')
        two.send('update t set v = v + 1 where a = 1 returning a')
        self.assertTrue(two.waits())
        one('commit')
        self.assertEqual(two.answer(), '')
        self.assertEqual(self.rows(), '2:0 3:0')

    def test_repeatable_read(self):
        for level in ('repeatable read', 'serializable'):
            for change in ('update t set v = 5 where a = 3', 'delete from t where a = 3', 'merge into t using u on t.a = 3 when matched then delete'):
                self.setUp()
                one, two = self.session('begin isolation level ' + level), self.session()
                self.assertEqual(one('select count(*) from t'), '3')
                two('update t set v = 9 where a = 2')
                self.assertEqual(one('select sum(v) from t'), '0')
                self.assertIn('40001: could not serialize access due to concurrent update', one(change).replace('ERROR:  ', ''))
                one('rollback')
                self.assertEqual(self.rows(), '1:0 2:9 3:0')
        # the one who waited fails as well; an INSERT by others is no obstacle
        self.setUp()
        one, two = self.session('begin'), self.session('begin isolation level repeatable read')
        two('select 1 from t')
        one('update t set v = 1')
        two.send('update t set v = 2')
        self.assertTrue(two.waits())
        one('commit')
        self.assertIn('40001', two.answer())
        three = self.session('begin isolation level repeatable read')
        three('select 1 from t')
        self.s.sqlv('insert into t values (4, 4)')
        self.assertEqual(three('update t set v = v + 1'), '')
        self.assertEqual(three('select sum(v) from t'), '6')
        three('commit')
        self.assertEqual(self.rows(), '1:2 2:2 3:2 4:4')

    def test_snapshots_hold(self):
        reader = self.session('begin isolation level repeatable read')
        self.assertEqual(reader('select count(*), sum(v) from t'), '3|0')
        cursor = self.session('begin')
        cursor('declare c cursor for select a from t')
        self.assertEqual(cursor('fetch 1 from c'), '1')
        self.s.sqlv('update t set v = 7; delete from t where a = 2; insert into t select i, 1 from generate_series(10, 60) i')
        self.s.sqlv('vacuum t')
        self.s.sqlv('delete from t where a > 50')
        self.s.sqlv('vacuum t')
        self.assertEqual(reader('select count(*), sum(v) from t'), '3|0')
        self.assertEqual(cursor('fetch all from c'), '2\n3')
        self.assertEqual(cursor('select count(*) from t'), '43')
        self.assertIn('40001', reader('delete from t'))

    def test_inserts_run_side_by_side(self):
        sessions = [self.session('begin') for _ in range(3)]
        for i, x in enumerate(sessions):
            self.assertEqual(x('insert into t select %d, 1 from generate_series(1, 1000)' % (10 + i)), '')
            self.assertEqual(x('select count(*) from t'), '1003')
        updater = self.session()
        self.assertEqual(updater('update t set v = v + 1 where a = 1'), '')  # waits for no INSERT
        self.assertEqual(self.s.sqlv('select count(*) from t'), '3')
        sessions[0]('commit')
        self.assertEqual(self.s.sqlv('select count(*) from t'), '1003')
        sessions[1]('rollback')
        sessions[2]('commit')
        self.assertEqual(self.s.sqlv('select count(*), sum(v) from t'), '2003|2001')

    def test_savepoints(self):
        one, two = self.session('begin'), self.session()
        one('savepoint s')
        one('update t set v = 50')
        one('insert into t values (9, 9)')
        one('rollback to s')
        self.assertEqual(one('update t set v = v + 1'), '')
        self.assertEqual(one('select sum(v), count(*) from t'), '3|3')
        one('commit')
        self.assertEqual(two('update t set v = v + 1'), '')
        self.assertEqual(self.rows(), '1:2 2:2 3:2')

    def test_truncate(self):
        reader = self.session('begin isolation level repeatable read')
        reader('select count(*) from u')
        self.s.sqlv('truncate t; insert into t values (5, 5)')
        self.assertIn('40001', reader('select count(*) from t'))
        holder = self.session('begin')
        holder('select count(*) from t')
        other = self.session()
        other.send('truncate t')
        self.assertTrue(other.waits())
        holder('commit')
        self.assertEqual(other.answer(), '')
        self.assertEqual(self.s.sqlv('select count(*) from t'), '0')

    def test_write_skew(self):
        one, two = self.session('begin isolation level serializable'), self.session('begin isolation level serializable')
        one('select sum(v) from t')
        two('select sum(v) from u')
        one('insert into u values (2, 2)')
        answers = two('insert into t values (9, 9)'), one('commit'), two('commit')
        self.assertIn('40001', ''.join(answers))
        self.assertEqual(self.s.sqlv('select (select count(*) from t) + (select count(*) from u)'), '5')

    def test_deadlock(self):
        one, two = self.session('begin'), self.session('begin')
        one('update t set v = 1')
        two('update u set v = 1')
        one.send('update u set v = 2')
        two.send('update t set v = 2')
        answers = one.answer() + two.answer()
        self.assertEqual(answers.count('40P01'), 1, answers)

    def test_vacuum_waits_for_a_writer(self):
        one, two = self.session('begin'), self.session()
        one('delete from t where a = 1')
        two.send('vacuum t')
        self.assertTrue(two.waits())
        one('commit')
        self.assertEqual(two.answer(), '')
        self.assertEqual(self.rows(), '2:0 3:0')

    # -- COPY -----------------------------------------------------------------------------------------------------

    def copy_of(self, name, rows, table='t'):
        """a COPY statement that loads these rows from an object"""
        s = self.s
        if not hasattr(type(self), 'role'):
            type(self).role = s.put_role('Loader', [allow(['s3:GetObject', 's3:ListBucket'])])
            self.accepted(s.aws('s3 mb s3://isolation'))
        s.write(name, ''.join('%s,%s\n' % r for r in rows))
        self.accepted(s.aws('s3 cp %s s3://isolation/%s' % (name, name)))
        return "copy %s from 's3://isolation/%s' iam_role '%s' csv" % (table, name, self.role)

    def test_copies_run_side_by_side(self):
        loads = [self.copy_of('side%d' % i, [(100 * i + k, i) for k in range(50)]) for i in (1, 2)]
        one, two, writer = self.session('begin'), self.session('begin'), self.session()
        for x, load in ((one, loads[0]), (two, loads[1])):
            self.assertIn('50 record(s) loaded', x(load))
            self.assertEqual(x('select count(*) from t'), '53')
        self.assertEqual(writer('update t set v = v + 1 returning a'), '1\n2\n3')  # waits for no COPY, sees none of it
        one('commit')
        two('rollback')
        self.assertEqual(self.s.sqlv('select count(*), sum(v) from t'), '53|53')
        self.assertEqual(self.s.sqlv('select count(*) from t where a > 200'), '0')

    def test_a_copy_that_fails_leaves_nothing(self):
        bad = self.copy_of('bad', [(7, 7), (8, 'x')])
        one, two = self.session('begin'), self.session('begin isolation level repeatable read')
        two('select 1 from t')
        one('insert into t values (4, 4)')
        one('savepoint s')
        self.assertIn('ERROR', one(bad))
        one('rollback to s')
        self.assertIn('1 record(s) loaded', one(self.copy_of('good', [(5, 5)])))
        one('commit')
        self.assertEqual(two('select count(*) from t'), '3')
        self.assertEqual(two('update t set v = v + 1'), '')  # loaded rows are no change of what was seen
        two('commit')
        self.assertEqual(self.rows(), '1:1 2:1 3:1 4:4 5:5')

    def test_copy_beside_an_update_and_a_vacuum(self):
        load = self.copy_of('beside', [(k, 1) for k in range(10, 60)])
        one, two, three = self.session('begin'), self.session('begin'), self.session()
        one('update t set v = 5')
        self.assertIn('50 record(s) loaded', two(load))
        three.send('vacuum t')
        self.assertTrue(three.waits())  # for the UPDATE
        one('commit')
        self.assertEqual(three.answer(), '')
        two('commit')
        self.assertEqual(three('vacuum t; select count(*), sum(v) from t'), '53|65')

    def test_copy_from_the_client(self):
        one, two = self.session('begin'), self.session('begin')
        one('copy t from stdin (format csv);\n10,1\n11,1\n\\.\nselect 1')
        two('copy t from stdin (format csv);\n20,1\n\\.\nselect 1')
        self.assertEqual(one('select count(*) from t'), '5')
        two('commit')
        one('rollback')
        self.assertEqual(self.rows(), '1:0 2:0 3:0 20:1')

    # -- MERGE ----------------------------------------------------------------------------------------------------

    def test_merges_of_the_same_new_key(self):
        """the second finds the row that the first inserted, and changes it: no key comes twice"""
        merge = ('merge into t using (select 9 as k) x on t.a = x.k when matched then update set v = t.v + 1 when not matched then insert values (x.k, 100)')
        one, two, three = self.session('begin'), self.session('begin'), self.session('begin isolation level repeatable read')
        three('select 1 from t')
        one(merge)
        two.send(merge)
        self.assertTrue(two.waits())
        one('commit')
        self.assertEqual(two.answer(), '')
        two('commit')
        self.assertIn('40001', three(merge))
        self.assertEqual(self.rows(), '1:0 2:0 3:0 9:101')

    def test_merge_after_the_others_delete(self):
        one, two = self.session('begin'), self.session()
        one('delete from t where a = 2')
        two.send('merge into t using (values (1), (2)) x (k) on t.a = x.k when matched then delete when not matched then insert values (x.k, 7)')
        self.assertTrue(two.waits())
        one('commit')
        self.assertEqual(two.answer(), '')
        self.assertEqual(self.rows(), '2:7 3:0')

    # -- VACUUM, TRUNCATE -------------------------------------------------------------------------------------------

    def test_vacuum_beside_an_open_insert(self):
        one, reader, three = self.session('begin'), self.session('begin isolation level repeatable read'), self.session()
        for i in range(4):
            self.s.sqlv('insert into t values (%d, 1)' % (10 + i))
        self.assertEqual(reader('select count(*) from t'), '7')
        one('insert into t values (20, 2)')
        self.s.sqlv('delete from t where a < 3')
        self.assertEqual(three('vacuum t'), '')
        self.assertEqual(reader('select count(*), sum(v) from t'), '7|4')
        one('insert into t values (21, 2)')
        one('commit')
        self.assertEqual(three('vacuum t; select count(*), sum(v) from t'), '7|8')
        self.assertEqual(reader('select count(*), sum(v) from t'), '7|4')

    def test_vacuum_full_waits_for_readers(self):
        reader, two, three = self.session('begin'), self.session(), self.session()
        reader('declare c cursor for select a from t')
        self.assertEqual(reader('fetch 1 from c'), '1')
        two.send('vacuum full t')
        self.assertTrue(two.waits())
        three.send('insert into t values (4, 0)')
        self.assertTrue(three.waits())
        self.assertEqual(reader('fetch all from c'), '2\n3')
        reader('commit')
        self.assertEqual(two.answer() + three.answer(), '')
        self.assertEqual(self.rows(), '1:0 2:0 3:0 4:0')

    def test_truncate_rolled_back(self):
        one, two, three = self.session('begin'), self.session(), self.session()
        one('truncate t')
        one('insert into t values (9, 9)')
        two.send('select count(*) from t')
        three.send('update t set v = v + 1')
        self.assertTrue(two.waits() and three.waits(0.1))
        one('rollback')
        self.assertEqual(two.answer(), '3')
        self.assertEqual(three.answer(), '')
        self.assertEqual(self.rows(), '1:1 2:1 3:1')

    def test_truncate_after_a_waiting_insert(self):
        one, two, three = self.session('begin'), self.session(), self.session()
        one('insert into t values (4, 4)')
        two.send('truncate t')
        self.assertTrue(two.waits())
        three.send('insert into t values (5, 5)')
        self.assertTrue(three.waits())
        one('commit')
        self.assertEqual(two.answer() + three.answer(), '')
        self.assertEqual(self.rows(), '5:5')

    # -- cursors, savepoints, three sessions ------------------------------------------------------------------------

    def test_cursors(self):
        """each goes on with what it saw when it was opened, its own transaction's later changes left out"""
        one, two = self.session('begin'), self.session('begin isolation level serializable')
        one('declare c cursor for select a, v from t')
        one('declare h scroll cursor with hold for select a, v from t')
        one('update t set v = 1')
        one('insert into t values (4, 4)')
        two('declare c scroll cursor for select a, v from t')
        self.assertEqual(one('fetch all from c'), '1|0\n2|0\n3|0')
        one('commit')
        self.s.sqlv('delete from t where a = 1')
        self.s.sqlv('vacuum t')
        self.assertEqual(two('fetch all from c'), '1|0\n2|0\n3|0')
        self.assertEqual(two('fetch backward 2 from c'), '3|0\n2|0')
        self.assertEqual(one('fetch all from h'), '1|0\n2|0\n3|0')
        self.assertEqual(one('fetch first from h'), '1|0')
        self.assertEqual(self.rows(), '2:1 3:1 4:4')

    def test_a_rolled_back_savepoint_lets_others_go_on(self):
        one, two, three = self.session('begin'), self.session(), self.session()
        one('insert into t values (4, 0)')
        one('savepoint s')
        one('update t set v = 50')
        two.send('update t set v = v + 1')
        three.send('delete from t where a = 3')
        self.assertTrue(two.waits() and three.waits(0.1))
        one('rollback to s')
        self.assertEqual(two.answer() + three.answer(), '')
        self.assertEqual(one('update t set v = v + 1'), '')  # builds on theirs
        one('commit')
        self.assertEqual(self.rows(), '1:2 2:2 4:1')

    def test_released_savepoint_holds(self):
        one, two = self.session('begin'), self.session()
        one('savepoint s')
        one('update t set v = v + 1')
        one('release s')
        two.send('update t set v = v + 1')
        self.assertTrue(two.waits())
        one('commit')
        self.assertEqual(two.answer(), '')
        self.assertEqual(self.rows(), '1:2 2:2 3:2')

    def test_three_writers_one_after_the_other(self):
        one, two, three = self.session('begin'), self.session('begin'), self.session('begin')
        one('update t set v = v + 1 where a = 1')
        two.send('with d as (delete from t where a = 1 returning v) insert into t select 1, v * 10 from d')
        self.assertTrue(two.waits())
        three.send('merge into t using (select 1 as k) x on t.a = x.k when matched then update set v = t.v + 3')
        self.assertTrue(three.waits())
        one('commit')
        self.assertEqual(two.answer(), '')
        self.assertTrue(three.waits())
        two('commit')
        self.assertEqual(three.answer(), '')
        three('commit')
        self.assertEqual(self.rows(), '1:13 2:0 3:0')

    def test_three_in_a_ring(self):
        self.s.sqlv('drop table if exists w; create table w (v integer); insert into w values (0)')
        sessions = [self.session('begin') for _ in range(3)]
        for x, table in zip(sessions, 'tuw'):
            x('update %s set v = 1' % table)
        for x, table in zip(sessions, 'uwt'):
            x.send('update %s set v = 2' % table)
        for _ in range(3):  # the one who is ended lets the others go on
            ended = [x for x in sessions if not x.waits(3)]
            for x in ended:
                if '40P01' not in x.answer():
                    x('commit')
        answers = ''.join(x.answer() for x in sessions)
        self.assertEqual(answers.count('40P01'), 1, answers)

    # -- sums -------------------------------------------------------------------------------------------------------

    def bench(self, scripts, mode, clients, seconds):
        """the transactions that were done, all without an error"""
        args = []
        for i, text in enumerate(scripts):
            args += ['-f', self.s.write('bench%d.sql' % i, text)]
        out = self.accepted(self.s.run(['pgbench', '-n', '-M', mode, '-c', str(clients), '-T', str(seconds), *args], timeout=seconds + 300))
        self.assertRegex(out, r'number of failed transactions: 0 ')
        return int(re.search(r'number of transactions actually processed: (\d+)', out).group(1))

    def watch(self, stop, bad, counts):
        """one snapshot's sum, twice, and by a cursor, while VACUUM goes on too"""
        total, x = '20000|20', Session(self.s)
        while not stop.is_set():
            said = [x('select sum(v), count(*) from t')]
            x('begin isolation level repeatable read')
            said += [x('select sum(v), count(*) from t') for _ in range(2)]
            x('declare c cursor for select v from t')
            said.append('%d|20' % sum(int(v) for v in (x('fetch 7 from c') + '\n' + x('fetch all from c')).split()))
            x('commit')
            said.append(x('vacuum t') or total)
            bad += [y for y in said if y != total]
            counts.append(1)
        x.close()

    def test_sums_stay(self):
        """amounts move between rows by all protocols and in several ways while others read, under one snapshot and more, and vacuum; no sum ever changes, no move is lost"""
        s = self.s
        s.sqlv('truncate t, u; insert into u values (1, 0); insert into t select i, 1000 from generate_series(1, 20) i')
        pick = '\\set x random(1, 20)\n\\set y random(1, 20)\n\\set n random(1, 50)\n'
        moves = [pick + 'begin;\n%s\nupdate u set v = v + 1;\ncommit;\n' % m for m in (
            'update t set v = v - :n::int where a = :x::int;\nupdate t set v = v + :n::int where a = :y::int;',
            'merge into t using (select k, sum(n) as n from (values (:x::int, 0 - :n::int), (:y::int, :n::int)) m (k, n) group by k) m on t.a = m.k when matched then update set v = t.v + m.n;',
            'savepoint s;\ndelete from t where a = :x::int;\nrollback to s;\nupdate t set v = v + case when a = :x::int then 0 - :n::int else :n::int end where :x::int <> :y::int and a in (:x::int, :y::int);',
            'with d as (delete from t where a in (:x::int, :y::int) returning a, v) insert into t select a, case when :x::int = :y::int then v when a = :x::int then v - :n::int else v + :n::int end from d;')]
        stop, bad, counts = threading.Event(), [], []
        watchers = [threading.Thread(target=self.watch, args=(stop, bad, counts)) for _ in range(2)]
        for w in watchers:
            w.start()
        done = 0
        try:
            for mode in ('simple', 'extended', 'prepared'):
                done += self.bench(moves, mode, *((32, 200) if SOAK else (6, 1)))
        finally:
            stop.set()
            for w in watchers:
                w.join()
        self.assertEqual(bad, [])
        self.assertGreater(len(counts), 3)
        self.assertEqual(s.sqlv('select sum(v), count(*), count(distinct a) from t'), '20000|20|20')
        self.assertEqual(s.sqlv('select v from u'), str(done))
        if SOAK:
            print('%d moves, %d rounds of the watchers' % (done, len(counts)), file=sys.stderr)


if __name__ == '__main__':
    unittest.main()
