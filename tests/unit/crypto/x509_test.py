"""The instance's certificates against strict verifiers: openssl verify -x509_strict, Python's ssl, curl."""
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

MAKE = os.path.abspath(sys.argv[1])
DAY = 86400
HOSTS = ['localhost', '127.0.0.1', '::1', 'box.example.org']
failures = []


def check(what, ok):
    print(('ok   ' if ok else 'FAIL ') + what)
    if not ok:
        failures.append(what)


def make(*args):
    return subprocess.run([MAKE, *args], capture_output=True, text=True)


def verify(ca, cert, *more):
    r = subprocess.run(['openssl', 'verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', ca + '.pem', *more, cert + '.pem'],
                       capture_output=True, text=True)
    return r.returncode == 0, r.stdout + r.stderr


def handshake(ca, cert, name):
    """True when a Python client accepts the server under this name."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert + '.pem', cert + '.key')
    client = ssl.create_default_context(cafile=ca + '.pem')
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    a, b = socket.socketpair()

    def serve():
        try:
            with server.wrap_socket(b, server_side=True) as s:
                s.recv(1)
        except OSError:
            b.close()

    t = threading.Thread(target=serve)
    t.start()
    try:
        with client.wrap_socket(a, server_hostname=name) as s:
            s.sendall(b'x')
        return True
    except ssl.SSLError:
        return False
    finally:
        a.close()
        t.join()


def curl(ca, cert, name):
    """curl against a real listener, as name:port."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert + '.pem', cert + '.key')
    listener = socket.create_server(('127.0.0.1', 0))
    port = listener.getsockname()[1]

    def serve():
        try:
            c, _ = listener.accept()
            with server.wrap_socket(c, server_side=True) as s:
                s.recv(4096)
                s.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
        except OSError:
            pass

    t = threading.Thread(target=serve)
    t.start()
    r = subprocess.run(['curl', '-sS', '--noproxy', '*', '--cacert', ca + '.pem', '--connect-to', f'{name}:{port}:127.0.0.1:{port}',
                        f'https://{name}:{port}/'], capture_output=True, text=True)
    t.join()
    listener.close()
    return r.stdout == 'ok'


with tempfile.TemporaryDirectory() as tmp:
    os.chdir(tmp)
    check('a CA is made', make('ca', 'ca', *HOSTS).returncode == 0)
    r = make('issue', 'ca', 'srv', '397', *HOSTS)
    check('a server certificate is made', r.returncode == 0)
    check('it ends within 397 days', 396 * DAY < int(r.stdout) <= 397 * DAY)
    ok, text = verify('ca', 'srv')
    check('openssl verify -x509_strict: ' + text.strip(), ok)
    check('strict for the CA itself', verify('ca', 'ca', '-purpose', 'any')[0])
    for name, want in (('localhost', True), ('127.0.0.1', True), ('::1', True), ('box.example.org', True),
                       ('other.example.org', False), ('127.0.0.2', False)):
        check(f'python accepts {name}: {want}', handshake('ca', 'srv', name) == want)
    check('curl accepts localhost', curl('ca', 'srv', 'localhost'))
    check('curl accepts 127.0.0.1', curl('ca', 'srv', '127.0.0.1'))
    check('curl refuses another name', not curl('ca', 'srv', 'elsewhere.example.com'))

    # Names below a permitted one are the CA's too; anything else is refused by the verifier, though it was signed.
    for hosts, want in ((['s3.localhost'], True), (['*.box.example.org'], True), (['localhost', 'example.com'], False),
                        (['10.0.0.1'], False), (['::2'], False)):
        check(f'{hosts} is signed', make('issue', 'ca', 'x', '30', *hosts).returncode == 0)
        check(f'{hosts} verifies: {want}', verify('ca', 'x')[0] == want)
    check('a wildcard works', make('issue', 'ca', 'w', '30', '*.box.example.org').returncode == 0 and
          handshake('ca', 'w', 'bucket.box.example.org'))

    # A CA for DNS names only covers no address, and the other way round.
    make('ca', 'dns', 'only.example.org')
    make('issue', 'dns', 'x', '30', '127.0.0.1')
    check('a CA for names covers no address', not verify('dns', 'x')[0])
    make('ca', 'ip', '127.0.0.1')
    make('issue', 'ip', 'x', '30', 'localhost')
    check('a CA for addresses covers no name', not verify('ip', 'x')[0])
    make('issue', 'ip', 'x', '30', '127.0.0.1')
    check('but its address', verify('ip', 'x')[0])

    check('another CA does not verify', not verify('dns', 'srv')[0])
    check('a server certificate issues nothing',
          make('issue', 'srv', 'y', '30', 'localhost').returncode == 0 and
          not verify('ca', 'y', '-untrusted', 'srv.pem')[0])

    make('ca', 'other', *HOSTS)
    os.replace('other.key', 'ca.key')
    check('a foreign CA key is refused', 'does not belong' in make('issue', 'ca', 'x', '30', 'localhost').stderr)
    for args in (('issue', 'other', 'x', '398', 'localhost'), ('issue', 'other', 'x', '0', 'localhost'),
                 ('ca', 'x', 'a,DNS:evil.example'), ('ca', 'x', ''), ('ca', 'x', 'a b'), ('ca', 'x', '.example.org'),
                 ('ca', 'x', 'a*.example.org')):
        check(f'{args} is refused', make(*args).returncode == 1)

sys.exit(1 if failures else 0)
