"""Paths, methods and headers: what is there, what is not, and who may come in."""

import base64
from collections.abc import Iterator

from loadtests.equality.probes import JSON, Probe, get, post

ASKING = {"prompt": "hi", "max_tokens": 5}
BODY = b'{"prompt":"hi","max_tokens":5}'
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
PATHS = ("/chat", "/healthz", "/readyz", "/metrics", "/nothing")
ORIGIN = "https://page.example"
DOCS = ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect")


def paths() -> Iterator[Probe]:
    """Every path with every method, and paths that are almost one."""
    for path in PATHS:
        for method in METHODS:
            body = BODY if method in ("POST", "PUT", "PATCH") else b""
            yield Probe(f"{method} {path}", method, path, (JSON,) if body else (), body)
    for path in DOCS:
        yield get(f"docs: {path}", path)
    yield Probe("an unknown method", "BREW")
    for target in ("//chat?prompt=hi&max_tokens=5", "//healthz", "///healthz", "/%2Fhealthz"):
        yield get(f"slashes in front: {target}", target)
    yield Probe("slashes in front: POST //chat", "POST", "//chat", (JSON,), BODY)
    for target in _ALMOST:
        yield get(f"path: {target}", target)
        yield Probe(f"path by POST: {target}", "POST", target, (JSON,), BODY)
    yield get("path: with a prompt /chat/", "/chat/?prompt=hi&max_tokens=5")
    yield get("path: of 2,000 letters", "/" + "x" * 2000)
    yield get("probe with a query", "/healthz?verbose=1")
    yield get("readiness with a query", "/readyz?verbose=1&verbose=2")


def browsers() -> Iterator[Probe]:
    """What pages ask for: files, sessions, and the leave to read answers from another origin."""
    for path in ("/page.js", "/page.css", "/page.json"):
        yield get(f"page: {path}", path)
    events = "/chat/sessions/none/events?ticket=none"
    yield get("session: a ticket that opens nothing", events)
    yield Probe("session: events by POST", "POST", events, (JSON,), BODY)
    yield Probe("session: one that is not there", "DELETE", "/chat/sessions/none")
    for name, origin in (
        ("listed", ORIGIN),
        ("unlisted", "https://other.example"),
        ("null", "null"),
    ):
        come_from = ("Origin", origin)
        wished = ("Access-Control-Request-Method", "POST")
        yield Probe(f"origin: {name}, preflight", "OPTIONS", "/chat", (come_from, wished))
        yield Probe(f"origin: {name}, OPTIONS", "OPTIONS", "/chat", (come_from,))
        yield Probe(f"origin: {name}, POST", "POST", "/chat", (JSON, come_from), BODY)
        yield get(f"origin: {name}, a wrong query", "/chat?promt=hi", come_from)
        yield get(f"origin: {name}, an unknown path", "/nothing", come_from)


_ALMOST = (
    "/",
    "//",
    "/chat/",
    "//chat/",
    "/chat//",
    "/./chat",
    "/x/../chat",
    "/chat/.",
    "/%63hat",
    "/chat%2F",
    "/chat%00",
    "/chat%20",
    "/chat;v=1",
    "/Chat",
    "/CHAT",
    "/chat.json",
    "/chats",
    "/chat/sessions",
    "/%ff",
    "/%zz",
    "/healthz/",
    "/static/app.js",
    "/static/../../etc/passwd",
    "/.env",
    "/favicon.ico",
)


def guards(key: str) -> Iterator[Probe]:
    """With another Authorization than the one that is asked for, or none; `key` is a valid one."""
    basic = base64.b64encode(f"user:{key}".encode()).decode()
    for name, given in (
        ("empty", ""),
        ("a scheme alone", "Bearer"),
        ("a scheme and a space", "Bearer "),
        ("a wrong key", "Bearer wrong"),
        ("the key and more", f"Bearer {key}x"),
        ("half the key", f"Bearer {key[: len(key) // 2]}"),
        ("the key in capitals", f"Bearer {key.upper()}"),
        ("the key alone", key),
        ("the key twice", f"Bearer {key} {key}"),
        ("a comma", f"Bearer {key},"),
        ("quotes", f'Bearer "{key}"'),
        ("another scheme", f"Token {key}"),
        ("Basic", f"Basic {basic}"),
        ("Latin-1", "Bearer \xfc\xff"),
        ("UTF-8", "Bearer ü".encode().decode("latin-1")),
        ("8,000 letters", "Bearer " + "k" * 8000),
        ("a scheme in small letters", f"bearer {key}"),
        ("a scheme in capitals", f"BEARER {key}"),
        ("two spaces", f"Bearer  {key}"),
        ("spaces behind", f"Bearer {key}   "),
        ("a tab", f"Bearer\t{key}"),
    ):
        authorization = ("Authorization", given)
        yield post(f"key: {name}", ASKING, authorization)
        yield get(f"key by GET: {name}", "/chat?prompt=", authorization)
    twice = (("Authorization", "Bearer wrong"), ("Authorization", f"Bearer {key}"))
    yield post("key: the second of two", ASKING, *twice)
    for name, probe in _keyless():
        yield Probe(
            f"no key: {name}", probe.method, probe.target, probe.headers, probe.body, bare=True
        )


def _keyless() -> Iterator[tuple[str, Probe]]:
    yield "POST", post("", ASKING)
    yield "GET", get("", "/chat?prompt=hi&max_tokens=5")
    yield "a stream", post("", {**ASKING, "stream": True})
    yield "a body that is no JSON", post("", b"{")
    yield "no content type", Probe("", "POST", body=BODY)
    yield "a wrong query", get("", "/chat?promt=hi")
    yield "a wrong method", Probe("", "DELETE")
    yield "a key in the query", get("", "/chat?prompt=hi&api_key=x&access_token=x")
    yield "an unknown path", get("", "/nothing")
    for path in ("/healthz", "/readyz", "/metrics"):
        yield path, get("", path)


def types() -> Iterator[Probe]:
    """Bodies that are said to be something else than JSON."""
    yield Probe("type: none", "POST", body=BODY)
    for kind in (
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json5",
        "application/problem+json",
        "application/json, text/plain",
        "application/ json",
        "json",
        "*/*",
        "; charset=utf-8",
        "application/octet-stream",
    ):
        yield Probe(f"type: {kind or 'empty'}", "POST", "/chat", (("Content-Type", kind),), BODY)
    two = (JSON, ("Content-Type", "text/plain"))
    yield Probe("type: the first of two", "POST", "/chat", two, BODY)
    yield post("type: packed", BODY, ("Content-Encoding", "gzip"))


def ids() -> Iterator[Probe]:
    """X-Request-ID, well-formed and not; of nothing that is answered, since the text hangs on the id."""
    for name, offered in (
        ("one letter", "x"),
        ("all that is taken", "A.b_c-9"),
        ("128 letters", "f" * 128),
        ("129 letters", "f" * 129),
        ("8,000 letters", "f" * 8000),
        ("empty", ""),
        ("a space", " "),
        ("two words", "two words"),
        ("a slash", "a/b"),
        ("a semicolon", "a;b"),
        ("a comma", "a,b"),
        ("a script", "<script>"),
        ("Latin-1", "caf\xe9"),
        ("UTF-8", "café".encode().decode("latin-1")),
        ("a tab", "a\tb"),
        ("spaces around", "  x  "),
    ):
        header = ("X-Request-ID", offered)
        yield get(f"id: {name}", "/healthz", header)
        yield post(f"id on an error: {name}", {}, header)
        yield get(f"id on an unknown path: {name}", "/nothing", header)
    yield get("id: two", "/healthz", ("X-Request-ID", "one"), ("X-Request-ID", "two"))
    yield get("id: in small letters", "/healthz", ("x-request-id", "small"))
