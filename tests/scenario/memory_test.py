"""Key material in memory: a dump of every process but the keyholder holds none of it, and the keyholder can't be dumped by its own user.

As root, /proc/PID/mem is read whole. As an ordinary user no process of Sealift may be read at all, which is then what is tested."""
import base64
import glob
import mmap
import os
import re
import subprocess

from harness import SealiftTest, allow

ROOT = os.geteuid() == 0
OPEN_OTHER = '''import subprocess, sys
own = subprocess.Popen(['sleep', '60'])
try:
    with open('/proc/%d/mem' % own.pid, 'rb'):
        print('own readable')
    open('/proc/%s/mem' % sys.argv[1], 'rb')
    print('other readable')
except PermissionError as e:
    print('refused', e.filename)
finally:
    own.kill()
    own.wait()
'''


def memory(pid):
    """all that a dump would hold, in pieces"""
    with open('/proc/%d/maps' % pid) as maps, open('/proc/%d/mem' % pid, 'rb', 0) as mem:
        for line in maps:
            m = re.match(r'([0-9a-f]+)-([0-9a-f]+) (\S+)', line)
            begin, end = int(m.group(1), 16), int(m.group(2), 16)
            if m.group(3)[0] != 'r' or '[v' in line:
                continue
            tail = b''
            while begin < end:
                n = min(end - begin, 16 << 20)
                try:
                    mem.seek(begin)
                    piece = mem.read(n)
                except OSError:
                    break  # not populated, or memory that nobody else may read
                yield tail + piece
                tail = piece[-4096:]
                begin += n


def forms(secret):
    """as bytes, hex, base64 at each alignment"""
    out = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for skip in range(3):
        out.add(base64.b64encode(secret[skip:skip + (len(secret) - skip) // 3 * 3]))
    return out


class Memory(SealiftTest):
    @classmethod
    def prepare(cls):
        s = cls.s
        cls.material = os.urandom(32)
        key = s.awsj('kms create-key --origin EXTERNAL --description marker-of-kms-memory')['KeyMetadata']['KeyId']
        p = s.awsj(['kms', 'get-parameters-for-import', '--key-id', key, '--wrapping-algorithm', 'RSAES_OAEP_SHA_256', '--wrapping-key-spec', 'RSA_2048'])
        s.write('public.der', base64.b64decode(p['PublicKey']))
        s.write('token', base64.b64decode(p['ImportToken']))
        s.write('material', cls.material)
        wrap = s.run('openssl pkeyutl -encrypt -pubin -inkey public.der -keyform DER -in material -out wrapped -pkeyopt rsa_padding_mode:oaep '
                     '-pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256')
        assert wrap.code == 0, wrap
        os.unlink(os.path.join(s.work, 'material'))
        r = s.aws(['kms', 'import-key-material', '--key-id', key, '--import-token', 'fileb://token', '--encrypted-key-material', 'fileb://wrapped',
                   '--expiration-model', 'KEY_MATERIAL_DOES_NOT_EXPIRE'])
        assert r.code == 0, r
        # The key in use by everybody: directly, by an object, by a load whose session stays.
        blob = s.awsj(['kms', 'encrypt', '--key-id', key, '--plaintext', 'fileb://' + s.write('plain', 'x')])['CiphertextBlob']
        s.awsj(['kms', 'decrypt', '--ciphertext-blob', 'fileb://' + s.write('blob', base64.b64decode(blob))])
        s.awsj(['kms', 'generate-data-key', '--key-id', key, '--key-spec', 'AES_256'])
        assert s.aws('s3 mb s3://marker-of-s3-memory').code == 0
        r = s.aws(['s3', 'cp', s.write('rows', '1\n2\n'), 's3://marker-of-s3-memory/rows', '--sse', 'aws:kms', '--sse-kms-key-id', key])
        assert r.code == 0, r
        role = s.put_role('loader', [allow('s3:*'), allow('kms:*')])
        cls.psql = subprocess.Popen(['psql', '-X', '-q', '-A', '-t'], env=dict(s.env, PGAPPNAME='marker-of-session'), stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        cls.psql.stdin.write("CREATE TABLE t (a integer);\nCOPY t FROM 's3://marker-of-s3-memory/rows' CREDENTIALS 'aws_iam_role=%s';\n"
                             'SELECT pg_backend_pid(), sum(a) FROM t;\n' % role)
        cls.psql.stdin.flush()
        line = cls.psql.stdout.readline().strip()
        cls.backend, total = (int(x) for x in line.split('|'))
        assert total == 3, line
        [path] = [p for p in glob.glob(s.work + '/config/**/*', recursive=True) if os.path.isfile(p) and os.path.getsize(p) == 32]
        with open(path, 'rb') as f:
            cls.root_key = f.read()

    @classmethod
    def tearDownClass(cls):
        cls.psql.communicate()
        super().tearDownClass()

    def processes(self):
        """(name, pid, what must be found in it)"""
        pids = self.s.pids()
        return (('kms', pids['kms'], b'marker-of-kms-memory'), ('s3', pids['s3'], b'marker-of-s3-memory'),
                ('gateway', pids['gateway'], b'marker-of-session'), ('backend', self.backend, b'marker-of-session'))

    def test_dumps_hold_no_key(self):
        wanted = {'imported material': forms(self.material), 'root key': forms(self.root_key)}
        for name, pid, marker in self.processes():
            with self.subTest(name):
                if not ROOT:
                    with self.assertRaises(PermissionError):
                        open('/proc/%d/mem' % pid, 'rb').close()
                    continue
                found, total = set(), 0
                for piece in memory(pid):
                    total += len(piece)
                    found |= {'marker'} if marker in piece else set()
                    found |= {what for what, texts in wanted.items() if any(t in piece for t in texts)}
                self.assertGreater(total, 1 << 20)
                self.assertEqual(found, {'marker'})

    def test_the_search_finds_what_is_there(self):
        """the same reading and the same forms, on this process"""
        held = mmap.mmap(-1, 4096)
        for form in sorted(forms(self.material)):
            held.seek(0)
            held.write(b'\0' * 4096)
            held.seek(1000)
            held.write(form)
            self.assertTrue(any(form in piece for piece in memory(os.getpid())))

    def test_the_keyholder_is_not_read_by_its_own_user(self):
        pid = self.s.pids()['keyholder']
        with open('/proc/%d/status' % pid) as f:
            uid = re.search(r'^Uid:\t(\d+)', f.read(), re.M).group(1)
        command = ['/usr/bin/python3', '-c', OPEN_OTHER, str(pid)]
        if ROOT:
            self.assertNotEqual(uid, '0')
            command = ['setpriv', '--reuid', uid, '--regid', uid, '--clear-groups'] + command
        r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(r.stdout, 'own readable\nrefused /proc/%d/mem\n' % pid, r.stderr)
