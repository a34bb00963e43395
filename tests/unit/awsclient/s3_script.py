#!/usr/bin/env python3
"""Runs a test program against a scripted S3 over HTTPS: s3_script.py PROGRAM.

The server checks each Signature Version 4 with its own few lines, and misbehaves by bucket name. The
program finds it by SEALIFT_TEST_S3 and SEALIFT_TEST_CA; SEALIFT_TEST_OTHER_CA did not sign it.
"""
import gzip
import hashlib
import hmac
import http.server
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.parse

KEY_ID, SECRET, TOKEN, RENEWED = "AKIDTEST", "test/secret+key", "session/token==", "renewed/token=="
BLOB = bytes((i * 7 + i // 251) % 256 for i in range(700_000))
counts = {}


def rows(name, first, n):
    return "".join(f"{i}|{name} row {i}|{i % 7}.25\n" for i in range(first, first + n)).encode()


def load_objects():
    big = rows("big", 0, 120_000)
    members = gzip.compress(big[:1_000_003]) + gzip.compress(big[1_000_003:])
    return {
        "plain/a": rows("a", 0, 40_000),
        "plain/b": b"",
        "plain/c": rows("c", 40_000, 3).rstrip(b"\n"),
        "header/a": b"h1|h2|h3\nsecond\n" + rows("a", 0, 5),
        "header/b": b"h1|h2|h3\nsecond\n" + rows("b", 5, 5),
        "header/c": b"only one line",
        "gzip/a.gz": members,
        "gzip/b.gz": gzip.compress(b""),
        "gzip/c.gz": b"",
        "broken/a.gz": members[:len(members) // 2],
        "garbage/a.gz": b"this is no gzip file at all",
        "bad/a": rows("a", 0, 10),
        "bad/b": rows("b", 10, 5) + b"x|bad|1\n" + rows("b", 15, 5),
        "huge/a": rows("a", 0, 2) + b"9|" + b"z" * (6 << 20) + b"\n" + rows("a", 2, 2) + b"8|" + b"y" * (5 << 20),
        "wide/a": b"1|" + b"w" * (3 << 20) + b"|2\n" + b"2|" + b"v" * (3 << 20) + b"|3\n",
        "csv/a": "".join(f'{i},"line {i}\nwith ""quotes"", and commas",1\n' for i in range(30_000)).encode(),
        "stream/a": rows("s", 0, 400_000),
        "stall/a": b"",  # see do_GET
        "held/a": rows("h", 0, 300_000),  # in the ring as a whole
        "long/a": rows("l", 0, 500_000),
        "down/a": b"".join(reversed(rows("d", 0, 100_000).splitlines(True))),
    }


OBJECTS = load_objects()
PAGED = [f"many/k {i:05d}+é" for i in range(2500)]


def expected_signature(handler, path, query):
    auth = handler.headers.get("Authorization", "")
    fields = dict(f.strip().split("=", 1) for f in auth.split(" ", 1)[1].split(","))
    key_id, date, region, service, _ = fields["Credential"].split("/")
    names = fields["SignedHeaders"].split(";")
    pairs = sorted(q if "=" in q else q + "=" for q in query.split("&")) if query else []
    canonical = "\n".join(
        ["GET", path, "&".join(pairs)]
        + [f"{n}:{handler.headers.get(n, '').strip()}" for n in names]
        + ["", ";".join(names), handler.headers["x-amz-content-sha256"]])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", handler.headers["x-amz-date"],
                         f"{date}/{region}/{service}/aws4_request",
                         hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    good = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    must = {"host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}
    return good == fields["Signature"] and key_id == KEY_ID and must <= set(names) and region == "eu-test-1"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-amz-request-id", "RID1")
        self.send_header("x-amz-id-2", "HOST2")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def error(self, status, code, message):
        self.answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>"
                            "<RequestId>RID3</RequestId><HostId>HOST4</HostId></Error>".encode())

    def listing(self, bucket, query):
        q = urllib.parse.parse_qs(query, keep_blank_values=True)
        assert q["list-type"] == ["2"] and q["encoding-type"] == ["url"]
        prefix = q["prefix"][0]
        names = PAGED if bucket == "paged" else sorted(OBJECTS)
        names = [n for n in names if n.startswith(prefix)]
        start = int(q.get("continuation-token", ["tok=0"])[0].split("=")[1])
        page, rest = names[start:start + 1000], len(names) > start + 1000
        size = (lambda n: 1) if bucket == "paged" else (lambda n: len(OBJECTS[n]))
        body = ["<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>",
                f"<IsTruncated>{str(rest).lower()}</IsTruncated>"]
        if rest:
            body.append(f"<NextContinuationToken>tok={start + 1000}</NextContinuationToken>")
        for n in page:
            body.append(f"<Contents><Key>{urllib.parse.quote(n, safe='/')}</Key><Size>{size(n)}</Size>"
                        "<ETag>&quot;e1&quot;</ETag></Contents>")
        self.answer(200, "".join(body + ["</ListBucketResult>"]).encode())

    def body(self, data, etag='"e1"', cut=0, ranges=True):
        start = 0
        asked = self.headers.get("Range")
        if asked and ranges:
            start = int(asked.split("=")[1].rstrip("-"))
            if self.headers.get("If-Match") not in (None, etag):
                return self.error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold")
        part = data[start:]
        self.send_response(206 if asked and ranges else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", etag)
        if asked and ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if cut and len(part) > cut:
            self.wfile.write(part[:cut])
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        self.wfile.write(part)

    def do_GET(self):
        raw, _, query = self.path.partition("?")
        bucket, _, key = urllib.parse.unquote(raw).lstrip("/").partition("/")
        n = counts[bucket] = counts.get(bucket, 0) + 1
        if not expected_signature(self, raw, query):
            return self.error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
        token = self.headers["x-amz-security-token"]
        if bucket == "expired" or (bucket == "aging" and n > 1 and token == TOKEN):
            return self.error(400, "ExpiredToken", "The provided token has expired.")
        if token not in (TOKEN, RENEWED):
            return self.error(400, "InvalidToken", "The provided token is malformed")
        if bucket == "denied":
            return self.error(403, "AccessDenied", "Access Denied &amp; more")
        if bucket == "nobody":
            return self.answer(403, b"")
        if bucket == "down":
            return self.error(503, "SlowDown", "Please reduce your request rate.")
        if bucket == "flaky" and n <= 2:
            return self.error(503, "SlowDown", "Please reduce your request rate.")
        if bucket == "hang" or key == "stall/a":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            self.wfile.flush()
            self.server.stop.wait(20)
            self.close_connection = True
            return None
        if not key:
            return self.listing(bucket, query)
        if bucket == "aging":  # the token expires before the second request, and the read is cut short
            return self.body(BLOB, cut=200_000 if token == TOKEN else 0)
        if bucket == "cut":
            return self.body(BLOB, cut=200_000)
        if bucket == "changed":
            return self.body(BLOB, etag=f'"e{n}"', cut=200_000)
        if bucket == "norange":
            return self.body(BLOB, cut=200_000 if n == 1 else 0, ranges=False)
        if bucket in ("flaky", "blob"):
            return self.body(BLOB)
        if key in OBJECTS:
            return self.body(OBJECTS[key])
        return self.error(404, "NoSuchKey", "The specified key does not exist.")


def certificate(folder, name):
    pem = os.path.join(folder, name + ".pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", pem + ".key", "-out", pem, "-days", "2", "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return pem


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


def main():
    with tempfile.TemporaryDirectory() as folder:
        pem, other = certificate(folder, "scripted"), certificate(folder, "other")
        server = Server(("127.0.0.1", 0), Handler)
        server.stop = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, pem + ".key")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = dict(os.environ, SEALIFT_TEST_S3=f"https://127.0.0.1:{server.server_address[1]}",
                   SEALIFT_TEST_CA=pem, SEALIFT_TEST_OTHER_CA=other)
        status = subprocess.run(sys.argv[1:], env=env).returncode
        server.stop.set()
        server.shutdown()
    return status


if __name__ == "__main__":
    sys.exit(main())
