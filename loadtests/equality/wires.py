"""Bytes that no client should send: what the server itself has to judge, before the app sees a request."""

from collections.abc import Iterator

from loadtests.equality.probes import Probe
from loadtests.equality.surface import BODY


def wires() -> Iterator[Probe]:
    """Each is the whole of a request, and no client adds anything to it."""
    host = b"Host: parity\r\n"
    for name, raw in (
        ("HTTP/1.0", b"GET /healthz HTTP/1.0\r\n\r\n"),
        ("HTTP/1.0 that stays", b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        ("asked to close", b"GET /healthz HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n"),
        ("an empty line before", b"\r\nGET /healthz HTTP/1.1\r\n" + host + b"\r\n"),
        ("no Host", b"GET /healthz HTTP/1.1\r\n\r\n"),
        ("two Hosts", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("a whole URL", b"GET http://parity/healthz HTTP/1.1\r\n" + host + b"\r\n"),
        ("OPTIONS of all", b"OPTIONS * HTTP/1.1\r\n" + host + b"\r\n"),
        ("a path without a slash", b"GET healthz HTTP/1.1\r\n" + host + b"\r\n"),
        ("raw Latin-1 in a target", b"GET /healthz?\xfc HTTP/1.1\r\n" + host + b"\r\n"),
        ("raw UTF-8 in a target", b"GET /healthz?\xc3\xbc HTTP/1.1\r\n" + host + b"\r\n"),
        ("raw UTF-8 in a path", b"GET /ch\xc3\xa4t HTTP/1.1\r\n" + host + b"\r\n"),
        ("a fragment", b"GET /healthz#x HTTP/1.1\r\n" + host + b"\r\n"),
        ("a version that is not", b"GET /healthz HTTP/9.9\r\n" + host + b"\r\n"),
        ("no version", b"GET /healthz\r\n\r\n"),
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\r\n\r\n"),
        ("a method in small letters", b"get /healthz HTTP/1.1\r\n" + host + b"\r\n"),
        ("a header without a colon", b"GET /healthz HTTP/1.1\r\n" + host + b"oops\r\n\r\n"),
        ("a space before a colon", b"GET /healthz HTTP/1.1\r\n" + host + b"X-A : 1\r\n\r\n"),
        ("a folded header", b"GET /healthz HTTP/1.1\r\n" + host + b"X-A: 1\r\n 2\r\n\r\n"),
        ("an empty header", b"GET /healthz HTTP/1.1\r\n" + host + b"X-A:\r\n\r\n"),
        ("a NUL in a header", b"GET /healthz HTTP/1.1\r\n" + host + b"X-A: a\0b\r\n\r\n"),
        ("line feeds alone", b"GET /healthz HTTP/1.1\nHost: parity\n\n"),
        ("150 headers", b"GET /healthz HTTP/1.1\r\n" + host + b"X-A: 1\r\n" * 150 + b"\r\n"),
        (
            "a header of 20 KB",
            b"GET /healthz HTTP/1.1\r\n" + host + b"X-A: " + b"a" * 20_000 + b"\r\n\r\n",
        ),
        ("a target of 6 KB", b"GET /healthz?" + b"a" * 6000 + b" HTTP/1.1\r\n" + host + b"\r\n"),
        ("a length that is no number", _posted(b"Content-Length: many\r\n")),
        ("a length below zero", _posted(b"Content-Length: -1\r\n")),
        ("two lengths", _posted(b"Content-Length: 30\r\nContent-Length: 31\r\n")),
        ("a length and chunks", _posted(b"Content-Length: 30\r\nTransfer-Encoding: chunked\r\n")),
        ("an unknown coding", _posted(b"Transfer-Encoding: brotli\r\n")),
        ("chunks that are none", _posted(b"Transfer-Encoding: chunked\r\n")),
        ("no length", _posted(b"")),
    ):
        yield Probe(f"wire: {name}", raw.split(b" ")[0].decode("latin-1"), raw=raw)


def _posted(framing: bytes) -> bytes:
    head = b"POST /nothing HTTP/1.1\r\nHost: parity\r\nContent-Type: application/json\r\n"
    return head + framing + b"\r\n" + BODY
