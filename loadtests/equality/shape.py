"""The shape of a stream in time: whether its text came while it was written, or was held back; pure."""

from dataclasses import dataclass
from itertools import pairwise

import msgspec

from loadtests.equality.replies import Reader, Reply

HELD_SHARE = 1 / 3
"""Of the generation: held back for longer than this, text does not come as it is written."""

HELD_BACK = ("buffered: ", "held back: ", "ends ")
"""How a line begins that says that text came later than it could."""

SEVERAL = 5
LONG_NS, LONG_CHARS = 1_000_000_000, 200
"""A stream that is shorter says nothing by the client's clock alone."""

AT_ONCE_SHARE, AT_ONCE_NS = 0.1, 250_000_000
"""Of the whole time: a long answer whose first and last text are no further apart came in one piece."""


class Written(msgspec.Struct, frozen=True):
    """What the simulator says of one request: monotonic nanoseconds, `token_us` from `received_ns`."""

    request_id: str
    received_ns: int
    first_ns: int | None = None
    last_ns: int | None = None
    token_us: list[int] = []


@dataclass(frozen=True, slots=True)
class Arrival:
    """When the text of a stream came: the stamps of its chunks, in monotonic nanoseconds."""

    sent_ns: int
    chunk_ns: tuple[int, ...]
    ended_ns: int
    chars: int

    @classmethod
    def of(cls, reply: Reply, reader: Reader) -> "Arrival":
        answer = reader.answer(reply)
        chars = sum(map(len, answer.text))
        return cls(reply.sent_ns, tuple(answer.chunk_ns), reply.ended_ns, chars)

    @property
    def span_ns(self) -> int:
        """From the first text to the last."""
        return self.chunk_ns[-1] - self.chunk_ns[0]


def against_upstream(arrival: Arrival, written: Written) -> str | None:
    """What is wrong, in one line, beside the upstream's own stamps; None for a stream that keeps its shape."""
    if not arrival.chunk_ns or written.first_ns is None or written.last_ns is None:
        return "no text came"
    generation = written.last_ns - written.first_ns
    most = generation * HELD_SHARE
    late = arrival.chunk_ns[0] - written.first_ns
    gap = _widest(arrival.chunk_ns)
    pause = _widest(tuple(stamp * 1000 for stamp in written.token_us))
    behind = arrival.ended_ns - written.last_ns
    pieces = len(set(arrival.chunk_ns))
    if late > most:
        return (
            f"buffered: the first text came {_ms(late)} after the model wrote it, "
            f"and the model wrote for {_ms(generation)}"
        )
    if gap > pause + most:
        return (
            f"held back: {_ms(gap)} without text, where the model paused for {_ms(pause)} at most"
        )
    if pieces < SEVERAL:
        return (
            f"held back: {pieces} pieces for {len(written.token_us)} tokens over {_ms(generation)}"
        )
    if behind > most:
        return f"ends {_ms(behind)} after the model did, which wrote for {_ms(generation)}"
    return None


def by_clock(arrival: Arrival) -> str | None:
    """The same by the client's clock alone, which is all there is where the model tells no times."""
    whole = arrival.ended_ns - arrival.sent_ns
    if not can_judge(arrival) or arrival.span_ns > min(AT_ONCE_SHARE * whole, AT_ONCE_NS):
        return None
    waited = arrival.chunk_ns[0] - arrival.sent_ns
    return (
        f"buffered: {arrival.chars:,} characters came within {_ms(arrival.span_ns)}, "
        f"after {_ms(waited)} without any"
    )


def by_proxy(found: str, told: str = "") -> str:
    """The line that names a proxy as the one who holds text back; `told` is how that is known."""
    return f"buffered by a proxy{told}: {found.removeprefix(HELD_BACK[0])}"


def can_judge(arrival: Arrival) -> bool:
    """Whether a stream is long enough, in time and in text, to have a shape."""
    whole = arrival.ended_ns - arrival.sent_ns
    return bool(arrival.chunk_ns) and whole >= LONG_NS and arrival.chars >= LONG_CHARS


def _widest(stamps: tuple[int, ...]) -> int:
    return max((after - before for before, after in pairwise(stamps)), default=0)


def _ms(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:,.0f} ms"
