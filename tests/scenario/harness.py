"""A Sealift of one's own for a test: free ports, a temporary folder, real clients.

    class T(SealiftTest):
        def test_x(self):
            self.aws('s3 mb s3://bucket')

Each test class starts one instance and removes it. Processes end by their own pid; nothing is left behind.
"""
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BUILD = os.environ.get('SEALIFT_BUILD') or os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../build')
SEALIFT = os.path.join(BUILD, 'sealift')
SOAK = os.environ.get('SEALIFT_SOAK') == '1'
SANITIZED = os.environ.get('SEALIFT_SANITIZED') == '1'
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

ACCOUNT = '012345678999'
TRUST = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'redshift.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}


class Result:
    def __init__(self, p):
        self.code, self.out, self.err = p.returncode, p.stdout, p.stderr

    def __repr__(self):
        return 'exit %d\nout: %s\nerr: %s' % (self.code, self.out[-3000:], self.err[-3000:])


class Sealift:
    """One instance. Its environment for clients is .env (a copy of ours with `sealift env` applied)."""

    def __init__(self, account=ACCOUNT, options=(), executable=SEALIFT):
        self.work = tempfile.mkdtemp(prefix='sl')
        os.chmod(self.work, 0o711)
        self.data = os.path.join(self.work, 'd')
        self.account = account
        self.executable = executable
        self.options = list(options)
        self.base_env = {k: v for k, v in os.environ.items() if not k.startswith(('AWS_', 'PG'))}
        self.base_env.update(XDG_CONFIG_HOME=os.path.join(self.work, 'config'), AWS_PAGER='', AWS_EC2_METADATA_DISABLED='true',
                             AWS_CONFIG_FILE='/nonexistent', AWS_SHARED_CREDENTIALS_FILE='/nonexistent', AWS_MAX_ATTEMPTS='1', HOME=self.work,
                             PSQLRC='/dev/null')
        self.env = dict(self.base_env)

    def up(self):
        r = subprocess.run([self.executable, 'up', '--detach', '--data', self.data, '--port', '0', '--sql-port', '0', '--account', self.account] + self.options,
                           env=self.base_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
        if r.returncode != 0:
            raise RuntimeError('sealift up: %s%s\n%s' % (r.stdout, r.stderr, self.logs()))
        self.load_env()
        return self

    def load_env(self):
        text = subprocess.run([self.executable, 'env', '--data', self.data], env=self.base_env, stdout=subprocess.PIPE, check=True, text=True).stdout
        for line in text.splitlines():
            word, *rest = shlex.split(line)
            if word == 'export':
                name, value = rest[0].split('=', 1)
                self.env[name] = value
            elif word == 'unset':
                for name in rest:
                    self.env.pop(name, None)

    def logs(self):
        out = ''
        folder = os.path.join(self.data, 'log')
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), errors='replace') as f:
                out += '--- %s\n%s' % (name, f.read()[-3000:])
        return out

    def down(self):
        subprocess.run([self.executable, 'down', '--data', self.data], env=self.base_env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)

    def pids(self):
        """name -> pid of the supervisor and its children"""
        with open(os.path.join(self.data, 'run/status.json')) as f:
            out = {p['name']: p['pid'] for p in json.load(f)['processes'] if p['pid']}
        with open(os.path.join(self.data, 'run/supervisor')) as f:
            out['supervisor'] = int(f.read())
        return out

    def kill_all(self):
        """kill -9 of every process, children of postgres included"""
        kill_tree(self.pids().values())

    def close(self):
        self.down()
        shutil.rmtree(self.work, ignore_errors=True)

    # -- clients ------------------------------------------------------------------------------------------------

    def run(self, args, env=None, input=None, timeout=300, binary=False):
        if isinstance(args, str):
            args = shlex.split(args)
        p = subprocess.run(args, env=dict(self.env, **(env or {})), cwd=self.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           input=input, text=not binary, timeout=timeout, errors=None if binary else 'replace')
        return Result(p)

    def aws(self, args, env=None, aws='aws', **kw):
        """aws (the first on the path) with a string or list of arguments; endpoint always named, as old clients need it"""
        args = shlex.split(args) if isinstance(args, str) else list(args)
        return self.run([aws, '--endpoint-url', self.env['AWS_ENDPOINT_URL']] + args, env, **kw)

    def awsj(self, args, env=None, **kw):
        """aws that must succeed, its JSON answer"""
        r = self.aws(args, env, **kw)
        if r.code != 0:
            raise AssertionError('aws %s: %r\n%s' % (args, r, self.logs()))
        return json.loads(r.out) if r.out.strip() else None

    def sql(self, text, user=None, password=None, database=None, options=('-A', '-t'), **kw):
        env = {}
        if user:
            env['PGUSER'] = user
        if password:
            env['PGPASSWORD'] = password
        if database:
            env['PGDATABASE'] = database
        return self.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', *options, '-c', text], env, **kw)

    def sqlv(self, text, **kw):
        """psql that must succeed, its output"""
        r = self.sql(text, **kw)
        if r.code != 0:
            raise AssertionError('psql %s: %r\n%s' % (text, r, self.logs()))
        return r.out.strip()

    def write(self, name, data):
        path = os.path.join(self.work, name)
        with open(path, 'wb') as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        return path

    def json_file(self, name, value):
        return 'file://' + self.write(name, json.dumps(value))

    def put_role(self, name, statements, attach=True, trust=TRUST):
        """a role with one inline policy, attached to the cluster"""
        self.awsj(['iam', 'create-role', '--role-name', name, '--assume-role-policy-document', json.dumps(trust)])
        self.put_role_policy(name, statements)
        if attach:
            self.awsj(['redshift', 'modify-cluster-iam-roles', '--cluster-identifier', 'local', '--add-iam-roles', 'arn:aws:iam::%s:role/%s' % (self.account, name)])
        return 'arn:aws:iam::%s:role/%s' % (self.account, name)

    def put_role_policy(self, name, statements):
        r = self.aws(['iam', 'put-role-policy', '--role-name', name, '--policy-name', 'p', '--policy-document',
                      json.dumps({'Version': '2012-10-17', 'Statement': statements})])
        assert r.code == 0, r

    def new_user(self, name, statements):
        """an IAM user with a key: environment for its calls"""
        self.awsj(['iam', 'create-user', '--user-name', name])
        if statements:
            r = self.aws(['iam', 'put-user-policy', '--user-name', name, '--policy-name', 'p', '--policy-document',
                          json.dumps({'Version': '2012-10-17', 'Statement': statements})])
            assert r.code == 0, r
        k = self.awsj(['iam', 'create-access-key', '--user-name', name])['AccessKey']
        return {'AWS_ACCESS_KEY_ID': k['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': k['SecretAccessKey']}


def alive(pid):
    try:
        with open('/proc/%d/stat' % pid) as f:
            return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def children(pid):
    """none when it has ended"""
    out = []
    try:
        for task in os.listdir('/proc/%d/task' % pid):
            with open('/proc/%d/task/%s/children' % (pid, task)) as f:
                out += [int(x) for x in f.read().split()]
    except OSError:
        pass
    return out


def kill_tree(pids):
    """kill -9 of these and of all below them, and waits for their ends"""
    tree, todo = [], list(pids)
    while todo:
        tree.append(todo.pop())
        todo += children(tree[-1])
    for pid in tree:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    deadline = time.time() + 20
    while time.time() < deadline and any(alive(p) for p in tree):
        time.sleep(0.02)


def within(seconds, holds, what=''):
    """waits until holds() is true, and gives what it gave"""
    end = time.time() + seconds
    while True:
        got = holds()
        if got or time.time() > end:
            assert got, 'not within %d s %s' % (seconds, what)
            return got
        time.sleep(0.1)


def check_warehouse(s, seconds=30):
    """`sealift warehouse check` on a running instance: nothing is damaged, and nothing an orphan once the sweep of its start has been"""
    until = time.time() + seconds
    while True:
        r = s.run([SEALIFT, 'warehouse', 'check', '--data', s.data])
        if r.code == 0 and ' 0 damaged, 0 orphans' in r.out:
            return []
        if time.time() > until:
            return ['warehouse check: %s%s' % (r.out, r.err)]
        time.sleep(0.2)


def allow(action, resource='*'):
    return {'Effect': 'Allow', 'Action': action, 'Resource': resource}


class SealiftTest(unittest.TestCase):
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.s = cls.instance()
        cls.addClassCleanup(cls.s.close)
        cls.start()

    @classmethod
    def instance(cls):
        return Sealift(options=cls.options)

    @classmethod
    def start(cls):
        cls.s.up()
        cls.prepare()

    @classmethod
    def prepare(cls):
        """once for the class, after the start"""

    def refused(self, result, *texts):
        """the command failed, and said all of these"""
        self.assertNotEqual(result.code, 0, result)
        for t in texts:
            self.assertIn(t, result.out + result.err)

    def accepted(self, result):
        self.assertEqual(result.code, 0, '%r\n%s' % (result, self.s.logs()))
        return result.out

    def wait_available(self, seconds=60):
        """until no key rotation runs; gives the cluster"""
        def cluster():
            c = self.s.awsj('redshift describe-clusters --cluster-identifier local')['Clusters'][0]
            self.assertIn(c['ClusterStatus'], ('available', 'rotating-keys'))
            return c if c['ClusterStatus'] == 'available' else None
        return within(seconds, cluster, 'the end of the rotation')

    def audit_verifies(self):
        self.accepted(self.s.run([SEALIFT, 'audit', 'verify', '--data', self.s.data]))
