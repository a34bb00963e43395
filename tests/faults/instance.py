"""An instance whose processes carry the shim, and one that stands on a rebuilt disk; clients that survive restarts."""
import http.client
import json
import os
import shutil
import socket
import ssl
import tempfile
import threading
import urllib.parse

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials

import replay
from harness import BUILD, Sealift, SealiftTest

SHIM = os.path.join(BUILD, 'tests/faults/libfaults.so')
LOG_LIMIT = 8 << 30
# Tests alone build disks, so memory will do; the instance under test writes to a real one.
SCRATCH = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(('127.0.0.1', 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Shimmed(Sealift):
    """`.log` steers the shim. Ports are fixed, so that clients stay valid over restarts."""

    def __init__(self, options=(), ports=None):
        super().__init__(options=options)
        self.ports = ports or free_ports(2)
        self.options += ['--port', str(self.ports[0]), '--sql-port', str(self.ports[1])]
        lib = os.path.join(self.data, 'lib')  # what every process may read
        os.makedirs(lib)
        os.chmod(self.data, 0o711)
        os.chmod(lib, 0o755)
        shutil.copy(SHIM, lib)
        fd, self.log_path = tempfile.mkstemp(prefix='sl', suffix='.faults')
        os.close(fd)
        self.log = replay.Log(self.log_path, os.stat(self.data).st_dev, LOG_LIMIT)
        self.plain_env = self.base_env
        self.shim_env = dict(self.base_env, LD_PRELOAD=os.path.join(lib, 'libfaults.so'), SEALIFT_FAULTS=self.log_path)

    def up(self):
        self.base_env = self.shim_env
        try:
            super().up()
        finally:
            self.base_env = self.plain_env
            self.load_env()
        return self

    def load_env(self):
        if self.base_env is not self.shim_env:
            super().load_env()

    def close(self):
        super().close()
        self.log.close()
        os.unlink(self.log_path)


class ShimmedTest(SealiftTest):
    """`.top`: a folder for what is not the instance's"""

    @classmethod
    def instance(cls):
        top = tempfile.TemporaryDirectory(prefix='sl')
        cls.addClassCleanup(top.cleanup)
        cls.top = top.name
        return Shimmed(options=cls.options)


class Rebuilt(Sealift):
    """A disk as a cut left it."""

    def __init__(self, cut, ports):
        super().__init__(options=['--port', str(ports[0]), '--sql-port', str(ports[1])])
        os.rmdir(self.work)
        top = tempfile.mkdtemp(prefix='sl', dir=SCRATCH)
        os.chmod(top, 0o711)
        self.top = top
        self.work = os.path.join(top, 'w')
        self.data = os.path.join(self.work, 'd')
        self.base_env.update(XDG_CONFIG_HOME=os.path.join(self.work, 'config'), HOME=self.work)
        self.env = dict(self.base_env)
        cut.build(self.work)

    def close(self):
        if os.path.exists(os.path.join(self.data, 'run/supervisor')):
            self.kill_all()
        shutil.rmtree(self.top, ignore_errors=True)


class Clients:
    """boto3's clients, and signed calls for operations that an old boto3 does not know."""

    def __init__(self, s, ca_copy):
        shutil.copy(s.env['AWS_CA_BUNDLE'], ca_copy)
        self.endpoint = s.env['AWS_ENDPOINT_URL']
        self.key = (s.env['AWS_ACCESS_KEY_ID'], s.env['AWS_SECRET_ACCESS_KEY'])
        self.ca = ca_copy
        session = boto3.session.Session(*self.key, region_name='us-east-1')
        config = botocore.config.Config(retries={'total_max_attempts': 1}, max_pool_connections=16, connect_timeout=5, read_timeout=60,
                                        s3={'addressing_style': 'path'})
        self.kms, self.s3, self.iam, self.redshift = (session.client(name, endpoint_url=self.endpoint, verify=ca_copy, config=config)
                                                     for name in ('kms', 's3', 'iam', 'redshift'))
        self.opened = []
        self.local = threading.local()

    def forget(self):
        """after a restart: no connection is taken up again"""
        for c in (self.kms, self.s3, self.iam, self.redshift):
            c._endpoint.http_session.close()
        while self.opened:
            self.opened.pop().close()
        self.local = threading.local()

    def connection(self):
        c = getattr(self.local, 'c', None)
        if c is None:
            u = urllib.parse.urlsplit(self.endpoint)
            c = self.local.c = http.client.HTTPSConnection(u.hostname, u.port, timeout=60, context=ssl.create_default_context(cafile=self.ca))
            self.opened.append(c)
        return c

    def call(self, operation, **body):
        """one KMS operation; the answer, with its request id"""
        data = json.dumps(body)
        r = botocore.awsrequest.AWSRequest('POST', self.endpoint + '/', data=data, headers={
            'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': 'TrentService.' + operation})
        botocore.auth.SigV4Auth(botocore.credentials.Credentials(*self.key), 'kms', 'us-east-1').add_auth(r)
        c = self.connection()
        try:
            c.request('POST', '/', data, dict(r.headers.items()))
            answer = c.getresponse()
            text = answer.read()
        except BaseException:
            c.close()
            raise
        out = json.loads(text) if text else {}
        if answer.status != 200:
            raise Refused(out.get('__type', str(answer.status)), out.get('message', ''))
        out['ResponseMetadata'] = {'RequestId': answer.getheader('x-amzn-requestid')}
        return out


class Refused(Exception):
    pass
