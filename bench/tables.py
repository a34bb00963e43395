"""Sealed tables beside DuckDB's, and beside themselves without encryption. Used by bench/run.

size: ten million flights, loaded by COPY, all that the database grew by (file, catalog rows, their indexes), against DuckDB's file of the same table.
scan: every column of every row, by a new session each time, so that no key is there yet; the same in a Sealift whose module does not encrypt, in turns.
"""
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import harness
from sessions import Session
from walkthrough_test import CREATE

ROWS = int(os.environ.get('SEALIFT_BENCH_ROWS', 10_000_000))
ROUNDS = 11
BENCH = os.path.join(harness.ROOT, 'bench')
PLAIN = CREATE[:CREATE.index('DISTSTYLE')]


def flights(folder, level):
    """flight_data.gz, or at level 0 flight_data.csv"""
    subprocess.run(['python3', harness.ROOT + '/tests/demo/make_flights.py', '--input', harness.ROOT + '/tests/demo/node_modules/vega-datasets/data/flights-3m.parquet',
                    '--out', folder, '--level', level, '--rows', str(ROWS)], check=True, stdout=subprocess.DEVNULL)


def duckdb(path, statements):
    """[{seconds, rows}] of each statement"""
    out = subprocess.run(['node', BENCH + '/duckdb.mjs', path], input=json.dumps(statements), stdout=subprocess.PIPE, check=True, text=True, cwd=BENCH).stdout
    return [json.loads(line) for line in out.splitlines()]


def loaded(s, source):
    """the flights in a Sealift that was started, and the bytes they take"""
    role = s.put_role('Loader', [harness.allow(['s3:GetObject', 's3:ListBucket'])])
    s.aws('s3 mb s3://bench')
    s.aws(['s3', 'cp', source, 's3://bench/flight_data.gz'], timeout=3000)
    s.sqlv(CREATE)
    before = int(s.sqlv('select pg_database_size(current_database())'))
    s.sqlv("copy flight_data from 's3://bench/flight_data.gz' iam_role '%s' gzip delimiter ','" % role, timeout=3000)
    after = int(s.sqlv('select pg_database_size(current_database())'))
    assert s.sqlv('select count(*) from flight_data') == str(ROWS)
    return after - before


def size(s, work):
    flights(work, '1')
    ours = loaded(s, work + '/flight_data.gz')
    subprocess.run('gunzip -c flight_data.gz > flight_data.csv', shell=True, cwd=work, check=True)
    path = work + '/flights.duckdb'
    count = duckdb(path, [PLAIN, "copy flight_data from '%s/flight_data.csv' (header false)" % work, 'checkpoint', 'select count(*) from flight_data'])[-1]['rows'][0][0]
    assert int(count) == ROWS
    theirs = os.path.getsize(path)
    os.unlink(work + '/flight_data.csv')
    version = duckdb(':memory:', ['select version()'])[0]['rows'][0][0]
    print('%d flights:' % ROWS)
    print('  sealed table    %7.1f MB   %.1f bytes a row' % (ours / 1e6, ours / ROWS))
    print('  DuckDB %-7s  %7.1f MB   ratio %.2f' % (version, theirs / 1e6, ours / theirs), flush=True)


def without_cipher(work):
    """the same executable beside the module that does not encrypt"""
    os.makedirs(work + '/null/extension')
    shutil.copy(harness.SEALIFT, work + '/null')
    shutil.copy(os.path.join(harness.BUILD, 'extension/null/sealift.so'), work + '/null/extension')
    return harness.Sealift(executable=work + '/null/sealift')


def cpu_s(pid):
    with open('/proc/%s/stat' % pid) as f:
        return sum(int(x) for x in f.read().rsplit(')', 1)[1].split()[11:13]) / os.sysconf('SC_CLK_TCK')


def scan_once(s, query):
    """(CPU of the backend, time) in seconds"""
    session = Session(s, 'set max_parallel_workers_per_gather = 0')
    try:
        before, begun = cpu_s(session.pid), time.monotonic()
        assert session(query).startswith(str(ROWS))
        return cpu_s(session.pid) - before, time.monotonic() - begun
    finally:
        session.close()


def scan(s, work):
    null = without_cipher(work)
    try:
        null.up()
        loaded(null, work + '/flight_data.gz')
        columns = s.sqlv("select string_agg(attname, ' ' order by attnum) from pg_attribute where attrelid = 'flight_data'::regclass and attnum > 0").split()
        query = 'select count(*), %s from flight_data' % ', '.join('count(%s)' % c for c in columns)
        pairs = []
        for i in range(ROUNDS + 1):
            times = {x: scan_once(x, query) for x in ((s, null) if i % 2 else (null, s))}
            pairs.append((times[s], times[null]))
        pairs = pairs[1:]  # the first fills the system's cache
        print('Scan of %d columns of %d rows in a new session, %d pairs:' % (len(columns), ROWS, ROUNDS))
        for what, k in (('CPU of the backend', 0), ('time', 1)):
            ours, theirs = [p[0][k] for p in pairs], [p[1][k] for p in pairs]
            print('  %-18s sealed %5.2f s, without the cipher %5.2f s: ratio of the medians %.3f, median of the pairs %.3f, of the least %.3f' % (
                what, statistics.median(ours), statistics.median(theirs), statistics.median(ours) / statistics.median(theirs),
                statistics.median(a / b for a, b in zip(ours, theirs)), min(ours) / min(theirs)), flush=True)
    finally:
        null.close()


def main():
    work, s = tempfile.mkdtemp(prefix='sltb'), harness.Sealift()
    try:
        os.chmod(work, 0o755)
        s.up()
        size(s, work)
        scan(s, work)
    finally:
        s.close()
        shutil.rmtree(work, ignore_errors=True)
