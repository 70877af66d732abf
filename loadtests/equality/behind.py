"""nginx between parity and both stacks: as it ships, or so that it holds streams back."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from loadtests.equality.corpus import small_set
from loadtests.equality.probes import Probe
from loadtests.ledger import Ledger
from loadtests.nginx import Change, proxied
from loadtests.stage import LEGACY, STREAMING

TAKEN_BY_NGINX = "X-Accel-"
"""Response headers that nginx obeys and does not pass on."""

PROXIES: Mapping[str, tuple[Change, ...]] = MappingProxyType(
    {
        "shipped": (),
        "buffering": (
            ("proxy_http_version 1.1;", "proxy_http_version 1.0;"),
            ("proxy_buffering off;", "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Front:
    """One of PROXIES by its name; what its two nginx write goes into folders of their own in `folder`.

    They are asked by HTTP/1.1 over TLS, as clients do, where all that may hold a stream back is at work:
    with buffering, nginx takes each whole chunk of the stack at once, but TLS waits for 16 KiB of them.
    """

    name: str
    folder: Path

    @contextlib.contextmanager
    def before(self, legacy_url: str, streaming_url: str) -> Iterator["Doors"]:
        """Both stacks behind it; raises StartError.

        An nginx for each, so that what it answers itself, or answers otherwise, is alike on both sides: what is
        left is the stacks' own.
        """
        stacks = ((LEGACY, legacy_url), (STREAMING, streaming_url))
        with contextlib.ExitStack() as running:
            changes = PROXIES[self.name]
            legacy, streaming = (
                running.enter_context(proxied(self.folder / name, [url], changes=changes))
                for name, url in stacks
            )
            trusted = self.folder / "trusted.pem"
            trusted.write_bytes(b"".join(p.certificate.read_bytes() for p in (legacy, streaming)))
            yield Doors((legacy.tls_url, streaming.tls_url), trusted)


@dataclass(frozen=True, slots=True)
class Doors:
    """The addresses of both stacks, and the certificates of those that speak TLS, where they are our own."""

    urls: tuple[str, str]
    trusted: Path | None = None


def seen_behind_nginx(ledger: Ledger) -> Ledger:
    """The entries that a client can see from there."""
    return tuple(one for one in ledger if not one.fastapi.startswith(TAKEN_BY_NGINX))


def asked_behind_nginx(ledger: Ledger) -> Sequence[Probe]:
    """The small set without raw bytes, which nginx judges and no stack sees."""
    return [probe for probe in small_set(ledger) if not probe.raw]
