"""A session of PostgreSQL's superuser in a running instance, as `sealift warehouse check` has one: what someone who can write the
warehouse's files, but has no key, could do to its catalog. Only for tests that run as the instance's own user or root."""
import array
import os
import socket
import struct


class SqlError(Exception):
    def __init__(self, fields):
        super().__init__('%s: %s' % (fields.get('C'), fields.get('M')))
        self.code, self.fields = fields.get('C'), fields


class Superuser:
    def __init__(self, s, database='dev'):
        admin = socket.socket(socket.AF_UNIX)
        admin.connect(os.path.join(s.data, 'run/admin.sock'))
        name = database.encode()
        admin.sendall(struct.pack('>IB', len(name) + 1, ord('P')) + name)
        data, fds = b'', array.array('i')
        while len(data) < 5:
            part, control, _, _ = admin.recvmsg(4096, socket.CMSG_SPACE(4))
            assert part, 'the supervisor said nothing'
            data += part
            for level, kind, raw in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds.frombytes(raw[:4])
        admin.close()
        assert data[4:5] == b'O' and len(fds) == 1, data
        self.sock = socket.socket(fileno=fds[0])
        self.sock.setblocking(True)
        self.file = self.sock.makefile('rb')
        self.until_ready()

    def until_ready(self):
        rows, error = [], None
        while True:
            kind, length = struct.unpack('>cI', self.file.read(5))
            body = self.file.read(length - 4)
            if kind == b'Z':
                if error:
                    raise error
                return rows
            if kind == b'D':
                rows.append(self.row(body))
            elif kind == b'E':
                error = SqlError({f[:1].decode(): f[1:].decode() for f in body.split(b'\0') if f})

    @staticmethod
    def row(body):
        out, at = [], 2
        for _ in range(struct.unpack('>H', body[:2])[0]):
            n = struct.unpack('>i', body[at:at + 4])[0]
            at += 4
            out.append(None if n < 0 else body[at:at + n].decode())
            at += max(n, 0)
        return out

    def __call__(self, sql):
        """the rows, each a list of texts"""
        text = sql.encode() + b'\0'
        self.sock.sendall(struct.pack('>cI', b'Q', len(text) + 4) + text)
        return self.until_ready()

    def one(self, sql):
        return self(sql)[0][0]

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
