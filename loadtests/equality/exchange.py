"""A probe sent over a socket of its own, and the reply, stamped at each read of it."""

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from loadtests.equality.probes import Probe, wire
from loadtests.equality.replies import Read, Reply

TIMEOUT_S = 120.0
READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Address:
    """Where a stack listens; `prefix` is the path in front of every target.

    By TLS its certificate has to be one of `trusted`, or of those that this machine trusts.
    """

    host: str
    port: int
    prefix: str = ""
    tls: bool = False
    trusted: Path | None = None

    @classmethod
    def of(cls, url: str, trusted: Path | None = None) -> "Address":
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname or "", port, parts.path.rstrip("/"), tls, trusted)

    @property
    def name(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def connected(self) -> socket.socket:
        """Raises OSError."""
        plain = socket.create_connection((self.host, self.port), TIMEOUT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.tls:
            return plain
        context = ssl.create_default_context(cafile=self.trusted)
        return context.wrap_socket(plain, server_hostname=self.host)


def ask(address: Address, probe: Probe, offered: Mapping[str, str]) -> Reply:
    """Sends the probe and reads the whole reply; what goes wrong is in its `trouble`."""
    request = wire(probe, address.name, address.prefix, offered)
    try:
        with address.connected() as connection:
            return _asked(connection, request, probe.method)
    except (OSError, http.client.HTTPException) as error:
        return Reply(trouble=f"no answer ({type(error).__name__})")


def _asked(connection: socket.socket, request: bytes, method: str) -> Reply:
    sent_ns = time.monotonic_ns()
    # A server may refuse a request before it has read all of it; its answer counts all the same.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(request)
    with http.client.HTTPResponse(connection, method=method) as response:
        response.begin()
        reads, trouble = _read(response)
        return Reply(
            response.status,
            {name.lower(): value for name, value in response.headers.items()},
            tuple(reads),
            sent_ns,
            time.monotonic_ns(),
            bool(response.will_close),
            trouble,
        )


def _read(response: http.client.HTTPResponse) -> tuple[list[Read], str]:
    reads: list[Read] = []
    try:
        while piece := response.read1(READ_BYTES):
            reads.append(Read(time.monotonic_ns(), piece))
    except (OSError, http.client.HTTPException) as error:
        return reads, f"breaks off ({type(error).__name__})"
    return reads, ""
