"""One request of the corpus of parity, as both stacks get it, byte for byte; pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

JSON = ("Content-Type", "application/json")
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """A request by a name of its own; `target` and `headers` are latin-1, one character a byte.

    Unless it is `bare`, its X-Request-ID and the key of the run go with it, where `headers` have none of that
    name. `parts` are sent as a chunked body; `raw` is sent as it is, in place of all else. Both stacks have to
    answer one that is `valid`.
    """

    name: str
    method: str = "GET"
    target: str = "/chat"
    headers: Headers = ()
    body: bytes = b""
    parts: tuple[bytes, ...] = ()
    raw: bytes = b""
    bare: bool = False
    valid: bool = False

    def header(self, name: str, otherwise: str) -> str:
        """The first of its own headers of this name."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), otherwise)


def post(name: str, value: object, *headers: tuple[str, str]) -> Probe:
    """`POST /chat` with this value as JSON; bytes go out as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Probe(name, "POST", headers=(JSON, *headers), body=body)


def get(name: str, target: str, *headers: tuple[str, str]) -> Probe:
    return Probe(name, "GET", target, headers)


def wire(probe: Probe, host: str, prefix: str, offered: Mapping[str, str]) -> bytes:
    """The bytes of a request to `host`; `offered` are the headers that go with it unless it has its own."""
    if probe.raw:
        return probe.raw
    own = {name.lower() for name, _ in probe.headers}
    added = [] if probe.bare else [(n, v) for n, v in offered.items() if n.lower() not in own]
    fields = [("Host", host), *added, *probe.headers, *_framing(probe)]
    head = [f"{probe.method} {prefix}{probe.target} HTTP/1.1", *(f"{n}: {v}" for n, v in fields)]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + _body(probe)


def _framing(probe: Probe) -> Headers:
    if probe.parts:
        return (("Transfer-Encoding", "chunked"),)
    if probe.body or probe.method in WITH_BODY:
        return (("Content-Length", str(len(probe.body))),)
    return ()


def _body(probe: Probe) -> bytes:
    if not probe.parts:
        return probe.body
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in probe.parts) + b"0\r\n\r\n"
