"""Sessions interleaved over sealed tables: no update is lost, no stale row is changed, snapshots hold."""
import subprocess
import threading
import unittest

from harness import SOAK, SealiftTest

END = '-- end of answer --'


class Session:
    """A psql of one's own that is given one statement after the other."""

    def __init__(self, s, start=''):
        self.p = subprocess.Popen(['psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose'], env=s.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.thread, self.lines = None, []
        if start:
            self(start)

    def send(self, sql):
        self.p.stdin.write('%s;\n\\echo %s\n' % (sql, END))
        self.p.stdin.flush()
        self.lines = []
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.p.stdout:
            if line.strip() == END:
                return
            self.lines.append(line.rstrip('\n'))

    def waits(self, seconds=0.7):
        self.thread.join(seconds)
        return self.thread.is_alive()

    def answer(self):
        self.thread.join(60)
        assert not self.thread.is_alive(), 'no answer'
        return '\n'.join(x for x in self.lines if not x.startswith('LOCATION:'))

    def __call__(self, sql):
        self.send(sql)
        return self.answer()

    def close(self):
        self.p.stdin.close()
        self.p.wait(30)
        self.p.stdout.close()


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

    def bench(self, script, mode, clients, transactions):
        path = self.s.write('bench.sql', script)
        return self.s.run(['pgbench', '-n', '-M', mode, '-c', str(clients), '-t', str(transactions), '-f', path], timeout=600)

    def test_sums_stay(self):
        """amounts move between rows by all protocols while others insert, read and vacuum; no sum ever changes, none is lost"""
        s = self.s
        s.sqlv('truncate t; insert into t select i, 1000 from generate_series(1, 20) i')
        stop, bad = threading.Event(), []

        def watch():
            while not stop.is_set():
                r = s.sql('select sum(v), count(*) from t')
                if r.out.strip() != '20000|20':
                    bad.append(r)
                s.sql('vacuum t')

        watcher = threading.Thread(target=watch)
        watcher.start()
        move = ('\\set x random(1, 20)\n\\set y random(1, 20)\nbegin;\nupdate t set v = v - 1 where a = :x;\nupdate t set v = v + 1 where a = :y;\n'
                'update u set v = v + 1;\ncommit;\n')
        clients, times = (32, 100) if SOAK else (6, 12)
        try:
            for mode in ('simple', 'extended', 'prepared'):
                r = self.bench(move, mode, clients, times)
                self.accepted(r)
                self.assertIn('number of transactions actually processed: %d/%d' % (clients * times, clients * times), r.out)
        finally:
            stop.set()
            watcher.join()
        self.assertEqual(bad, [])
        self.assertEqual(s.sqlv('select sum(v), count(*) from t'), '20000|20')
        self.assertEqual(s.sqlv('select v from u'), str(3 * clients * times))


if __name__ == '__main__':
    unittest.main()
