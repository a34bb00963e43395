"""KMS beside nginx: CPU of the servers for each call, and the durable rate. Used by bench/run.

nginx (as Debian ships it) answers a fixed text over TLS to the very same requests, with as many bytes; its access log is on in one of the two
comparisons, since ours are audited. Rounds are interleaved, medians count.
"""
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

import harness

LOAD = os.path.join(harness.BUILD, 'bench/kms_load')
ROUNDS, SECONDS, CONNECTIONS = 5, 3, 64
SERVERS = ('s3', 'kms', 'keyholder')

NGINX = """
daemon off; user root; worker_processes auto; pid %(work)s/pid; error_log %(work)s/error.log;
events { worker_connections 768; }
http {
  client_body_temp_path %(work)s/b; proxy_temp_path %(work)s/p; fastcgi_temp_path %(work)s/f; uwsgi_temp_path %(work)s/u; scgi_temp_path %(work)s/s;
  sendfile on; tcp_nopush on; default_type application/x-amz-json-1.1; keepalive_requests 1000000000;
  ssl_certificate %(work)s/cert.pem; ssl_certificate_key %(work)s/key.pem; ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on;
  server { listen 127.0.0.1:%(quiet)d ssl; access_log off; location / { return 200 "%(text)s"; } }
  server { listen 127.0.0.1:%(logged)d ssl; access_log %(work)s/access.log; location / { return 200 "%(text)s"; } }
}
"""


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Nginx:
    def __init__(self):
        self.work = tempfile.mkdtemp(prefix='ngx')
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', self.work + '/key.pem', '-out',
                        self.work + '/cert.pem', '-subj', '/CN=localhost', '-days', '2'], check=True, stderr=subprocess.DEVNULL)
        self.quiet, self.logged = free_port(), free_port()
        self.process = None

    def start(self, text_bytes):
        self.stop()
        conf = NGINX % dict(work=self.work, quiet=self.quiet, logged=self.logged, text='x' * text_bytes)
        if os.geteuid() != 0:
            conf = conf.replace('user root;', '')
        with open(self.work + '/conf', 'w') as f:
            f.write(conf)
        self.process = subprocess.Popen(['/usr/sbin/nginx', '-c', self.work + '/conf', '-p', self.work, '-e', self.work + '/error.log'])
        deadline = time.time() + 10
        while time.time() < deadline:
            try:
                socket.create_connection(('127.0.0.1', self.logged), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError('nginx does not start')

    def pids(self):
        with open('/proc/%d/task/%d/children' % (self.process.pid, self.process.pid)) as f:
            return [int(x) for x in f.read().split()] + [self.process.pid]

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
            self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.work, ignore_errors=True)


def load(s, port, pids, target, body, connections=CONNECTIONS, seconds=SECONDS):
    r = s.run([LOAD, str(port), str(connections), str(seconds), target, body, ','.join(map(str, pids))])
    if r.code != 0:
        raise RuntimeError(repr(r) + s.logs())
    return {k: float(v) for k, v in (x.split('=') for x in r.out.split())}


def ours(s, *args, **kw):
    pids = s.pids()
    return load(s, int(s.env['AWS_ENDPOINT_URL'].rsplit(':', 1)[1]), [pids[n] for n in SERVERS], *args, **kw)


def median(runs, key):
    return statistics.median(r[key] for r in runs)


def beside_nginx(s, name, target, body):
    nginx = Nginx()
    try:
        want = ours(s, target, body, seconds=0.3)['received']
        nginx.start(200)
        nginx.start(200 + int(want - load(s, nginx.quiet, nginx.pids(), target, body, seconds=0.3)['received']))
        mine, quiet, logged = [], [], []
        for _ in range(ROUNDS):
            mine.append(ours(s, target, body))
            quiet.append(load(s, nginx.quiet, nginx.pids(), target, body))
            logged.append(load(s, nginx.logged, nginx.pids(), target, body))
        a, b, c = (median(r, 'server_us') for r in (mine, quiet, logged))
        print('%s, CPU of the servers for each call, %d connections, medians of %d (%d bytes there, %d back):' % (
            name, CONNECTIONS, ROUNDS, mine[0]['sent'], mine[0]['received']))
        print('  s3 + kms + keyholder         %6.1f us   %5.0f/s, the generator at %.2f cores' % (a, median(mine, 'rate'), median(mine, 'load_cores')))
        print('  nginx, fixed answer          %6.1f us   ratio %.2f' % (b, a / b))
        print('  nginx, with its access log   %6.1f us   ratio %.2f' % (c, a / c), flush=True)
    finally:
        nginx.close()


def bodies(s):
    """files with the bodies of one GenerateDataKey and one Decrypt"""
    key = s.awsj('kms create-key --description bench')['KeyMetadata']['KeyId']
    blob = s.awsj(['kms', 'generate-data-key', '--key-id', key, '--key-spec', 'AES_256'])['CiphertextBlob']
    return s.write('data-key.json', '{"KeyId": "%s", "KeySpec": "AES_256"}' % key), s.write('decrypt.json', '{"CiphertextBlob": "%s"}' % blob)


def durable(data_key_rates=ROUNDS):
    """--audit strict: one connection has one flush a call; many share flushes"""
    s = harness.Sealift(options=['--audit', 'strict'])
    try:
        s.up()
        data_key, _ = bodies(s)
        one, many = [], []
        for _ in range(ROUNDS):
            one.append(ours(s, 'TrentService.GenerateDataKey', data_key, connections=1, seconds=2))
            many.append(ours(s, 'TrentService.GenerateDataKey', data_key, connections=64, seconds=2))
        a, b = median(one, 'rate'), median(many, 'rate')
        print('GenerateDataKey with --audit strict, medians of %d:' % ROUNDS)
        print('  1 connection, one flush a call  %6.0f/s' % a)
        print('  64 connections                  %6.0f/s   ratio %.1f' % (b, b / a), flush=True)
    finally:
        s.close()


def main():
    s = harness.Sealift()
    try:
        s.up()
        data_key, decrypt = bodies(s)
        if os.path.exists('/usr/sbin/nginx'):
            beside_nginx(s, 'GenerateDataKey', 'TrentService.GenerateDataKey', data_key)
            beside_nginx(s, 'Decrypt', 'TrentService.Decrypt', decrypt)
        else:
            print('KMS beside nginx: not run, Debian\'s nginx-light is not installed')
    finally:
        s.close()
    durable()
