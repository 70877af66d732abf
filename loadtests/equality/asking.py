"""Both stacks asked the same, and what came of it; streams are looked at in time as well."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from zlib import crc32

import msgspec

from loadtests import differences
from loadtests.differences import Apart
from loadtests.equality import shape
from loadtests.equality.exchange import Address, ask
from loadtests.equality.probes import Probe
from loadtests.equality.replies import Reader, Reply
from loadtests.equality.shape import Arrival, Written
from loadtests.provoking.upstream import Broken, Upstream
from loadtests.targets import LegacySide, Request, StreamingSide, Targets, request_for
from shared.schemas import ChatRequest
from shared.telemetry import REQUEST_ID_HEADER

TRIES = 3
"""A busy machine can hold a stream up once; a buffer does it every time."""

Asked = TypeVar("Asked")
Advance = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one request: the differences, and what is wrong with a stream in time, if it was `timed`.

    `again` asks for a stream that looks wrong once more. `proxy` is a header that tells of one on the way.
    """

    name: str
    aparts: tuple[Apart, ...] = ()
    shape: str | None = None
    timed: bool = False
    again: Callable[[int], Reply] | None = None
    proxy: str = ""


class Asker:
    """Two stacks by their addresses; `offered` are headers that go with every request of the corpus.

    `by_clock` looks at every long stream in time: not before a model that writes all of its answer at once.
    `direct` is the streaming stack's own address, where a proxy stands before it; `trusted` are certificates.
    """

    def __init__(
        self,
        urls: tuple[str, str],
        targets: Targets,
        offered: Mapping[str, str] | None = None,
        *,
        by_clock: bool = True,
        direct: str | None = None,
        trusted: Path | None = None,
    ) -> None:
        self._legacy, self._streaming = (Address.of(url, trusted) for url in urls)
        self._targets = targets
        self._offered = offered
        self._by_clock = by_clock
        self._direct = Address.of(direct) if direct else None
        self._reader = Reader(targets)

    def compared(self, probe: Probe) -> Finding:
        """The same bytes to both, held against each other in all that the contract has."""
        request_id = _id(probe.name)
        legacy = self._ask(self._legacy, self._targets.legacy, probe, request_id)
        streaming = self._ask(self._streaming, self._targets.streaming, probe, request_id)
        sent = probe.header(REQUEST_ID_HEADER, request_id).strip()
        aparts = list(differences.ours(legacy, streaming, self._reader, sent))
        answered = legacy.status == 200 and not self._reader.answer(legacy).error
        if probe.valid and not (aparts or answered):
            refused = f"{self._reader.form(legacy)}, though it is valid"
            aparts.append(Apart(refused, refused))
        return self._looked_at(
            probe.name,
            aparts,
            streaming,
            lambda again: self._ask(
                self._streaming, self._targets.streaming, probe, f"{request_id}-{again}"
            ),
        )

    def answered(self, name: str, chat: ChatRequest) -> Finding:
        """The same question to both, each in its own words: texts and finish reasons are compared."""
        legacy = ask(self._legacy, _probe(name, self._targets.legacy, chat), {})
        asking = _probe(name, self._targets.streaming, chat)
        streaming = ask(self._streaming, asking, {})
        found = list(self._answers(legacy, streaming))
        return self._looked_at(name, found, streaming, lambda _: ask(self._streaming, asking, {}))

    def timed(self, probe: Probe, upstream: Upstream) -> Finding:
        """A stream beside the batch answer, and beside the simulator's own stamps of it.

        It is asked again when it does not look like a stream, and then without the proxy, if there is one.
        """
        ids = [f"{_id(probe.name)}-{number}" for number in range(TRIES)]
        legacy = self._ask(self._legacy, self._targets.legacy, probe, ids[0])
        reply = self._ask(self._streaming, self._targets.streaming, probe, ids[0])
        read = self._reader.answer
        aparts = tuple(differences.answers(read(legacy), read(reply), whole=True))
        found = self._against(reply, ids[0], upstream)
        for request_id in ids[1:]:
            if found is None:
                break
            reply = self._ask(self._streaming, self._targets.streaming, probe, request_id)
            found = self._against(reply, request_id, upstream)
        if found is not None and self._direct is not None:
            found = self._blamed(found, probe, f"{ids[0]}-direct", upstream)
        return Finding(probe.name, aparts, found, timed=True)

    def _blamed(self, found: str, probe: Probe, request_id: str, upstream: Upstream) -> str:
        """The same line, or one that names the proxy, if the stack by itself holds nothing back once."""
        assert self._direct is not None
        if not found.startswith(shape.HELD_BACK):
            return found
        for number in range(TRIES):
            own_id = f"{request_id}-{number}"
            reply = self._ask(self._direct, self._targets.streaming, probe, own_id)
            if self._against(reply, own_id, upstream) is None:
                return f"{shape.by_proxy(found)}; asked without it, the stack holds nothing back"
        return found

    def _against(self, reply: Reply, request_id: str, upstream: Upstream) -> str | None:
        form = self._reader.form(reply)
        if not reply.streams or self._reader.answer(reply).error:
            return f"no stream: {form}"
        try:
            written = msgspec.convert(upstream.seen(request_id), Written)
        except Broken as error:
            return str(error)
        return shape.against_upstream(Arrival.of(reply, self._reader), written)

    def _answers(self, legacy: Reply, streaming: Reply) -> Iterable[Apart]:
        read = self._reader.answer
        if not legacy.status == streaming.status == 200:
            yield Apart(*map(self._reader.form, (legacy, streaming)))
        elif legacy.streams or not streaming.streams:
            yield Apart(f"answers {legacy.content_type!r}", f"answers {streaming.content_type!r}")
        elif read(legacy).error or read(streaming).error:
            yield Apart(
                *(f"answer: {read(reply).error or 'whole'}" for reply in (legacy, streaming))
            )
        elif self._targets.same_answers:
            yield from differences.answers(read(legacy), read(streaming), whole=False)

    def _looked_at(
        self,
        name: str,
        aparts: Sequence[Apart],
        reply: Reply,
        again: Callable[[int], Reply],
    ) -> Finding:
        """By the client's clock alone, which judges long answers and no other."""
        finding = Finding(name, tuple(aparts), proxy=reply.proxy)
        arrival = Arrival.of(reply, self._reader)
        if not (self._by_clock and reply.streams and shape.can_judge(arrival)):
            return finding
        return replace(finding, shape=self._held(reply), timed=True, again=again)

    def _held(self, reply: Reply) -> str | None:
        """By the clock; headers tell of a proxy, but not that the stack behind it is faultless."""
        found = shape.by_clock(Arrival.of(reply, self._reader))
        if found and reply.proxy:
            return shape.by_proxy(found, f" ({reply.proxy}) or behind it")
        return found

    def confirmed(self, found: Iterable[Finding]) -> list[Finding]:
        """Streams that look buffered are asked again with no other beside them, until one still does.

        In a crowd a fast model's answer waits for its turn, and then comes at once: nobody has buffered it.
        """
        buffered = False
        settled = []
        for one in found:
            if one.shape and one.again and not buffered:
                one = replace(one, shape=self._alone(one.again))
                buffered = one.shape is not None
            settled.append(one)
        return settled

    def _alone(self, again: Callable[[int], Reply]) -> str | None:
        found = None
        for number in range(1, TRIES):
            found = self._held(again(number))
            if found is None:
                break
        return found

    def _ask(
        self, address: Address, side: LegacySide | StreamingSide, probe: Probe, request_id: str
    ) -> Reply:
        # How it is to be answered is the probe's matter; a key is the target's.
        own = {name: value for name, value in side.headers.items() if name.lower() != "accept"}
        offered = {REQUEST_ID_HEADER: request_id, **own, **(self._offered or {})}
        return ask(address, probe, offered)


def asked(
    work: Callable[[Asked], Finding], what: Iterable[Asked], at_once: int, advance: Advance
) -> list[Finding]:
    """Does the work on all, some at a time, and gives the findings in their order."""
    pool = ThreadPoolExecutor(at_once)
    try:
        running: list[Future[Finding]] = [pool.submit(work, one) for one in what]
        for done in as_completed(running):
            done.result()
            advance()
        return [one.result() for one in running]
    finally:
        # When it was interrupted: what is under way ends with the stacks, and is not waited for.
        pool.shutdown(wait=False, cancel_futures=True)


def _id(name: str) -> str:
    """An X-Request-ID that hangs on the name alone, so that an answer stays the same in a larger corpus."""
    return f"parity-{crc32(name.encode()):08x}"


def _probe(name: str, side: LegacySide | StreamingSide, chat: ChatRequest) -> Probe:
    request: Request = request_for(side, chat, _id(name))
    headers = tuple(request.headers.items())
    return Probe(name, request.method, request.target, headers, request.body)
