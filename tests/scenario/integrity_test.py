"""Nothing of a sealed table can be altered unseen: every byte of its file, its key and its catalog rows, and mutations of many
kinds. Reading says that the table is damaged and never gives a wrong row; `sealift warehouse check` finds each; other tables are
served, and a damaged one can be dropped. What belongs to nobody is found, and swept at the next start.

PostgreSQL's page checksums would hide our own seal: they are made right after each change.
"""
import contextlib
import glob
import os
import random
import re
import shutil
import struct
import subprocess
import unittest

from harness import SEALIFT, SOAK, SealiftTest, check_warehouse
from sessions import Session
from superuser import Superuser

PAGE, HEAD = 8192, 24
MUTATIONS = 1000 if SOAK else 40
SEED = int(os.environ.get('SEALIFT_SEED') or (random.randrange(1 << 32) if SOAK else 1))
DAMAGE = re.compile(r'ERROR:  (XX|58)\w{3}:')
LSN, CHECKSUM = range(8), range(8, 10)


def checksum_offsets():
    include = subprocess.run(['pg_config', '--includedir-server'], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with open(include + '/storage/checksum_impl.h') as f:
        return [int(x, 16) for x in re.findall(r'0x[0-9A-F]{8}', f.read())]


OFFSETS = checksum_offsets()


def page_checksum(page, block):
    """PostgreSQL's own"""
    words = struct.unpack('<2048I', page[:8] + b'\0\0' + page[10:])
    result = 0
    for lane, total in enumerate(OFFSETS):
        for word in words[lane::32] + (0, 0):
            total ^= word
            total = (total * 16777619 ^ total >> 17) & 0xffffffff
        result ^= total
    return (result ^ block) % 65535 + 1


def sealed_page(page, block):
    return page[:8] + struct.pack('<H', page_checksum(page, block)) + page[10:]


class Table:
    """One table: its file, key file and catalog rows, and how to put them back."""
    CATALOG = ('segment', 'segment_deletes', 'storage')

    def __init__(self, test, name):
        self.name, self.test, s = name, test, test.s
        self.oid = s.sqlv("select '%s'::regclass::oid" % name)
        self.path = os.path.join(s.data, 'pg', s.sqlv("select pg_relation_filepath('%s')" % name))
        self.storage = self.bytes()[HEAD + 8:HEAD + 24].hex()
        self.key = os.path.join(s.data, 'warehouse', s.sqlv("select oid from pg_database where datname = 'dev'"), self.storage)
        self.keep()

    @property
    def su(self):
        return self.test.su  # of now: a start makes another

    def bytes(self):
        with open(self.path, 'rb') as f:
            return f.read()

    def keep(self):
        """what is there now is what `restore` brings back"""
        self.su('checkpoint')
        self.file = self.bytes()
        with open(self.key, 'rb') as f:
            self.key_bytes = f.read()
        self.rows = self.catalog()

    def catalog(self):
        return {t: [r[0] for r in self.su("select x::text from sealift.%s x where storage = '%s'" % (t, self.storage))] for t in self.CATALOG}

    def live_blocks(self):
        """(first block, blocks) of each segment in the file"""
        return [(int(a), (int(b) + PAGE - HEAD - 1) // (PAGE - HEAD))
                for a, b in self.su("select first_block, bytes from sealift.segment where storage = '%s' and whole is null order by 1" % self.storage)]

    def put(self, at, data):
        with open(self.path, 'r+b', buffering=0) as f:
            f.seek(at)
            f.write(data)

    def put_page(self, block, page):
        self.put(block * PAGE, sealed_page(page, block))

    def page(self, block):
        return self.file[block * PAGE:(block + 1) * PAGE]

    def flip(self, at, bit, fix):
        block, page = at // PAGE, bytearray(self.page(at // PAGE))
        page[at % PAGE] ^= 1 << bit
        self.put(block * PAGE, sealed_page(bytes(page), block) if fix else bytes(page))

    def restore_page(self, at):
        self.put(at // PAGE * PAGE, self.page(at // PAGE))

    def set_catalog(self, rows):
        sql = ''
        for t in self.CATALOG:
            sql += "delete from sealift.%s where storage = '%s'; " % (t, self.storage)
            for r in rows[t]:
                sql += "insert into sealift.%s select ('%s'::sealift.%s).*; " % (t, r.replace("'", "''"), t)
        self.su(sql)

    def restore(self):
        if os.path.exists(self.path + '.away'):
            os.rename(self.path + '.away', self.path)
        self.put(0, self.file)
        self.put_key(self.key_bytes)

    def put_key(self, data):
        with open(self.key, 'wb') as f:
            f.write(data)
        shutil.chown(self.key, *(('postgres', 'postgres') if os.geteuid() == 0 else (os.geteuid(),)))

    def found(self, fresh=False):
        """what the check says of it; `fresh`: by a session that has seen no key"""
        if fresh:
            with Superuser(self.test.s) as su:
                return su('select part, problem from sealift.check_table(%s)' % self.oid)
        return self.su('select part, problem from sealift.check_table(%s)' % self.oid)


class Integrity(SealiftTest):
    @classmethod
    def prepare(cls):
        cls.su = Superuser(cls.s)

    @classmethod
    def tearDownClass(cls):
        cls.su.close()
        super().tearDownClass()

    def setUp(self):
        print('seed %d' % SEED)
        self.rnd = random.Random('%d/%s' % (SEED, self.id()))

    @contextlib.contextmanager
    def down(self):
        """a crash and a start, between them what is done to the files: buffers and sessions are new"""
        self.su.close()
        self.s.kill_all()
        yield
        self.s.up()
        type(self).su = Superuser(self.s)

    def again(self):
        with self.down():
            pass

    def check(self, *args):
        return self.s.run([SEALIFT, 'warehouse', 'check', '--data', self.s.data, *args])

    def until_clean(self):
        self.assertEqual(check_warehouse(self.s), [])

    def damaged(self, said, name, what):
        self.assertRegex(said, DAMAGE, what)
        self.assertIn('"%s"' % name, said, what)

    QUERY = "select count(*), sum(a), min(b), max(b), md5(string_agg(a::varchar(12) || coalesce(b, '-') || coalesce(c::varchar(30), '-'), ',' order by a)) from %s"

    def make_small(self, name):
        self.s.sqlv("create table %s (a int, b varchar(40), c numeric(12,2)); insert into %s select i, md5(i::varchar(9)), i / 8.0 from generate_series(1, 400) i; "
                    "insert into %s values (1000, null, null); delete from %s where a = 7" % (name, name, name, name))
        self.su('alter table public.%s set (autovacuum_enabled = false)' % name)  # it would change what is compared
        return Table(self, name)

    # -- every byte -------------------------------------------------------------------------------------------------

    def test_every_byte_of_the_file(self):
        s, t = self.s, self.make_small('flip')
        self.assertEqual(page_checksum(t.page(1), 1), struct.unpack('<H', t.page(1)[8:10])[0])
        size, rnd, session = len(t.file), self.rnd, Session(s)
        want = session(self.QUERY % 'flip')
        self.assertTrue(want.startswith('400|'), want)
        self.assertGreaterEqual(size, 2 * PAGE)
        self.assertEqual(t.found(), [])
        places = range(PAGE, size) if SOAK else sorted(set(range(PAGE, PAGE + 150)) | set(rnd.sample(range(PAGE, size), 200)) | set(range(size - 30, size)))
        for at in places:
            fix = at % PAGE not in CHECKSUM  # of the checksum itself there is nothing to mend
            t.flip(at, rnd.randrange(8), fix)
            said, found = session(self.QUERY % 'flip'), t.found()
            t.restore_page(at)
            self.damaged(said, 'flip', at)
            self.assertNotEqual(found, [], at)
        self.assertEqual(session(self.QUERY % 'flip'), want)
        # The head: buffers hold it, so the check reads the file.
        for at in [i for i in range(PAGE) if i not in CHECKSUM] if SOAK else list(LSN) + list(range(10, 130)) + rnd.sample(range(130, PAGE), 40):
            t.flip(at, rnd.randrange(8), True)
            found = t.found()
            t.restore_page(at)
            self.assertNotEqual(found, [], at)
            self.assertEqual(found[0][0], 'head')
        session.close()
        for at in (11, 32, 48, 52, 56, 60, 64, 68, 90, 100, 4000) if SOAK else (32, 48, 56, 64):  # storage id, row, block, number of the file, MAC
            with self.down():
                t.flip(at, 4, True)
            said = s.sql(self.QUERY % 'flip', options=('-A', '-t', '-v', 'VERBOSITY=verbose'))
            inserted = s.sql('insert into flip values (1)', options=('-A', '-t', '-v', 'VERBOSITY=verbose'))
            found = t.found()
            head_came_from_the_log = t.page(0) == t.bytes()[:PAGE]
            if head_came_from_the_log:
                self.assertEqual(said.out.strip(), want)
                s.sqlv('delete from flip where a = 1 and b is null')
            else:
                self.damaged(said.err, 'flip', at)
                self.damaged(inserted.err, 'flip', at)
                self.assertNotEqual(found, [], at)
                with self.down():
                    t.restore()
            self.assertEqual(s.sqlv(self.QUERY % 'flip'), want)
            t.keep()

    def fields_of(self, t):
        """(table, number of the row, column, type, byte) of all its catalog rows"""
        out = []
        for table in t.CATALOG:
            for column, kind in self.su("select attname, atttypid::regtype from pg_attribute where attrelid = 'sealift.%s'::regclass and attnum > 0" % table):
                for number, (_, value) in enumerate(self.places(t, table, column)):
                    if value is not None:
                        n = {'bytea': len(value) // 2 - 1, 'uuid': 16, 'integer': 4, 'bigint': 8}[kind]
                        out += [(table, number, column, kind, i) for i in range(n)]
        return out

    def places(self, t, table, column):
        return self.su("select ctid, %s from sealift.%s where storage = '%s' order by ctid" % (column, table, t.storage))

    def flip_field(self, t, field):
        """where the row is then"""
        table, number, column, kind, i = field
        bit = self.rnd.randrange(7)
        ctid, value = self.places(t, table, column)[number]
        if kind in ('bytea', 'uuid'):
            raw = bytearray.fromhex(value[2:] if kind == 'bytea' else value.replace('-', ''))
            raw[i] ^= 1 << bit
            changed = "'%s%s'" % ('\\x' if kind == 'bytea' else '', raw.hex())
        else:
            changed = '%s # (1::%s << %d)' % (column, kind, 8 * i + bit)
        return self.su.one("update sealift.%s set %s = %s where ctid = '%s' returning ctid" % (table, column, changed, ctid))

    def test_every_byte_of_the_catalog_rows(self):
        t, session = self.make_small('rowflip'), Session(self.s)
        want = session(self.QUERY % 'rowflip')
        fields = self.fields_of(t)
        self.assertGreater(len(fields), 500)
        for field in fields if SOAK else self.rnd.sample(fields, 120) + [f for f in fields if f[3] in ('integer', 'bigint') and f[4] == 0]:
            ctid = self.flip_field(t, field)
            said, found = session(self.QUERY % 'rowflip'), t.found()
            self.su("delete from sealift.%s where ctid = '%s'" % (field[0], ctid))
            t.set_catalog(t.rows)
            self.damaged(said, 'rowflip', field)
            self.assertNotEqual(found, [], field)
        self.assertEqual(session(self.QUERY % 'rowflip'), want)
        session.close()

    def test_every_byte_of_the_key(self):
        t = self.make_small('keyflip')
        want = self.s.sqlv(self.QUERY % 'keyflip')
        for at in range(len(t.key_bytes)) if SOAK else self.rnd.sample(range(len(t.key_bytes)), 12):
            t.put_key(t.key_bytes[:at] + bytes([t.key_bytes[at] ^ 1 << self.rnd.randrange(8)]) + t.key_bytes[at + 1:])
            said, found = self.s.sql(self.QUERY % 'keyflip', options=('-A', '-t', '-v', 'VERBOSITY=verbose')), t.found(fresh=True)
            self.damaged(said.err, 'keyflip', at)
            self.assertNotEqual(found, [], at)
        t.put_key(t.key_bytes)
        self.assertEqual(self.s.sqlv(self.QUERY % 'keyflip'), want)

    # -- mutations of many kinds --------------------------------------------------------------------------------------

    def make_large(self, name, seed):
        """a table with a history; its file and catalog rows as they were at each stage"""
        s, stages = self.s, []
        s.sqlv('create table %s (a int, b varchar(40), c numeric(12,2))' % name)
        self.su('alter table public.%s set (autovacuum_enabled = false)' % name)
        insert = "insert into %s select i, md5((i + %d)::varchar(9)), i / 8.0 from generate_series(%d, %d) i"
        t = None
        for sql in (insert % (name, seed, 1, 40000), insert % (name, seed, 40001, 90000), 'delete from %s where a %% 10 = 3' % name,
                    "update %s set b = 'changed' where a < 2000" % name, insert % (name, seed, 90001, 90050), 'delete from %s where a %% 10 = 4' % name):
            s.sqlv(sql)
            t = t or Table(self, name)
            t.keep()
            stages.append((t.file, t.rows))
        return t, stages

    def mutations(self, t, twin, stages):
        """each makes one change; True: buffers or open files may still hold what was"""
        rnd, su = self.rnd, self.su
        blocks = [b for first, n in t.live_blocks() for b in range(first, first + n)]
        foreign = [b for first, n in twin.live_blocks() for b in range(first, first + n)]

        def byte():
            at = rnd.choice(blocks) * PAGE + rnd.randrange(HEAD, PAGE)
            t.flip(at, rnd.randrange(8), True)

        def noise():
            block = rnd.choice(blocks)
            page, at = t.page(block), rnd.randrange(HEAD, PAGE - 64)
            t.put_page(block, page[:at] + rnd.randbytes(64) + page[at + 64:])

        def swapped_pages():
            a, b = rnd.sample(blocks, 2)
            t.put_page(a, t.page(b))
            t.put_page(b, t.page(a))

        def repeated_page():
            a, b = rnd.sample(blocks, 2)
            t.put_page(a, t.page(b))

        def foreign_page():
            t.put_page(rnd.choice(blocks), twin.page(rnd.choice(foreign)))

        def empty_page():
            t.put(rnd.choice(blocks) * PAGE, bytes(PAGE))

        def swapped_segments():
            (a, n), (b, m) = rnd.sample(t.live_blocks(), 2)
            for i in range(min(n, m)):
                t.put_page(a + i, t.page(b + i))
                t.put_page(b + i, t.page(a + i))

        def older_file():
            file, _ = rnd.choice(stages[:1])  # before the second load: it ends earlier
            with open(t.path, 'r+b') as f:
                f.truncate(len(file))
                f.write(file)

        def cut_file():
            with open(t.path, 'r+b') as f:
                f.truncate(rnd.randrange((blocks[-1] + 1) * PAGE - 1))

        def deleted_file():
            os.rename(t.path, t.path + '.away')
            return True

        def older_head():
            t.put(0, sealed_page(rnd.choice(stages[:-2])[0][:PAGE], 0))
            return True

        def foreign_key():
            t.put_key(twin.key_bytes)
            return True

        def deleted_key():
            os.unlink(t.key)
            return True

        def altered_row():
            self.flip_field(t, rnd.choice([f for f in self.fields_of(t) if f[2] not in ('storage', 'whole', 'sealed')]))

        def altered_vector():
            self.flip_field(t, rnd.choice([f for f in self.fields_of(t) if f[2] in ('whole', 'sealed')]))

        def rows_with(change):
            rows = {table: list(r) for table, r in t.rows.items()}
            change(rows)
            t.set_catalog(rows)

        def dropped_row():
            rows_with(lambda rows: rows[rnd.choice(('segment', 'segment_deletes'))].pop())

        def doubled_row():
            table = rnd.choice(('segment', 'segment_deletes'))
            rows_with(lambda rows: rows[table].append(rnd.choice(rows[table])))

        def old_row_back():
            table = rnd.choice(('segment', 'segment_deletes'))
            gone = [r for _, old in stages for r in old[table] if r not in t.rows[table]]
            rows_with(lambda rows: rows[table].append(rnd.choice(gone)) if gone else rows[table].pop(0))

        def older_rows_of_one_kind():
            table = rnd.choice(t.CATALOG)
            older = [old[table] for _, old in stages if old[table] != t.rows[table]]
            rows_with(lambda rows: rows.__setitem__(table, rnd.choice(older)))

        def older_rows_of_two_kinds():
            kept, (_, old) = rnd.choice(t.CATALOG), rnd.choice(stages[:-1])
            rows_with(lambda rows: rows.update({k: v for k, v in old.items() if k != kept}) if old[kept] != t.rows[kept] else rows['segment'].pop())

        def swapped_vectors():
            found = su("select a.ctid, b.ctid from sealift.segment_deletes a, sealift.segment_deletes b where a.storage = '%s' and b.storage = a.storage "
                       "and a.segment < b.segment" % t.storage)
            a, b = rnd.choice(found)
            su("update sealift.segment_deletes x set sealed = y.sealed from sealift.segment_deletes y where x.ctid = '%s' and y.ctid = '%s'" % (a, b))

        def foreign_rows():
            su("update sealift.segment set storage = '%s' where ctid = (select min(ctid) from sealift.segment where storage = '%s')" % (t.storage, twin.storage))

        return [f for f in locals().values() if callable(f) and f not in (self, su, rows_with)]

    def test_mutations(self):
        s, rnd = self.s, self.rnd
        t, stages = self.make_large('large', 1)
        twin, _ = self.make_large('twin', 2)
        session, kinds, done = Session(s), self.mutations(t, twin, stages), {}
        want, other = session(self.QUERY % 'large'), session(self.QUERY % 'twin')
        self.assertEqual((t.found(), twin.found()), ([], []))
        for i in range(MUTATIONS):
            mutate = kinds[i % len(kinds)] if i < len(kinds) else rnd.choice(kinds)
            what = (i, mutate.__name__)
            done[mutate.__name__] = done.get(mutate.__name__, 0) + 1
            hidden = mutate()
            if not hidden:
                said = session(self.QUERY % 'large')
            else:
                r = s.sql(self.QUERY % 'large', options=('-A', '-t', '-v', 'VERBOSITY=verbose'))
                said = r.out + r.err
            found = t.found(fresh=True)
            if mutate.__name__ == 'foreign_rows':
                self.assertNotEqual(twin.found(), [], what)
                twin.set_catalog(twin.rows)
            else:
                self.assertEqual(session('select count(*) from twin'), other.split('|')[0], what)
            t.restore()
            t.set_catalog(t.rows)
            if mutate.__name__ == 'older_head' and said.strip() == want:
                said = 'ERROR:  XX001: "large" (in the buffers)'  # no wrong row, and the check reads the file
            self.damaged(said, 'large', what)
            self.assertNotEqual(found, [], what)
            if i % 20 == 0:
                self.assertEqual(session(self.QUERY % 'large'), want, what)
                self.assertEqual(t.found(fresh=True), [], what)
        self.assertEqual((session(self.QUERY % 'large'), session(self.QUERY % 'twin')), (want, other))
        session.close()
        self.assertEqual(self.check().code, 0)
        print('mutations: %d, %s' % (MUTATIONS, ', '.join('%s %d' % x for x in sorted(done.items()))))

    # -- damage and what goes on -----------------------------------------------------------------------------------------

    def test_damaged_tables_are_named_and_can_be_dropped(self):
        s = self.s
        tables = {n: self.make_small(n) for n in ('d_head', 'd_file', 'd_cut', 'd_key', 'd_row', 'd_page', 'd_sound')}
        want = s.sqlv(self.QUERY % 'd_sound')
        with self.down():
            tables['d_head'].put(0, bytes(PAGE))
            tables['d_page'].put(PAGE, bytes(PAGE))
            os.unlink(tables['d_file'].path)
            with open(tables['d_cut'].path, 'r+b') as f:
                f.truncate(100)
            os.unlink(tables['d_key'].key)
        self.su("update sealift.segment set rows = rows + 1 where storage = '%s'" % tables['d_row'].storage)
        damaged = sorted(n for n in tables if n != 'd_sound')
        for n in damaged:
            r = s.sql(self.QUERY % n, options=('-A', '-t', '-v', 'VERBOSITY=verbose'))
            self.damaged(r.err, n, n)
        self.assertEqual(s.sqlv(self.QUERY % 'd_sound'), want)
        r = self.check()
        self.assertEqual(r.code, 1, r)
        self.assertEqual(sorted(set(re.findall(r'^dev\.public\.(\w+): ', r.out, re.M))), damaged, r)
        self.assertIn('%d damaged' % len(damaged), r.out.splitlines()[-1])
        self.assertEqual(self.check('d_sound').code, 0)
        self.assertEqual(self.check('public.d_row').code, 1)
        self.assertEqual(self.check('--database', 'dev').code, 1)
        self.refused(self.check('d_none'), 'there is no table d_none')
        for n in damaged:
            if n == 'd_page':
                s.sqlv('truncate d_page; insert into d_page values (1)')
                self.assertEqual(s.sqlv('select a from d_page'), '1')
            s.sqlv('drop table %s' % n)
        self.again()
        self.until_clean()
        self.assertEqual(s.sqlv(self.QUERY % 'd_sound'), want)
        folder = os.path.dirname(tables['d_sound'].key)
        self.assertEqual([n for n in damaged if os.path.exists(os.path.join(folder, tables[n].storage))], [])
        self.assertIn('usage: sealift warehouse check', s.run([SEALIFT, 'warehouse', 'check', '--help']).out)
        self.refused(s.run([SEALIFT, 'warehouse', 'promote', '--data', s.data]), 'is no standby')

    def test_a_foreign_head_takes_no_other_table_along(self):
        s = self.s
        own = self.make_small('h_own')
        tables = {n: self.make_small(n) for n in ('h_copied', 'h_forged', 'h_emptied')}
        want = s.sqlv(self.QUERY % 'h_own')
        with self.down():
            for n in ('h_copied', 'h_emptied'):
                tables[n].put(0, own.page(0))
            tables['h_forged'].put_page(0, tables['h_forged'].page(0).replace(bytes.fromhex(tables['h_forged'].storage), bytes.fromhex(own.storage)))
        for n, why in (('h_copied', "its file's head is another file's"), ('h_forged', "its file's head was altered"), ('h_emptied', "its file's head is another file's")):
            r = s.sql(self.QUERY % n, options=('-A', '-t', '-v', 'VERBOSITY=verbose'))
            self.damaged(r.err, n, n)
            self.assertIn(why, r.err)
            self.damaged(s.sql('insert into %s values (1)' % n, options=('-v', 'VERBOSITY=verbose')).err, n, n)
            self.assertIn(why, str(tables[n].found()))
        r = self.check()
        self.assertEqual(sorted(set(re.findall(r'^dev\.public\.(\w+): ', r.out, re.M))), sorted(tables), r)
        self.again()  # nothing is swept while tables don't say what they are
        for n in tables:
            r = s.sql(('truncate %s' if n == 'h_emptied' else 'drop table %s') % n)
            self.assertEqual(r.code, 0, r)
            self.assertIn('WARNING:  the file of table "%s" doesn\'t say which storage it is' % n, r.err)
        self.assertEqual((s.sqlv(self.QUERY % 'h_own'), s.sqlv('select count(*) from h_emptied')), (want, '0'))
        self.again()
        self.until_clean()
        self.assertEqual(s.sqlv(self.QUERY % 'h_own'), want)
        self.assertEqual([n for n in tables if os.path.exists(tables[n].key)], [])
        s.sqlv('drop table h_own, h_emptied')
        self.assertFalse(os.path.exists(own.key))

    # -- what belongs to nobody --------------------------------------------------------------------------------------------

    def plant(self, path, data):
        with open(path, 'wb') as f:
            f.write(data)
        if os.geteuid() == 0:
            shutil.chown(path, 'postgres', 'postgres')

    def plant_folder(self, path, *like):
        os.mkdir(path, 0o700)
        for file in like:
            shutil.copy(file, path)
        if os.geteuid() == 0:
            subprocess.run(['chown', '-R', 'postgres:postgres', path], check=True)

    def test_orphans(self):
        s = self.s
        s.sqlv('create database first; ')
        s.sqlv('create table t (a int); insert into t values (5)', database='first')
        s.sqlv('create database second template first')
        t = self.make_small('orph')
        # settings of a database are its owner's: they reach neither the check nor the sweep
        s.sqlv("create schema evil; create function evil.pg_is_in_recovery() returns boolean as 'select true' language sql; alter database dev set search_path = evil, pg_catalog; "
               'alter database dev set statement_timeout = 20000')
        self.assertEqual(s.sqlv('select pg_is_in_recovery()'), 't')
        with Superuser(s) as su:
            self.assertEqual(su('select pg_is_in_recovery()'), [['f']])
            self.assertEqual((su.one('show search_path'), su.one('show statement_timeout')), ('pg_catalog', '0'))
        s.sqlv('alter database dev set default_transaction_read_only = on')
        self.again()
        self.until_clean()
        s.sqlv('set transaction_read_only = off; begin read write; alter database dev reset all; drop schema evil cascade; commit')
        self.again()
        self.until_clean()
        key_folder, base = os.path.dirname(t.key), os.path.dirname(t.path)
        self.plant(os.path.join(base, '999999'), bytes(PAGE))
        self.plant(os.path.join(base, '999999.1'), bytes(PAGE))
        self.plant(os.path.join(base, '999999_fsm'), bytes(PAGE))
        self.plant_folder(os.path.join(s.data, 'pg/base/999998'), os.path.join(base, 'PG_VERSION'))
        self.plant_folder(os.path.join(s.data, 'warehouse/999997'), os.path.join(key_folder, 'key'))
        lost = '%032x' % random.getrandbits(128)
        record = bytearray(t.key_bytes)
        record[40:56] = bytes.fromhex(lost)
        self.plant(os.path.join(key_folder, lost), bytes(record))
        self.su("insert into sealift.storage select '%032x', rows, changes, sum, mac from sealift.storage where storage = '%s'" % (1, t.storage))
        self.su("insert into sealift.segment select '%032x', segment, first_row, rows, columns, first_block, bytes, footer_offset, footer_tag, whole, mac "
                "from sealift.segment where storage = '%s'" % (2, t.storage))
        self.su("insert into sealift.table_attributes values (999996, '{}')")
        r = self.check()
        self.assertEqual(r.code, 1)
        for text in ('base/%s/999999: no relation' % os.path.basename(base), 'folder base/999998: ', 'keys of database 999997: ', lost, 'storage %032x: ' % 1, 'storage %032x: ' % 2,
                     'attributes of relation 999996: '):
            self.assertIn(text, r.out)
        self.assertIn('0 damaged, 7 orphans', r.out)
        for folder in (key_folder, os.path.dirname(key_folder)):  # one that can't be read is no empty one
            mode = os.stat(folder).st_mode
            os.chmod(folder, 0)
            found = self.su('select part, problem from sealift.check_keys() union all select part, problem from sealift.check_folders()')
            os.chmod(folder, mode)
            self.assertIn(["folder %s" % folder, "it can't be read: Permission denied"], found)
        # Crashes leave some too: files and keys of transactions, catalog rows of temporary tables, half a database.
        sessions = [Session(s) for _ in range(3)]
        sessions[0]('begin; create table cut as select generate_series(1, 50000) as a; create sequence cuts')
        sessions[1]('create temp table tmp as select generate_series(1, 50000) as a')
        sessions[2]('begin; truncate orph; insert into orph select generate_series(1, 9000)')
        files = len(glob.glob(base + '/*'))
        with self.down():
            for x in sessions:
                x.close()
        self.until_clean()
        self.assertLess(len(glob.glob(base + '/*')), files)
        self.assertEqual([f for f in glob.glob(base + '/999999*') if os.path.getsize(f) > 0], [])  # an empty one goes at the next checkpoint
        self.assertEqual(s.sqlv('select count(*) from orph'), '400')
        self.su("update pg_database set datconnlimit = -2 where datname = 'first'")  # as a DROP that was cut off leaves it
        self.assertIn('first: it allows no connections', self.check().out)
        self.again()
        self.until_clean()
        self.assertEqual(s.sqlv("select count(*) from pg_database where datname = 'first'"), '0')
        self.assertEqual(s.sqlv('select a from t', database='second'), '5')
        s.sqlv('drop database second')
        self.assertEqual(self.check().code, 0)


if __name__ == '__main__':
    unittest.main()
