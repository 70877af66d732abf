"""A model that falls silent behind a proxy that does not wait: who is dropped, with a heartbeat and without.

These streams idle, so they run beside everything else.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop

from loadtests.stage import Stage
from loadtests.streams import Asking, Taken, take
from loadtests.turning.ground import Standing, standing
from loadtests.turning.playing import crowd
from loadtests.turning.rows import NEVER_S, Row, Silence

READERS = 20
TOKENS = 20
TOKEN_TIMEOUT_S = "120"
"""The stack's own patience with a silent model, 30 s as shipped, would come before a proxy's 60 s."""


class Kept(msgspec.Struct, frozen=True):
    """What became of the readers; `after_s` is when the first of the dropped ones was dropped."""

    name: str
    timeout_s: float
    heartbeat_s: float | None
    pause_s: float
    streams: int
    dropped: int
    pings: int
    after_s: float | None


@dataclass(slots=True)
class _Reading:
    taken: list[list[Taken]]
    error: BaseException | None = None


@contextlib.contextmanager
def beside(
    stage: Stage, silences: Sequence[Silence], folder: Path
) -> Iterator[Callable[[], list[Kept]]]:
    """Starts the readers in a thread; gives what waits for them. Raises StartError."""
    reading = _Reading([])
    with contextlib.ExitStack() as running:
        up = [
            running.enter_context(standing(stage, _row(one), folder / str(number)))
            for number, one in enumerate(silences)
        ]
        thread = threading.Thread(target=_read, args=(up, silences, reading))
        thread.start()

        def finished() -> list[Kept]:
            thread.join()
            if reading.error is not None:
                raise reading.error
            return [kept(one, taken) for one, taken in zip(silences, reading.taken, strict=True)]

        yield finished
    # With nginx gone every connection has ended.
    thread.join()


def readers(number: int, silence: Silence) -> list[Asking]:
    """A few short answers, each with the silence in its middle."""
    model = f"sim:instant+pause-{silence.pause_s:g}"
    return crowd(f"silent-{number}", READERS, model, most=TOKENS)


def kept(silence: Silence, taken: Sequence[Taken]) -> Kept:
    """How many were dropped, and when."""
    dropped = [one for one in taken if one.ending != "done"]
    after = [(one.ended_ns - one.asked_ns) / 1e9 for one in dropped]
    return Kept(
        name=silence.name,
        timeout_s=silence.timeout_s,
        heartbeat_s=silence.heartbeat_s,
        pause_s=silence.pause_s,
        streams=len(taken),
        dropped=len(dropped),
        pings=sum(one.body.count(b": ping\n") for one in taken),
        after_s=round(min(after), 2) if after else None,
    )


def unexpected(silences: Sequence[Silence], found: Sequence[Kept]) -> list[str]:
    """Where a heartbeat did not keep a stream, or a stream lived without one."""
    return [
        f"{one.name}: {each.dropped} of {each.streams} streams were dropped"
        for one, each in zip(silences, found, strict=True)
        if each.dropped != (0 if one.kept else each.streams)
    ]


def _row(silence: Silence) -> Row:
    heartbeat = str(silence.heartbeat_s or NEVER_S)
    return Row(
        silence.name,
        "silence",
        (("proxy_read_timeout 310s;", f"proxy_read_timeout {silence.timeout_s:g}s;"),),
        (("CHAT_HEARTBEAT_S", heartbeat), ("CHAT_TOKEN_TIMEOUT_S", TOKEN_TIMEOUT_S)),
    )


def _read(up: Sequence[Standing], silences: Sequence[Silence], reading: _Reading) -> None:
    async def all_of_them() -> list[list[Taken]]:
        return await asyncio.gather(
            *(
                take(each.proxy.ports.plain, readers(number, one))
                for number, (each, one) in enumerate(zip(up, silences, strict=True))
            )
        )

    try:
        reading.taken = uvloop.run(all_of_them())
    except Exception as error:  # noqa: BLE001 # it is raised again where the thread is waited for
        reading.error = error
