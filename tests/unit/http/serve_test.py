#!/usr/bin/env python3
"""Raw-socket cases against a small server: framing, smuggling, limits, keep-alive, Expect, slow clients,
TLS, long streams in bounded memory, and forwarding to a second server. argv: the server's executable."""
import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

H = b"Host: x\r\n"
OK = "200"


def get(path, extra=b"", host=H):
    return b"GET " + path + b" HTTP/1.1\r\n" + host + extra + b"\r\n"


def put(path, extra=b"", body=b""):
    return b"PUT " + path + b" HTTP/1.1\r\n" + H + extra + b"\r\n" + body


def chunked(body, path=b"/count", extra=b""):
    return put(path, b"Transfer-Encoding: chunked\r\n" + extra, body)


def length(n, body, path=b"/count", extra=b""):
    return put(path, b"Content-Length: %s\r\n" % str(n).encode() + extra, body)


NEXT = get(b"/hello")
BIG = b"X" * 70000
# name, bytes sent, statuses of all answers in order, and a pattern that the whole output must match (or None).
# After the bytes our side is closed for writing only with "eof"; a refusal must close the connection by itself.
CASES = [
    ("get", get(b"/hello"), OK, rb"hello$"),
    ("keep-alive", get(b"/hello") + get(b"/hello"), "200 200", None),
    ("pipeline of twenty", get(b"/hello") * 20, " ".join(["200"] * 20), None),
    ("pipeline with bodies", length(3, b"abc") + chunked(b"2\r\nab\r\n0\r\n\r\n") + NEXT, "200 200 200", rb"n=3.*n=2.*hello"),
    ("one empty line before a request", b"\r\n" + NEXT, OK, None),
    ("two empty lines", b"\r\n\r\n" + NEXT, "400", None),
    ("empty line between requests", NEXT + b"\r\n" + NEXT, "200 200", None),
    ("not found", get(b"/nothing"), "404", None),
    ("head", b"HEAD /hello HTTP/1.1\r\n" + H + b"\r\n" + NEXT, "200 200", rb"Content-Length: 5\r\n\r\nHTTP/1.1 200"),
    ("head of a stream", b"HEAD /bytes?n=99999 HTTP/1.1\r\n" + H + b"\r\n" + NEXT, "200 200", rb"Content-Length: 99999\r\n\r\nHTTP/1.1 200"),
    ("head of a known length", b"HEAD /known HTTP/1.1\r\n" + H + b"\r\n" + NEXT, "200 200", rb"Content-Length: 12345\r\n\r\nHTTP/1.1 200"),
    ("a head's length is no body's", get(b"/known") + NEXT, "200 200", rb"Content-Length: 0\r\n\r\nHTTP"),
    ("304", get(b"/304") + NEXT, "304 200", rb"304 Not Modified\r\n(?:(?!Content-Length)[^\r]*\r\n)*\r\nHTTP"),
    ("204", get(b"/204") + NEXT, "204 200", rb"204 No Content\r\n(?:(?!Content-Length)[^\r]*\r\n)*\r\nHTTP"),
    ("headers kept in order", get(b"/show?a=b?c", b"X-A: 1\r\nx-a:\t 2 \t\r\nEmpty:\r\n"), OK, rb"GET\|/show\|a=b\?c\|127.0.0.1\|[01]\|host=x\|x-a=1\|x-a=2\|empty=\|$"),
    ("control bytes in answers' values", get(b"/show"), OK, rb"X-Evil: a  Set-Cookie: b\r\n"),
    ("handlers can't set the length", get(b"/show"), OK, rb"(?s)^(?!.*content-length: 1\r)"),
    ("query with no path change", get(b"/hello?x=%00&y"), OK, None),
    ("options asterisk", b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n", "404", None),
    ("connection close", get(b"/hello", b"Connection: close\r\n") + NEXT, OK, rb"Connection: close\r\n"),
    ("connection close in a list", get(b"/hello", b"Connection: te, Close\r\n") + NEXT, OK, None),
    ("http/1.0", b"GET /hello HTTP/1.0\r\n\r\n" + NEXT, OK, rb"Connection: close"),
    ("http/1.0 keep-alive is declined", b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + NEXT, OK, rb"Connection: close"),
    ("http/1.0 chunked", b"PUT /count HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400", None),
    ("http/0.9", b"GET /hello\r\n\r\n", "400", None),
    ("http/1.2", b"GET /hello HTTP/1.2\r\n" + H + b"\r\n", "505", None),
    ("http/2.0", b"GET /hello HTTP/2.0\r\n" + H + b"\r\n", "505", None),
    ("http/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", None),
    ("version of three digits", b"GET /hello HTTP/1.10\r\n" + H + b"\r\n", "400", None),
    ("lower-case version", b"GET /hello http/1.1\r\n" + H + b"\r\n", "400", None),
    ("two spaces", b"GET  /hello HTTP/1.1\r\n" + H + b"\r\n", "400", None),
    ("space in the target", b"GET /hello x HTTP/1.1\r\n" + H + b"\r\n", "400", None),
    ("tab in the request line", b"GET\t/hello HTTP/1.1\r\n" + H + b"\r\n", "400", None),
    ("trailing space in the request line", b"GET /hello HTTP/1.1 \r\n" + H + b"\r\n", "400", None),
    ("leading space", b" GET /hello HTTP/1.1\r\n" + H + b"\r\n", "400", None),
    ("unknown method", b"BREW /hello HTTP/1.1\r\n" + H + b"\r\n", "400", None),
    ("lower-case method", b"get /hello HTTP/1.1\r\n" + H + b"\r\n", "400", None),
    ("connect", b"CONNECT x:1 HTTP/1.1\r\n" + H + b"\r\n", "400", None),
    ("absolute form", b"GET http://x/hello HTTP/1.1\r\n" + H + b"\r\n", "400", None),
    ("asterisk with get", b"GET * HTTP/1.1\r\n" + H + b"\r\n", "400", None),
    ("fragment", get(b"/hello#x"), "400", None),
    ("bytes above ascii in the target", get(b"/h\xc3\xa4"), "400", None),
    ("nul in the target", get(b"/h\0"), "400", None),
    ("upgrade", get(b"/hello", b"Connection: upgrade\r\nUpgrade: h2c\r\n"), "400", None),
    ("upgrade alone", get(b"/hello", b"Upgrade: websocket\r\n"), "400", None),
    ("no host", get(b"/hello", host=b""), "400", None),
    ("two hosts", get(b"/hello", b"Host: y\r\n"), "400", None),
    ("host with a path", get(b"/hello", host=b"Host: x/y\r\n"), "400", None),
    ("host with user", get(b"/hello", host=b"Host: a@x\r\n"), "400", None),
    ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400", None),
    # lines
    ("bare lf after the request line", b"GET /hello HTTP/1.1\n" + H + b"\r\n", "400", None),
    ("bare lf after a header", b"GET /hello HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", "400", None),
    ("bare lf at the end", b"GET /hello HTTP/1.1\r\nHost: x\r\n\n", "400", None),
    ("bare cr in a value", get(b"/hello", b"A: b\rC: d\r\n"), "400", None),
    ("cr cr lf", get(b"/hello", b"A: b\r\r\n"), "400", None),
    ("nul in a value", get(b"/hello", b"A: b\0c\r\n"), "400", None),
    ("delete in a value", get(b"/hello", b"A: b\x7f\r\n"), "400", None),
    ("folded header", get(b"/hello", b"A: b\r\n c\r\n"), "400", None),
    ("folded by tab", get(b"/hello", b"A: b\r\n\tc\r\n"), "400", None),
    ("folded first header", b"GET /hello HTTP/1.1\r\n Host: x\r\n\r\n", "400", None),
    ("no colon", get(b"/hello", b"abc\r\n"), "400", None),
    ("empty name", get(b"/hello", b": b\r\n"), "400", None),
    ("space before the colon", get(b"/hello", b"A : b\r\n"), "400", None),
    ("space in a name", get(b"/hello", b"A B: b\r\n"), "400", None),
    ("bracket in a name", get(b"/hello", b"A(: b\r\n"), "400", None),
    ("bytes above ascii in a name", get(b"/hello", b"\xc3\xa4: b\r\n"), "400", None),
    ("bytes above ascii in a value", get(b"/show", b"A: \xc3\xa4\r\n"), OK, rb"a=\xc3\xa4\|"),
    # limits
    ("head of almost 64 KiB", get(b"/hello", b"A: " + b"x" * 65400 + b"\r\n"), OK, None),
    ("long head", get(b"/hello", b"A: " + BIG + b"\r\n"), "431", None),
    ("endless request line", b"GET /" + BIG, "431", None),
    ("128 headers", get(b"/hello", b"".join(b"A%d: b\r\n" % i for i in range(127))), OK, None),
    ("129 headers", get(b"/hello", b"".join(b"A%d: b\r\n" % i for i in range(128))), "431", None),
    ("too long a body", length(1 << 40, b""), "413", None),
    ("body above the handler's limit", length(1001, b"x" * 1001, b"/all"), "413", None),
    ("body at the handler's limit", length(1000, b"x" * 1000, b"/all") + NEXT, "200 200", rb"x{1000}HTTP"),
    ("chunked body above the handler's limit", chunked(b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n", b"/all"), "413", None),
    ("chunked body at the handler's limit", chunked(b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n", b"/all"), OK, rb"x{1000}$"),
    # lengths
    ("length and chunked", put(b"/count", b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), "400", None),
    ("chunked and length", put(b"/count", b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n"), "400", None),
    ("two lengths", length(4, b"abcd", extra=b"Content-Length: 5\r\n"), "400", None),
    ("same length twice", length(4, b"abcd", extra=b"Content-Length: 4\r\n"), "400", None),
    ("list of lengths", length("4, 4", b"abcd"), "400", None),
    ("signed length", length("+4", b"abcd"), "400", None),
    ("negative length", length("-1", b""), "400", None),
    ("hex length", length("0x4", b"abcd"), "400", None),
    ("length with a space", length("4 4", b"abcd"), "400", None),
    ("empty length", length("", b""), "400", None),
    ("length past 64 bits", length("18446744073709551617", b"a"), "400", None),
    ("length past 63 bits", length("9223372036854775808", b"a"), "400", None),
    ("leading zeros", length("0004", b"abcd") + NEXT, "200 200", rb"n=4"),
    ("length zero", length(0, b"") + NEXT, "200 200", rb"n=0"),
    ("no body", put(b"/count") + NEXT, "200 200", rb"n=0"),
    ("get with a body", b"GET /count HTTP/1.1\r\n" + H + b"Content-Length: 3\r\n\r\nabc" + NEXT, "200 200", rb"n=3"),
    # codings
    ("unknown coding", put(b"/count", b"Transfer-Encoding: gzip\r\n"), "501", None),
    ("identity", put(b"/count", b"Transfer-Encoding: identity\r\n"), "501", None),
    ("gzip, chunked", put(b"/count", b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), "501", None),
    ("chunked, gzip", put(b"/count", b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"), "400", None),
    ("chunked twice", put(b"/count", b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), "400", None),
    ("chunked in two headers", chunked(b"0\r\n\r\n", extra=b"Transfer-Encoding: chunked\r\n"), "400", None),
    ("coding with a space before the colon", put(b"/count", b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), "400", None),
    ("coding behind a control byte", put(b"/count", b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), "400", None),
    ("xchunked", put(b"/count", b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), "501", None),
    ("empty coding", put(b"/count", b"Transfer-Encoding:\r\n", b"0\r\n\r\n"), "400", None),
    ("coding in capitals", put(b"/count", b"TRANSFER-ENCODING: CHUNKED\r\n", b"1\r\na\r\n0\r\n\r\n") + NEXT, "200 200", rb"n=1"),
    # chunks
    ("chunks", chunked(b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n") + NEXT, "200 200", rb"n=15"),
    ("chunk extensions", chunked(b"5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n") + NEXT, "200 200", rb"n=5"),
    ("zeros before a chunk size", chunked(b"0005\r\nhello\r\n000\r\n\r\n") + NEXT, "200 200", rb"n=5"),
    ("trailers", chunked(b"1\r\na\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\n") + NEXT, "200 200", rb"n=1"),
    ("bare lf after a chunk size", chunked(b"5\nhello\r\n0\r\n\r\n"), "400", None),
    ("bare lf after chunk data", chunked(b"5\r\nhello\n0\r\n\r\n"), "400", None),
    ("bare lf after the last chunk", chunked(b"1\r\na\r\n0\n\n"), "400", None),
    ("bare lf in an extension", chunked(b"5;a\nhello\r\n0\r\n\r\n"), "400", None),
    ("bare lf in a quoted extension", chunked(b"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), "400", None),
    ("bare cr after a chunk size", chunked(b"5\rXhello\r\n0\r\n\r\n"), "400", None),
    ("chunk size with a space", chunked(b"5 \r\nhello\r\n0\r\n\r\n"), "400", None),
    ("space before a chunk size", chunked(b" 5\r\nhello\r\n0\r\n\r\n"), "400", None),
    ("signed chunk size", chunked(b"+5\r\nhello\r\n0\r\n\r\n"), "400", None),
    ("prefixed chunk size", chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), "400", None),
    ("chunk size past 64 bits", chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), "400", None),
    ("no chunk size", chunked(b"\r\nhello\r\n0\r\n\r\n"), "400", None),
    ("chunk longer than its size", chunked(b"5\r\nhelloXX\r\n0\r\n\r\n"), "400", None),
    ("chunk with one byte for its end", chunked(b"5\r\nhello\r0\r\n\r\n"), "400", None),
    ("endless extension", chunked(b"5;" + b"x" * 40000), "400", None),
    ("endless trailers", chunked(b"0\r\n" + b"A: bbbbbbbbbb\r\n" * 3000), "400", None),
    ("bare lf in a trailer", chunked(b"0\r\nX: 1\nY: 2\r\n\r\n"), "400", None),
    ("bare cr in a trailer", chunked(b"0\r\nX: 1\rY: 2\r\n\r\n"), "400", None),
    ("folded trailer", chunked(b"0\r\nX: 1\r\n Y: 2\r\n\r\n"), "400", None),
    ("bad trailer name", chunked(b"0\r\nX Y: 1\r\n\r\n"), "400", None),
    ("no trailer colon", chunked(b"0\r\nGET /hello HTTP/1.1\r\n\r\n"), "400", None),
    ("length as a trailer", chunked(b"0\r\nContent-Length: 5\r\n\r\n") + NEXT, ("400", "200 200"), None),
    ("coding as a trailer", chunked(b"0\r\nTransfer-Encoding: chunked\r\n\r\n") + NEXT, ("400", "200 200"), None),
    # bodies nobody read
    ("unread short body", length(10, b"x" * 10, b"/refuse") + NEXT, "403 200", None),
    ("unread long body", length(300000, b"x" * 300000, b"/refuse") + NEXT, "403", rb"Connection: close"),
    ("unread chunked body, at hand", chunked(b"3\r\nabc\r\n0\r\n\r\n", b"/refuse") + NEXT, ("403 200", "403"), None),
    ("unread body that looks like a request", length(len(NEXT), NEXT, b"/refuse") + NEXT, "403 200", None),
    # expect
    ("expect", length(3, b"abc", extra=b"Expect: 100-continue\r\n") + NEXT, "100 200 200", rb"n=3"),
    ("expect, refused", length(3, b"", b"/refuse", b"Expect: 100-continue\r\n"), "403", rb"Connection: close"),
    ("expect with an empty body", length(0, b"", extra=b"Expect: 100-continue\r\n") + NEXT, "100 200 200", rb"n=0"),
    ("expect without a body", put(b"/count", b"Expect: 100-continue\r\n") + NEXT, "200 200", None),
    ("expect something else", length(3, b"abc", extra=b"Expect: tea\r\n"), "417", None),
    ("expect in 1.0", b"PUT /count HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na", OK, rb"^HTTP/1.1 200"),
    # handlers' faults
    ("answer shorter than announced", get(b"/short") + NEXT, "", None),
    ("no answer", get(b"/silent") + NEXT, "500", rb"Connection: close"),
]
FORWARDED = [n for n, *_ in CASES if n not in ("options asterisk", "unread body that looks like a request", "answer shorter than announced", "no answer")]


def statuses(out):
    return " ".join(m.decode() for m in re.findall(rb"HTTP/1\.1 (\d\d\d) ", out))


def connect(port, tls=None, timeout=10):
    s = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    return tls.wrap_socket(s, server_hostname="localhost") if tls else s


def read_all(s, until=None, quiet=0.05):
    """Until the end, until `until` answers came, or silence: a kept connection says nothing more."""
    out = b""
    usual = s.gettimeout()
    try:
        while True:
            if until is not None and statuses(out) == until:
                s.settimeout(quiet)
            b = s.recv(65536)
            if not b:
                return out, True
            out += b
    except TimeoutError:
        return out, False
    except (ConnectionResetError, BrokenPipeError):
        return out, True
    finally:
        s.settimeout(usual)


class Tester:
    def __init__(self):
        self.passed = 0
        self.failed = []

    def check(self, name, ok, detail=""):
        if ok:
            self.passed += 1
        else:
            self.failed.append(name)
            print(f"FAIL {name}: {detail}", flush=True)


def run_cases(t, port, tls, prefix=b"", names=None, pieces=0):
    for name, data, want, pattern in CASES:
        if names is not None and name not in names:
            continue
        data = re.sub(rb"(?m)^([A-Z]+ )(/(?!up))", rb"\1" + prefix + rb"\2", data) if prefix else data
        s = connect(port, tls)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if pieces:
                for i in range(0, min(len(data), 400), pieces):
                    s.sendall(data[i:min(i + pieces, 400)])
                    time.sleep(0.0002)
                s.sendall(data[400:])
            else:
                s.sendall(data)
        alts = want if isinstance(want, tuple) else (want,)
        out, closed = read_all(s, alts[0])
        s.close()
        got = statuses(out)
        ok = got in alts and (pattern is None or prefix or re.search(pattern, out, re.S))
        if ok and got[-3:] in ("400", "431", "413", "417", "501", "505", "408"):
            ok = closed or b"SL_E_LIMIT" in out  # after a refusal by this layer nothing more is served
        t.check(f"{name}{' (forwarded)' if prefix else ''}{' (pieces)' if pieces else ''}{' (tls)' if tls else ''}", ok,
                f"want {want}, got {got}, closed={closed}: {out[:300]!r}")


def timing(t, port, tls):
    # A head that never ends is answered 408, whatever trickles in; and holds no worker meanwhile.
    slow = [connect(port) for _ in range(30)]
    for s in slow:
        s.sendall(b"GET /hello HTTP/1.1\r\nA")
    quick = time.monotonic()
    s = connect(port)
    s.sendall(NEXT)
    out, _ = read_all(s, "200")
    t.check("served beside thirty slow heads", statuses(out) == "200" and time.monotonic() - quick < 3.0, out)
    for _ in range(8):
        time.sleep(0.3)
        for x in slow[:1]:
            with contextlib.suppress(OSError):
                x.sendall(b"a")
    for i, x in enumerate(slow[:3]):
        out, closed = read_all(x)
        t.check(f"slow head {i}", statuses(out) == "408" and closed, out)
    for x in slow:
        x.close()
    # the same one, kept open since: idle for longer than allowed
    out, closed = read_all(s)
    t.check("idle connection closed", out == b"" and closed, out)
    s.close()
    s = connect(port)
    s.sendall(length(10, b"abc"))
    begin = time.monotonic()
    out, closed = read_all(s)
    t.check("slow body", statuses(out) == "408" and closed and time.monotonic() - begin < 6, out)
    for path in (b"/count", b"/up/count"):
        s = connect(port)
        s.sendall(length(100, b"", path))
        with contextlib.suppress(OSError):
            for _ in range(12):
                s.sendall(b"x")
                time.sleep(0.3)
        out, closed = read_all(s)
        t.check(f"trickling body {path.decode()}", statuses(out) == "408" and closed, out)
    s = connect(port)
    s.sendall(length(10, b"abc"))
    s.shutdown(socket.SHUT_WR)
    out, closed = read_all(s)
    t.check("body cut short", statuses(out) == "400" and b"SL_E_CLOSED" in out and closed, out)
    s = connect(port)
    s.sendall(NEXT)
    s.shutdown(socket.SHUT_WR)
    out, closed = read_all(s)
    t.check("half-closed client is answered", statuses(out) == "200" and closed, out)
    s = connect(port)
    s.sendall(b"GET /hel")
    s.shutdown(socket.SHUT_WR)
    out, closed = read_all(s)
    t.check("head cut short", out == b"" and closed, out)
    # a client that reads nothing
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", port))
    s.sendall(get(b"/bytes?n=1000000000"))
    time.sleep(3.5)
    s.settimeout(5)
    total, closed = 0, False
    with contextlib.suppress(OSError):
        while b := s.recv(1 << 20):
            total += len(b)
        closed = True
    t.check("client that reads nothing is cut", closed or total < 1000000000, total)
    expect_alone(t, port, tls)
    # a refusal reaches a client that goes on sending
    s = connect(port, tls)
    s.sendall(length(3000000, b"", b"/refuse"))
    with contextlib.suppress(OSError):
        for _ in range(8):
            s.sendall(b"x" * 65536)
    out, closed = read_all(s)
    t.check("refusal outlives an upload", statuses(out) == "403" and closed, out)
    s = connect(port)
    s.sendall(get(b"/cut"))
    out, closed = read_all(s)
    t.check("abort", closed and b"Content-Length: 200000" in out and len(out) < 200000, len(out))
    # TLS: a handshake that never comes
    s = connect(tls_port)
    s.sendall(b"\x16\x03\x01")
    plain_on_tls = connect(tls_port)
    plain_on_tls.sendall(NEXT)
    out, closed = read_all(plain_on_tls)
    t.check("plain http on the tls port", closed and b"HTTP" not in out, out)
    s.close()


def expect_alone(t, port, tls):
    """No body before 100, and the answer after it."""
    s = connect(port, tls)
    s.sendall(length(5, b"", extra=b"Expect: 100-continue\r\n"))
    out = s.recv(100)
    t.check("100 alone", out == b"HTTP/1.1 100 Continue\r\n\r\n", out)
    s.sendall(b"12345")
    out, _ = read_all(s, "200")
    t.check("answer after 100", statuses(out) == "200" and b"n=5" in out, out)
    s.close()


def caps(t, port):
    conns = []
    for _ in range(330):
        with contextlib.suppress(OSError):
            conns.append(connect(port))
    refused = 0
    for s in conns:
        s.settimeout(0.3)
        with contextlib.suppress(OSError):
            s.sendall(NEXT)
    for s in conns:
        try:
            refused += s.recv(10) == b""
        except ConnectionResetError:
            refused += 1
        except TimeoutError:
            pass
    for s in conns:  # not before: a closed one makes room for another
        s.close()
    t.check("connections above the cap are closed", 25 <= refused <= 40, refused)
    time.sleep(0.3)
    s = connect(port)
    s.sendall(NEXT)
    out, _ = read_all(s, "200")
    t.check("served again below the cap", statuses(out) == "200", out)


def peak_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))


def streams(t, pid, port, tls, path, size):
    """Both ways through both plain and TLS; memory must not follow the size."""
    before = peak_kib(pid)
    s = connect(port, tls, 60)
    s.sendall(get(path + b"/bytes?n=%d" % size))
    got = 0
    head = b""
    while b"\r\n\r\n" not in head:
        head += s.recv(4096)
    got = len(head) - head.index(b"\r\n\r\n") - 4
    buf = bytearray(1 << 18)
    while got < size:
        n = s.recv_into(buf)
        if n == 0:
            break
        got += n
    t.check(f"download {path.decode()} tls={bool(tls)}", got == size, got)
    block = b"z" * (1 << 20)
    s.sendall(length(size, b"", path + b"/count"))
    for _ in range(size >> 20):
        s.sendall(block)
    out, _ = read_all(s, "200")
    t.check(f"upload {path.decode()} tls={bool(tls)}", f"n={size}".encode() in out, out)
    s.sendall(chunked(b"", path + b"/count"))
    for _ in range(size >> 22):
        s.sendall(b"100000\r\n" + block + b"\r\n")
    s.sendall(b"0\r\n\r\n")
    out, _ = read_all(s, "200")
    t.check(f"chunked upload {path.decode()} tls={bool(tls)}", f"n={size >> 22 << 20}".encode() in out, out)
    grown = peak_kib(pid) - before
    t.check(f"memory {path.decode()} tls={bool(tls)}", grown < 16 * 1024 or SANITIZED, grown)


def both_ways(t, port, tls, path):
    if tls:  # one TLS socket is not for two threads
        return
    s = connect(port, None, 30)
    size = 8 << 20
    s.sendall(length(size, b"", path + b"/both"))

    def feed():
        for _ in range(size >> 16):
            s.sendall(b"q" * 65536)
    th = threading.Thread(target=feed)
    th.start()
    got = 0
    with contextlib.suppress(OSError):
        while got < size:
            b = s.recv(65536)
            if not b:
                break
            got += len(b)
    th.join()
    t.check(f"both ways {path.decode()}", got >= size, got)


def fakes(t, port, folder):
    """Upstreams that misbehave: what they send, what the client must see."""
    resp = b"HTTP/1.1 200 OK\r\n"
    cases = [
        ("silence", b"", "502", None),
        ("garbage", b"\x00\x01\x02\r\n\r\n", "502", None),
        ("half a head", b"HTTP/1.1 200 OK\r\nA: b", "502", None),
        ("head too long", resp + b"A: " + b"x" * 70000, "502", None),
        ("bare lf", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "502", None),
        ("length", resp + b"Content-Length: 2\r\n\r\nab", "200", rb"\r\n\r\nab$"),
        ("short", resp + b"Content-Length: 5\r\n\r\nab", "200", rb"\r\n\r\nab$"),
        ("length and chunked", resp + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab", "502", None),
        ("chunked", resp + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nT: x\r\n\r\n", "200", rb"2\r\nab\r\n0\r\nT: x\r\n\r\n$"),
        ("chunked, malformed", resp + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n", "502", None),
        ("until the end", resp + b"\r\nabc", "200", rb"abc$"),
        ("excess", resp + b"Content-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\n\r\n", "200", rb"\r\n\r\nab$"),
        ("interim not asked for", b"HTTP/1.1 100 Continue\r\n\r\n" + resp + b"Content-Length: 1\r\n\r\na", "200", rb"a$"),
        ("several interim", b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + resp + b"Content-Length: 1\r\n\r\na", "200", rb"a$"),
        ("upgrade", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "502", None),
        ("204", b"HTTP/1.1 204 No Content\r\n\r\n", "204", None),
        ("304 with a length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "304", None),
    ]
    path = os.path.join(folder, "fake.sock")
    for name, answer, want, pattern in cases:
        ls = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        ls.bind(path)
        ls.listen(1)

        def serve():
            c, _ = ls.accept()
            head = b""
            while b"\r\n\r\n" not in head:
                head += c.recv(4096)
            with contextlib.suppress(OSError):
                c.sendall(answer)
                c.shutdown(socket.SHUT_WR)
                c.recv(1)
            c.close()
        th = threading.Thread(target=serve)
        th.start()
        s = connect(port)
        s.sendall(get(b"/fake/x"))
        out, _ = read_all(s, want)
        s.close()
        th.join()
        ls.close()
        alts = want if isinstance(want, tuple) else (want,)
        t.check(f"upstream: {name}", statuses(out) in alts and (pattern is None or re.search(pattern, out, re.S)), out[:300])
    os.unlink(path)
    s = connect(port)
    s.sendall(get(b"/fake/x"))
    out, _ = read_all(s, "503")
    t.check("no upstream", statuses(out) == "503", out)


def with_curl(t, folder, port):
    if shutil.which("curl") is None:
        return
    ca = os.path.join(folder, "cert.pem")
    base = ["curl", "-sS", "--cacert", ca, "-m", "20"]
    big = os.path.join(folder, "big")
    with open(big, "wb") as f:
        f.write(b"c" * 3000000)
    for name, args, want in [
        ("1.2", ["--tlsv1.2", "--tls-max", "1.2", f"https://localhost:{port}/hello"], "hello"),
        ("1.3", ["--tlsv1.3", f"https://localhost:{port}/hello"], "hello"),
        ("two on one connection", [f"https://localhost:{port}/hello", f"https://localhost:{port}/hello"], "hellohello"),
        ("upload with expect", ["-T", big, "-H", "Expect: 100-continue", f"https://localhost:{port}/count"], "n=3000000 done=1"),
        ("upload from a pipe", ["-T", "-", f"https://localhost:{port}/count"], "n=5 done=1"),
        ("forwarded upload", ["-T", big, "-H", "Expect: 100-continue", f"https://localhost:{port}/up/count"], "n=3000000 done=1"),
        ("refused upload", ["-T", big, "-H", "Expect: 100-continue", f"https://localhost:{port}/refuse"], "no"),
        ("alpn", ["--http2", "-w", "%{http_version}", f"https://localhost:{port}/hello"], "hello1.1"),
    ]:
        r = subprocess.run(base + args, capture_output=True, text=True, input="piped")
        t.check(f"curl {name}", r.stdout == want, f"{r.returncode} {r.stdout!r} {r.stderr!r}")
    r = subprocess.run(base + ["--tls-max", "1.1", f"https://localhost:{port}/hello"], capture_output=True, text=True)
    t.check("curl 1.1 is refused", r.returncode != 0 and r.stdout == "", r.stdout)


SANITIZED = False
tls_port = 0


def main():
    global SANITIZED, tls_port
    exe = sys.argv[1]
    with open(exe, "rb") as f:
        SANITIZED = b"__asan_init" in f.read()
    size = (32 if SANITIZED else 512) << 20
    folder = tempfile.mkdtemp()
    t = Tester()
    server = None
    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", folder + "/key.pem", "-out", folder + "/cert.pem"], check=True, capture_output=True)
        tls = ssl.create_default_context(cafile=folder + "/cert.pem")
        server = subprocess.Popen([exe, folder], stdout=subprocess.PIPE)
        _, plain_port, tls_port = server.stdout.readline().split()
        plain_port, tls_port = int(plain_port), int(tls_port)
        notes = []
        threading.Thread(target=lambda: notes.extend(iter(server.stdout.readline, b"")), daemon=True).start()
        run_cases(t, plain_port, None)
        run_cases(t, tls_port, tls)
        run_cases(t, plain_port, None, pieces=7)
        run_cases(t, plain_port, None, b"/up", FORWARDED)
        t.check("forwarded connections may be reused", any(b"reusable=1" in n for n in notes), notes[-3:])
        fakes(t, plain_port, folder)
        timing(t, plain_port, None)
        expect_alone(t, tls_port, tls)
        caps(t, plain_port)
        with_curl(t, folder, tls_port)
        for port, ctx in ((plain_port, None), (tls_port, tls)):
            streams(t, server.pid, port, ctx, b"", size)
            streams(t, server.pid, port, ctx, b"/up", size // 4)
            both_ways(t, port, ctx, b"")
            both_ways(t, port, ctx, b"/up")
        # a stop finishes the request in progress
        s = connect(plain_port)
        s.sendall(length(5, b"abc"))
        time.sleep(0.2)
        server.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        s.sendall(b"de")
        out, closed = read_all(s)
        t.check("request in progress at a stop", b"n=5" in out and closed and b"Connection: close" in out, out)
        t.check("exit", server.wait(15) == 0, server.returncode)
    finally:
        if server is not None and server.poll() is None:
            server.kill()
            server.wait()
        shutil.rmtree(folder)
    print(f"{t.passed} passed, {len(t.failed)} failed")
    return 1 if t.failed else 0


if __name__ == "__main__":
    sys.exit(main())
