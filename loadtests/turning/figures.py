"""What a crowd's answers amount to: times to first content, gaps, endings, and CPU a token."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import msgspec

from loadtests.processes import Cores
from loadtests.reporting.validity import CPU_SHARE, DEADLINE_MISS_P99_MS
from loadtests.stats import Distribution, distribution
from loadtests.streams import Taken
from loadtests.turning.ground import Written
from loadtests.turning.playing import Cost, Played

GZIP_WINDOW = 31
"""zlib's number for a window of 32 KiB with gzip's header (zlib.h, inflateInit2)."""


class Figures(msgspec.Struct, frozen=True):
    """One crowd; times in ms, CPU in microseconds a token.

    `held` are the answers whose text came in their second half or at their end; `gap_ms` is between two reads
    that brought text; `app_waited` is the share of the time in which another process had the core of an app
    that could run; `invalid` says where the harness and not the stack was the limit.
    """

    streams: int
    held: int
    dropped: int
    failed: int
    first_content_ms: Distribution | None
    ratio: float | None
    first_chunk_delay_ms: Distribution | None
    gap_ms: Distribution | None
    app_us: float
    proxy_us: float
    app_waited: float
    invalid: list[str]

    @property
    def held_back(self) -> bool:
        """Whether that is so of most of the answers."""
        return self.held > self.streams / 2


def figures(played: Played, cores: Cores) -> Figures:
    """The figures of a crowd, and what speaks against them."""
    taken = [unzipped(one) for one in played.taken]
    stamps = {one.request_id: one.content_ns for one in taken}
    first = distribution(first_content_ms(taken))
    endings = [one.ending for one in taken]
    tokens = sum(entry.tokens for entry in played.written.values()) or 1
    return Figures(
        streams=len(taken),
        held=sum(held(played.written.get(name), content) for name, content in stamps.items()),
        dropped=endings.count("dropped"),
        failed=endings.count("failure"),
        first_content_ms=first,
        ratio=round(first.tail / first.p50, 2) if first else None,
        first_chunk_delay_ms=distribution(first_chunk_delays_ms(taken, played.written)),
        gap_ms=distribution([gap for content in stamps.values() for gap in gaps_ms(content)]),
        app_us=round(played.cost.app_s / tokens * 1e6, 1),
        proxy_us=round(played.cost.proxy_s / tokens * 1e6, 1),
        app_waited=round(played.cost.app_waited_s / played.cost.wall_s, 4),
        invalid=list(_invalid(played, cores)),
    )


def first_content_ms(taken: Iterable[Taken]) -> list[float]:
    """From the request to the first text of each answer that had any."""
    return [(one.content_ns[0] - one.asked_ns) / 1e6 for one in taken if one.content_ns]


def first_chunk_delays_ms(taken: Iterable[Taken], written: dict[str, Written]) -> list[float]:
    """What the way adds to the model's own time to first token (DESIGN.md, section 6)."""
    delays = []
    for one in taken:
        entry, content = written.get(one.request_id), one.content_ns
        if entry and entry.first_ns and content:
            model_ns = entry.first_ns - entry.received_ns
            delays.append((content[0] - one.asked_ns - model_ns) / 1e6)
    return delays


def gaps_ms(content_ns: Sequence[int]) -> list[float]:
    """Between two reads that brought text; deltas of one read came together and have no gap."""
    reads = sorted(set(content_ns))
    return [(after - before) / 1e6 for before, after in pairwise(reads)]


def held(entry: Written | None, content_ns: Sequence[int]) -> bool:
    """Whether nothing was there to read before the model was half-way through its answer."""
    if entry is None or entry.first_ns is None or entry.last_ns is None or not content_ns:
        return False
    return content_ns[0] >= (entry.first_ns + entry.last_ns) / 2


def unzipped(taken: Taken) -> Taken:
    """The same answer with its body as it was before gzip; each read keeps what it completed."""
    if taken.headers.get("content-encoding") != "gzip":
        return taken
    unzip = zlib.decompressobj(GZIP_WINDOW).decompress
    return replace(taken, reads=[(at_ns, unzip(data)) for at_ns, data in taken.reads])


def _invalid(played: Played, cores: Cores) -> Iterator[str]:
    if played.deadline_miss_ms > DEADLINE_MISS_P99_MS:
        yield f"the simulator was {played.deadline_miss_ms:.1f} ms late at p99"
    for name, share in _shares(played.cost, cores):
        if share > CPU_SHARE:
            yield f"{name} took {share:.0%} of a core"


def _shares(cost: Cost, cores: Cores) -> list[tuple[str, float]]:
    """Shares of one core; where client, simulator and nginx have one between them, theirs together."""
    spent = {"the client": cost.client_s, "the simulator": cost.simulator_s}
    if cores.client == cores.simulator and len(cores.client) == 1:
        spent = {"client, simulator and nginx": sum(spent.values()) + cost.proxy_s}
    return [(name, seconds / cost.wall_s) for name, seconds in spent.items()]
