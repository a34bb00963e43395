"""kill -9 of everything while sessions insert, change, delete, merge, vacuum, create, alter and drop sealed tables, and keys rotate: after
each start committed rows are all there and no others, `sealift warehouse check` finds no damage, and the sweep left no orphan."""
import os
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../faults'))

import tables  # noqa: E402
from harness import SEALIFT, SOAK, SealiftTest, check_warehouse  # noqa: E402

KILLS = 200 if SOAK else 4
SESSIONS = 3
CHECKING_S = 300 if SOAK else 15
SEED = int(os.environ.get('SEALIFT_SEED') or (random.randrange(1 << 32) if SOAK else 1))


class Worker:
    """One session: works until it is cut off; then its last step is done or not."""

    def __init__(self, test, name):
        self.test, self.tables = test, tables.Tables(name, random.Random('%d/%s' % (SEED, name)))
        self.open, self.steps, self.refused = None, 0, []

    def run(self, stop):
        while not stop.is_set():
            statements, changes = self.tables.step()
            self.open = changes
            for sql in statements:
                r = self.test.s.sql(sql)
                if r.code != 0:
                    self.refused += [sql, r.err] if 'ERROR:' in r.err else []  # a kill gives none
                    return
            self.tables.apply(changes)
            self.open = None
            self.steps += 1

    def compare(self, found):
        """what is not as it was, or as the open step makes it; goes on from what is there"""
        before, after = dict(self.tables.models), {**self.tables.models, **(self.open or {})}
        for models in (before, after):
            want = {t: tables.content(m) for t, m in models.items() if m is not tables.ABSENT}
            if want == {t: c for t, c in found.items() if t.startswith(self.tables.prefix + '_')}:
                self.tables.models = {t: m for t, m in models.items() if m is not tables.ABSENT}
                cut, self.open = self.open, None
                return [], bool(cut), models is after and bool(cut)
        return ['%s: %s, not %s or %s' % (self.tables.prefix, found, {t: tables.content(m) for t, m in before.items()},
                                          {t: tables.content(m) for t, m in (self.open or {}).items()})], False, False


class Databases:
    """One session that makes and drops a database, a copy of one with a sealed table."""

    def __init__(self, test):
        self.test, self.there, self.steps = test, False, 0

    def run(self, stop):
        while not stop.is_set():
            r = self.test.s.sql('drop database kcopy' if self.there else 'create database kcopy template ktemplate')
            if r.code != 0:
                return
            self.there = not self.there
            self.steps += 1

    def compare(self):
        """either way, for the last statement; but there it is whole"""
        s = self.test.s
        for _ in range(100):  # a DROP that was cut off is ended by the sweep
            if s.sqlv('select count(*) from pg_database where datconnlimit = -2') == '0':
                break
            time.sleep(0.1)
        self.there = s.sqlv("select count(*) from pg_database where datname = 'kcopy'") == '1'
        found = s.sqlv('select count(*), sum(a) from t', database='kcopy') if self.there else '500|125250'
        return [] if found == '500|125250' else ['kcopy: %s' % found]


class WarehouseKills(SealiftTest):
    def all_contents(self):
        names = self.s.sqlv("select table_name from information_schema.tables where table_schema = 'public'").split()
        return tables.contents(self.s.sqlv, names)

    def test_check_beside_work(self):
        """the check finds nothing wrong with what is just being made, changed, vacuumed and dropped"""
        s, stop = self.s, threading.Event()
        workers = [Worker(self, 'b' + chr(97 + i)) for i in range(SESSIONS)]
        threads = [threading.Thread(target=w.run, args=(stop,)) for w in workers]
        for t in threads:
            t.start()
        checks, wrong, until = 0, [], time.monotonic() + CHECKING_S
        while time.monotonic() < until:
            r = s.run([SEALIFT, 'warehouse', 'check', '--data', s.data])
            wrong += [r] if r.code != 0 else []
            checks += 1
        stop.set()
        for t in threads:
            t.join()
        print('checks: %d beside %d steps' % (checks, sum(w.steps for w in workers)))
        self.assertEqual(wrong, [])
        self.assertEqual([w.refused for w in workers if w.refused], [])
        found = self.all_contents()
        self.assertEqual([x for w in workers for x in w.compare(found)[0]], [])

    def test_kills(self):
        s, rnd = self.s, random.Random(SEED)
        workers = [Worker(self, 'k' + chr(97 + i)) for i in range(SESSIONS)]
        cut = kept = 0
        s.sqlv('create database ktemplate')
        s.sqlv('create table t as select i as a from generate_series(1, 500) i', database='ktemplate')
        databases = Databases(self)
        print('seed %d' % SEED, flush=True)
        for i in range(KILLS):
            stop = threading.Event()
            threads = [threading.Thread(target=w.run, args=(stop,)) for w in workers + [databases]]
            for t in threads:
                t.start()
            if i % 5 == 2:
                s.aws('redshift rotate-encryption-key --cluster-identifier local')
            time.sleep(rnd.random() * 2)
            s.kill_all()
            stop.set()
            for t in threads:
                t.join()
            s.up()
            found, bad = self.all_contents(), databases.compare()
            for w in workers:
                wrong, was_cut, was_kept = w.compare(found)
                bad += wrong + w.refused
                cut, kept = cut + was_cut, kept + was_kept
            self.assertEqual(bad + check_warehouse(s), [], 'kill %d of seed %d' % (i, SEED))
        print('kills: %d, %d steps acknowledged, %d cut off, %d of them committed; %d databases made or dropped'
              % (KILLS, sum(w.steps for w in workers), cut, kept, databases.steps), flush=True)
        self.assertGreater(cut, 0)


if __name__ == '__main__':
    unittest.main()
