"""Loads that stand still in their middle for as long as a test likes: a relay before the S3 port."""
import os
import socket
import threading


class Gate:
    """Holds back what S3 answers to COPY; made of an instance that is up, which it restarts so that COPY reads through here."""

    def __init__(self, s):
        self.s = s
        self.cond = threading.Condition()
        self.left = None  # bytes of answers that may still pass; None: all
        self.refuses = False
        self.holding = 0  # connections that wait
        self.passed = 0
        self.socks = set()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        s.down()
        with open(os.path.join(s.data, 'pg/postgresql.auto.conf'), 'a') as f:
            f.write("sealift.s3_endpoint = 'https://127.0.0.1:%d'\n" % self.port)
        s.up()

    # -- for tests ------------------------------------------------------------------------------------------------------

    def hold(self, after):
        """lets so many bytes of answers pass, all connections together, and no more"""
        with self.cond:
            self.left = after
            self.refuses = False

    def release(self):
        with self.cond:
            self.left = None
            self.refuses = False
            self.cond.notify_all()

    def cut(self):
        """ends all connections, and refuses new ones until it is released"""
        with self.cond:
            self.refuses = True
            self.cond.notify_all()
            for s in list(self.socks):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def wait_held(self, seconds=60):
        with self.cond:
            if not self.cond.wait_for(lambda: self.holding > 0, seconds):
                raise AssertionError('nothing is held after %d s' % seconds)

    def close(self):
        self.cut()
        self.listener.close()

    # -- inside ---------------------------------------------------------------------------------------------------------

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        try:
            if self.refuses:
                raise OSError
            far = socket.create_connection(('127.0.0.1', int(self.s.env['AWS_ENDPOINT_URL'].rsplit(':', 1)[1])))
        except OSError:
            near.close()
            return
        with self.cond:
            self.socks |= {near, far}
        t = threading.Thread(target=self.relay, args=(near, far, False), daemon=True)
        t.start()
        self.relay(far, near, True)
        t.join()
        with self.cond:
            self.socks -= {near, far}
        near.close()
        far.close()

    def allowed(self, want):
        """how many bytes may pass now; waits while none may"""
        with self.cond:
            while self.left == 0 and not self.refuses:
                self.holding += 1
                self.cond.notify_all()
                self.cond.wait()
                self.holding -= 1
            if self.refuses:
                raise OSError
            n = want if self.left is None else min(want, self.left)
            self.left = None if self.left is None else self.left - n
            self.passed += n
            return n

    def relay(self, source, sink, answers):
        try:
            while data := source.recv(65536):
                while data:
                    n = len(data) if not answers else self.allowed(len(data))
                    sink.sendall(data[:n])
                    data = data[n:]
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
