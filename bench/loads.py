"""COPY beside its peers, interleaved: DuckDB (npm) and stock PostgreSQL 15. Used by bench/run.

Ours: psql from its start to its end, from SSE-KMS objects over TLS into a new sealed table, commit included. DuckDB: its statements
up to a checkpoint, the start of its process left out; a new database, plain local files, types given, all processors, the order of rows not kept. PostgreSQL: psql
as ours, the plain local CSV into a new table. psql is the program itself: the Perl script that Debian
puts before it takes 0.03 s to find it, on both sides. Each load has a process of its own. SEALIFT_ROUNDS says how many there are, the medians
count; SEALIFT_BENCH_ROWS replaces the ten million.
"""
import os
import pwd
import re
import shutil
import statistics
import subprocess
import tempfile
import time

import harness
import tables
from sessions import Session
from walkthrough_test import CREATE

ROOT = harness.ROOT
BIN = '/usr/lib/postgresql/15/bin/'
ROUNDS = int(os.environ.get('SEALIFT_ROUNDS') or 7)
PARQUET = ROOT + '/tests/demo/node_modules/vega-datasets/data/flights-3m.parquet'
STAGES = os.path.join(harness.BUILD, 'bench/copy_stages')
LARGE = int(os.environ.get('SEALIFT_BENCH_ROWS') or 10_000_000)
PLAIN_BYTES = 1 << 30
MINIMAL = '-c wal_level=minimal -c max_wal_senders=0'
os.environ['PATH'] = BIN + os.pathsep + os.environ['PATH']


class Stock:
    """PostgreSQL as Debian ships it, defaults kept, on a Unix socket of its own"""

    def __init__(self, options=''):
        self.work = tempfile.mkdtemp(prefix='pgb')
        self.drop = {}
        if os.geteuid() == 0:
            pw = pwd.getpwnam('postgres')
            self.drop = dict(user=pw.pw_uid, group=pw.pw_gid, extra_groups=[])
            os.chown(self.work, pw.pw_uid, pw.pw_gid)
        self.run([BIN + 'initdb', '-D', self.work + '/d', '--locale=C', '--encoding=UTF8', '-U', 'bench'])
        self.run([BIN + 'pg_ctl', '-D', self.work + '/d', '-w', '-l', self.work + '/log', '-o', "-c listen_addresses='' %s -k %s" % (options, self.work), 'start'])

    def run(self, args):
        subprocess.run(args, check=True, stdout=subprocess.DEVNULL, cwd='/', **self.drop)

    def sql(self, text):
        self.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', self.work, '-U', 'bench', '-d', 'postgres', '-c', text])

    def load(self, path):
        """one transaction with the table's creation, as wal_level=minimal wants it"""
        self.sql('drop table if exists flight_data')
        return timed(lambda: self.sql("begin; %s; copy flight_data from '%s' with (format csv); commit" % (CREATE[:CREATE.index('DISTSTYLE')], path)))

    def close(self):
        self.run([BIN + 'pg_ctl', '-D', self.work + '/d', '-m', 'fast', '-w', 'stop'])
        shutil.rmtree(self.work, ignore_errors=True)


def timed(call):
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


TYPES = ('fl_date TIMESTAMP, airline_id INTEGER, origin_region VARCHAR, origin_division VARCHAR, origin_state_name VARCHAR, origin_state_abr VARCHAR, origin_ap VARCHAR, '
         'dest_region VARCHAR, dest_division VARCHAR, dest_state_name VARCHAR, dest_state_abr VARCHAR, dest_ap VARCHAR, dep_delay DECIMAL(8,2), arr_delay DECIMAL(8,2), '
         'cancelled BOOLEAN')


class Duck:
    def __init__(self, work):
        self.work = work

    def load(self, files, memory=False):
        path = ':memory:' if memory else os.path.join(self.work, 'duck.db')
        for old in (path, path + '.wal'):
            if os.path.exists(old):
                os.unlink(old)
        types = ', '.join("%s: '%s'" % tuple(t.split(' ')) for t in TYPES.split(', '))
        statements = ['set threads = %d' % os.cpu_count(), 'set preserve_insertion_order = false',
                      "create table flight_data as select * from read_csv(%s, auto_detect = false, header = false, delim = ',', quote = '\"', columns = {%s})" % (files, types)]
        done = tables.duckdb(path, statements + ([] if memory else ['checkpoint']))
        return sum(d['seconds'] for d in done)


class Ours:
    def __init__(self):
        self.s = harness.Sealift()
        self.s.up()
        self.role = self.s.put_role('Redshift-Loader', [harness.allow(['s3:GetObject', 's3:ListBucket']), harness.allow('kms:Decrypt')])
        self.s.aws('s3 mb s3://bench')

    def put(self, path, key):
        r = self.s.aws(['s3', 'cp', path, 's3://bench/' + key, '--sse', 'aws:kms'], timeout=1200)
        assert r.code == 0, r

    def copy(self, key, options):
        return "COPY flight_data FROM 's3://bench/%s' IAM_ROLE '%s' %s DELIMITER ','" % (key, self.role, options)

    def load(self, key, options='GZIP'):
        self.s.sqlv('drop table if exists flight_data; ' + CREATE)
        return timed(lambda: self.s.sqlv(self.copy(key, options)))

    def cost(self, key, options='GZIP'):
        """peak resident memory (MiB) and CPU seconds of the backend of one more load, CPU seconds of s3 and kms"""
        self.s.sqlv('drop table if exists flight_data; ' + CREATE)
        session = Session(self.s)
        pids = self.s.pids()
        try:
            before, servers = tables.cpu_s(session.pid), sum(tables.cpu_s(pids[n]) for n in ('s3', 'kms', 'keyholder'))
            assert 'ERROR' not in session(self.copy(key, options))
            with open('/proc/%d/status' % session.pid) as f:
                peak = int(re.search(r'VmHWM:\s+(\d+)', f.read())[1]) / 1024
            return peak, tables.cpu_s(session.pid) - before, sum(tables.cpu_s(pids[n]) for n in ('s3', 'kms', 'keyholder')) - servers
        finally:
            session.close()


def rounds(**sides):
    """times of each side, in turn"""
    times = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, call in sides.items():
            times[name].append(call())
    return times


def report(title, rows, times, goals, cost):
    """goals: side -> (times faster that are wanted, or None)"""
    ours = statistics.median(times['ours'])
    print('\n%s (%.1f million rows)' % (title, rows / 1e6))
    for name, t in times.items():
        m = statistics.median(t)
        goal = goals.get(name)
        note = '' if name == 'ours' else '%5.1f times ours%s' % (m / ours, ', wanted %g' % goal if goal else '')
        print('  %-34s %7.3f s  %-32s (%s)' % (name, m, note, ' '.join('%.2f' % x for x in t)))
    print('  backend: %.0f MiB at most, %.3f CPU s a million rows; s3, kms and keyholder: %.3f' % (
        cost[0], cost[1] / rows * 1e6, cost[2] / rows * 1e6), flush=True)


def flights(folder, rows, level):
    """FOLDER/flight_data.gz, or at level 0 FOLDER/flight_data.csv"""
    subprocess.run(['python3', ROOT + '/tests/demo/make_flights.py', '--input', PARQUET, '--out', folder, '--rows', str(rows), '--level', str(level)],
                   check=True, stdout=subprocess.DEVNULL)


def shell(text):
    subprocess.run(text, shell=True, check=True)


def million(ours, duck, stock, minimal):
    """the million flights, and the same shuffled"""
    work = ours.s.work
    flights(stock.work, 1000000, 0)
    csv = stock.work + '/flight_data.csv'
    os.chmod(stock.work, 0o755)
    shell('gzip -6 -c %s > %s/flight_data.gz' % (csv, work))
    shell('shuf --random-source=%s %s | gzip -6 -c > %s/shuffled.gz' % (csv, csv, work))
    for name in ('flight_data.gz', 'shuffled.gz'):
        ours.put(os.path.join(work, name), name)
    one = [os.path.join(work, 'flight_data.gz')]
    times = rounds(**{'ours': lambda: ours.load('flight_data.gz'), 'DuckDB, into a file': lambda: duck.load(one), 'DuckDB, into memory': lambda: duck.load(one, True),
                      'PostgreSQL': lambda: stock.load(csv), 'PostgreSQL, wal_level=minimal': lambda: minimal.load(csv)})
    report('one gzip file', 1e6, times, {'DuckDB, into a file': 6, 'PostgreSQL': 6}, ours.cost('flight_data.gz'))
    print('  stages on one core, %s' % subprocess.run([STAGES, one[0]], check=True, stdout=subprocess.PIPE, text=True).stdout.rstrip())
    shuffled = [os.path.join(work, 'shuffled.gz')]
    times = rounds(**{'ours': lambda: ours.load('shuffled.gz'), 'DuckDB, into a file': lambda: duck.load(shuffled)})
    report('one gzip file, shuffled', 1e6, times, {'DuckDB, into a file': 4}, ours.cost('shuffled.gz'))


def ten_million(ours, duck, stock):
    work = ours.s.work
    flights(stock.work, LARGE, 0)
    csv = stock.work + '/flight_data.csv'
    shell('gzip -6 -c %s > %s/ten.gz' % (csv, work))
    shell('cd %s && mkdir four && split -n l/4 %s four/part. && gzip -6 four/part.*' % (work, csv))
    parts = [os.path.join(work, 'four', n) for n in sorted(os.listdir(work + '/four'))]
    ours.put(work + '/ten.gz', 'ten.gz')
    for p in parts:
        ours.put(p, 'four/' + os.path.basename(p))
    inflate = lambda: float(subprocess.run([STAGES, '--inflate', work + '/ten.gz'], check=True, stdout=subprocess.PIPE, text=True).stdout)  # noqa: E731
    times = rounds(**{'ours': lambda: ours.load('ten.gz'), 'isa-l, inflating alone': inflate})
    report('many rows, one gzip file; wanted: at most 4 times the inflating', LARGE, times, {}, ours.cost('ten.gz'))
    times = rounds(**{'ours': lambda: ours.load('four/'), 'DuckDB, into a file': lambda: duck.load(parts)})
    report('many rows, four gzip files', LARGE, times, {'DuckDB, into a file': 5}, ours.cost('four/'))


def plain(ours, stock):
    csv = stock.work + '/flight_data.csv'
    if os.path.getsize(csv) > PLAIN_BYTES:
        with open(csv, 'r+b') as f:  # a whole number of rows
            f.seek(PLAIN_BYTES)
            f.readline()
            f.truncate(f.tell())
    rows = int(subprocess.run(['wc', '-l', csv], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[0])
    ours.put(csv, 'plain.csv')
    times = rounds(**{'ours': lambda: ours.load('plain.csv', ''), 'PostgreSQL': lambda: stock.load(csv)})
    report('plain CSV, one object of 1 GiB', rows, times, {'PostgreSQL': 8}, ours.cost('plain.csv', ''))


def main(large=True):
    ours = Ours()
    stock, minimal = Stock(), Stock(MINIMAL)
    try:
        duck = Duck(ours.s.work)
        print('COPY, medians of %d; load average %s' % (ROUNDS, os.getloadavg()[0]))
        million(ours, duck, stock, minimal)
        if large:
            ten_million(ours, duck, stock)
            plain(ours, stock)
    finally:
        ours.s.close()
        stock.close()
        minimal.close()
