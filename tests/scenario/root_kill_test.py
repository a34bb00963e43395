"""A change of root that is killed, or cut off by a power cut, at any point: the instance opens with exactly the old root or the new one.

file -> passphrase -> PKCS#11 token -> file, killed with its keyholder after random times; and from one recorded run of each, the disk at every position.
"""
import os
import random
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../faults'))

import replay  # noqa: E402
from harness import SEALIFT, SOAK, kill_tree  # noqa: E402
from instance import Rebuilt, ShimmedTest  # noqa: E402

MODULE = '/usr/lib/softhsm/libsofthsm2.so'
PIN = '1234567'
KILLS = 90 if SOAK else 9
CUTS = 1 << 30 if SOAK else 4  # of each move
SEED = int(os.environ.get('SEALIFT_SEED') or (random.randrange(1 << 32) if SOAK else 1))


class RootKills(ShimmedTest):
    @classmethod
    def start(cls):
        """the words and the token lie outside: what they promise is not ours to test"""
        s, top = cls.s, cls.top
        os.mkdir(top + '/tokens')
        with open(top + '/softhsm.conf', 'w') as f:
            f.write('directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' % top)
        for env in (s.plain_env, s.shim_env):
            env['SOFTHSM2_CONF'] = top + '/softhsm.conf'
        subprocess.run(['softhsm2-util', '--init-token', '--free', '--label', 'sealift', '--so-pin', '87654321', '--pin', PIN], env=s.plain_env, check=True,
                       stdout=subprocess.DEVNULL)
        for name, word in (('word', 'correct horse battery'), ('pin', PIN)):
            with open(os.path.join(top, name), 'w') as f:
                f.write(word + '\n')
        # kind as `keys root` names it: how it is named as a goal, its word
        cls.roots = {'file': ('file', None), 'passphrase': ('passphrase', top + '/word'), 'pkcs11': ('pkcs11:token=sealift;object=root?module-path=' + MODULE, top + '/pin')}
        cls.after = {'file': 'passphrase', 'passphrase': 'pkcs11', 'pkcs11': 'file'}
        cls.history = replay.History(s.work)
        s.log.record(True)
        s.up()
        s.awsj('kms create-key')
        s.down()
        cls.moves = {}
        for kind in cls.roots:
            begun = s.log.tail()
            p = cls.move(kind, s.shim_env)
            assert p.wait(120) == 0, (kind, p.stdout.read())
            p.stdout.close()
            cls.moves[kind] = (begun, s.log.tail())
        s.log.record(False)
        assert not s.log.full()
        cls.history.read(s.log_path)
        cls.history.take_owners(s.work)

    @classmethod
    def move(cls, kind, env):
        """from this kind to the next"""
        goal = cls.after[kind]
        args = [SEALIFT, 'keys', 'root', '--data', cls.s.data, '--to', cls.roots[goal][0]]
        args += ['--passphrase-file', cls.roots[kind][1]] if cls.roots[kind][1] else []
        args += ['--new-passphrase-file', cls.roots[goal][1]] if cls.roots[goal][1] else []
        return subprocess.Popen(args, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def verb(self, s, *args):
        p = subprocess.run([SEALIFT, *args, '--data', s.data], env=dict(s.base_env, SOFTHSM2_CONF=self.top + '/softhsm.conf'), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, start_new_session=True)
        return p.returncode, p.stdout.strip()

    def opened(self, s, old):
        """the kind of root, one of the two, that the domain key is under; it opens, and what it opens is the key that the audit log was made with"""
        code, kind = self.verb(s, 'keys', 'root')
        self.assertEqual(code, 0, kind)
        self.assertIn(kind, (old, self.after[old]))
        word = self.roots[kind][1]
        code, out = self.verb(s, 'audit', 'verify', *(['--passphrase-file', word] if word else []))
        self.assertEqual(code, 0, out)
        self.assertIn('verified: ', out)
        return kind

    def test_power_cuts(self):
        rnd, seen = random.Random(SEED), {True: 0, False: 0}
        for old, (begun, ended) in self.moves.items():
            cuts = [(at, policy) for at in self.history.positions if begun <= at <= ended for policy in ('lost', 'mixed', 'kept')]
            self.assertGreaterEqual(len(cuts), 12)  # create, write, flush, rename, and the folder's flush
            chosen = cuts if len(cuts) <= CUTS else [cuts[0], cuts[-1]] + rnd.sample(cuts[1:-1], CUTS - 2)
            for i, (at, policy) in enumerate(chosen):
                disk = Rebuilt(replay.Cut(self.history, at, policy, '%d/%d' % (SEED, i)), self.s.ports)
                try:
                    with self.subTest(old=old, at=at, policy=policy, seed=SEED):
                        seen[self.opened(disk, old) == old] += 1
                finally:
                    disk.close()
            self.assertEqual(self.acknowledged(old, ended), self.after[old])
        print('power cuts: %d with the old root, %d with the new one' % (seen[True], seen[False]), flush=True)
        self.assertTrue(seen[True] and seen[False])

    def acknowledged(self, old, ended):
        """once the command has said so, it is the new one, whatever is lost"""
        disk = Rebuilt(replay.Cut(self.history, ended, 'lost', SEED), self.s.ports)
        try:
            return self.opened(disk, old)
        finally:
            disk.close()

    def test_kills(self):
        s, rnd, seen, took = self.s, random.Random(SEED), {True: 0, False: 0}, {}
        kind = 'file'  # after the three recorded moves
        for i in range(KILLS):
            begun = time.time()
            p = self.move(kind, s.plain_env)
            if kind in took:
                time.sleep(rnd.uniform(0.3, 1.1) * took[kind])
            else:
                p.wait(120)
                took[kind] = time.time() - begun
            kill_tree([p.pid])  # its keyholder too
            p.wait()
            p.stdout.close()
            now = self.opened(s, kind)
            seen[now == kind] += 1
            kind = now
        print('kills: %d with the old root, %d with the new one' % (seen[True], seen[False]), flush=True)
        if kind != 'file':  # as the other test, and the recording, expect it
            self.assertEqual(self.move(kind, s.plain_env).wait(120), 0)


if __name__ == '__main__':
    unittest.main()
