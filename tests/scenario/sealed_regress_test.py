"""Sealed tables answer as PostgreSQL's own tables do: the same statements on both, rows and errors compared."""
import difflib
import os
import pwd
import shutil
import subprocess
import tempfile
import unittest

from harness import ROOT, SealiftTest

BIN = '/usr/lib/postgresql/15/bin'


class StockPostgres:
    """A PostgreSQL of one's own, without Sealift, on a socket in a temporary folder."""

    def __init__(self, superuser='awsuser'):
        self.work = tempfile.mkdtemp(prefix='slpg')
        self.wrap = []
        if os.geteuid() == 0:
            user = pwd.getpwnam('postgres')
            os.chown(self.work, user.pw_uid, user.pw_gid)
            self.wrap = ['runuser', '-u', 'postgres', '--']
        self.data = os.path.join(self.work, 'd')
        self.tool('initdb', '-D', self.data, '--encoding=UTF8', '--locale=C', '--auth=trust', '--no-sync', '-U', superuser)
        self.tool('pg_ctl', '-D', self.data, '-w', '-l', os.path.join(self.work, 'log'), '-o', "-c listen_addresses='' -k %s -c timezone=UTC" % self.work, 'start')

    def tool(self, name, *args):
        subprocess.run(self.wrap + [os.path.join(BIN, name), *args], check=True, cwd='/', stdout=subprocess.DEVNULL)

    def env(self):
        return dict(os.environ, PGHOST=self.work, PGUSER='awsuser', PGDATABASE='postgres', PGSSLMODE='disable')

    def close(self):
        try:
            self.tool('pg_ctl', '-D', self.data, '-m', 'immediate', 'stop')
        finally:
            shutil.rmtree(self.work, ignore_errors=True)


def answers(env, path):
    """the script's statements, rows and errors as psql shows them"""
    r = subprocess.run(['psql', '-X', '-a', '-q', '-f', path], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280)
    return r.stdout.splitlines()


class SealedRegress(SealiftTest):
    def test_same_answers(self):
        path = os.path.join(ROOT, 'tests/golden/sealed/tables.sql')
        stock = StockPostgres()
        try:
            want = answers(stock.env(), path)
        finally:
            stock.close()
        got = answers(self.s.env, path)
        diff = list(difflib.unified_diff(want, got, 'PostgreSQL', 'sealed', lineterm='', n=3))
        self.assertEqual(diff, [], '\n'.join(diff))
        self.assertGreater(len(got), 500)
        sealed = self.s.sqlv("select count(*), count(*) filter (where amname = 'sealed') from pg_class c join pg_am a on a.oid = c.relam "
                             "where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'm')")
        self.assertEqual(*sealed.split('|'))


if __name__ == '__main__':
    unittest.main()
