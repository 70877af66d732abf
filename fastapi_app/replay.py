"""What was written of a session's answer, kept so that a client who comes back receives what it missed.

Each frame has an id, `epoch-seq`: the epoch is the time in ms at which the answer began, or at which another
worker took it over, and seq counts the session's frames from 1. An id is known or it is not: what is not known
was lost, and is never guessed.
"""

import asyncio
import random
from collections import deque
from itertools import islice

from shared.errors import HistoryLost, ServiceError
from shared.record import Outcome
from shared.settings import Settings

from .sse import encode, failure, identified
from .watchdog import Watchdog

LEAST_RECONNECT_MS = 500


# region: log
class Log:
    """The frames of one answer; the oldest go first when they are more than `most_bytes`.

    `left_at` is the time of the loop at which its last reader left, `delivered` the ticket, as a SHA-256, by
    which a client was given the end.
    """

    def __init__(self, session_id: str, most_bytes: int) -> None:
        self.session_id = session_id
        self._most_bytes = most_bytes
        self.bytes = 0
        self._frames: deque[bytes] = deque()
        self._ids: deque[str] = deque()
        self.dropped = 0
        self.epoch = 0
        self.last_seq = 0
        self.ended = False
        self.delivered = ""
        self.readers: set[Cursor] = set()
        self.left_at = asyncio.get_running_loop().time()

    @property
    def last_id(self) -> str:
        return self._ids[-1] if self._ids else ""

    def begin(self, now_ms: int) -> None:
        """A new epoch: the frames that follow are by another hand."""
        self.epoch = max(now_ms, self.epoch + 1)

    def next_ids(self, count: int) -> list[str]:
        """The ids of the frames that come next."""
        return [f"{self.epoch}-{self.last_seq + number}" for number in range(1, count + 1)]

    def put(self, event_id: str, frame: bytes, *, end: bool) -> None:
        """Takes a frame; none behind the end, and none twice."""
        epoch, seq = map(int, event_id.split("-"))
        if self.ended or seq <= self.last_seq:
            return
        self.epoch, self.last_seq, self.ended = epoch, seq, end
        framed = identified(frame, event_id)
        self._frames.append(framed)
        self._ids.append(event_id)
        self.bytes += len(framed)
        while self.bytes > self._most_bytes and len(self._frames) > 1:
            self.bytes -= len(self._frames.popleft())
            self._ids.popleft()
            self.dropped += 1
        self.wake()

    def wake(self) -> None:
        for reader in tuple(self.readers):
            reader.wake()

    # region: reading
    def after(self, last_id: str | None) -> int:
        """The number of the first frame that a client lacks; raises HistoryLost."""
        if not last_id and not self.dropped:
            return 0
        if last_id and last_id in self._ids:
            return self.dropped + self._ids.index(last_id) + 1
        raise HistoryLost

    def read(self, at: int) -> list[bytes]:
        """The frames from number `at` on, each with its id; those that were dropped are not among them."""
        return list(islice(self._frames, max(0, at - self.dropped), None))


# region: cursor
class Cursor:
    """One reader of a log, as an outlet; an answer that cannot be gone on with is told as a `failure`.

    Its heartbeat is a comment without an empty line: behind an id, some readers take that for an event.
    """

    ping = b": ping\n"
    refusal: ServiceError | None = None
    pending_bytes = 0  # the log is its session's, whoever reads it

    def __init__(self, log: Log, last_id: str | None, request_id: str, settings: Settings) -> None:
        self.log = log
        self.request_id = request_id
        self._due = asyncio.Event()
        self._due.set()
        self._beats = Watchdog(settings.heartbeat_s, self._due.set)
        self._failure = b""
        self._prefix = b"retry: %d\n" % _reconnect_ms(settings.reconnect_s)
        self._at = 0
        self.outcome: Outcome = "finished"
        self.code: str | None = None
        self.closed = False
        try:
            self._at = log.after(last_id)
        except HistoryLost as error:
            self.fail(error, request_id)
        log.readers.add(self)

    @property
    def ended(self) -> bool:
        """Whether the next chunk is the last."""
        return self.log.ended or bool(self._failure)

    @property
    def has_end(self) -> bool:
        """Whether the answer's own end was taken."""
        return self.log.ended and not self._failure

    def wake(self) -> None:
        """Something was put: frames that this reader still lacked may have made room for it."""
        if self._at < self.log.dropped:
            self.fail(HistoryLost(), self.request_id)
        self._due.set()

    async def first(self, most_s: float) -> None:
        """A browser is told at once that it is connected; it could not read a status, so errors are events."""

    async def due(self) -> None:
        await self._due.wait()

    def take(self) -> bytes:
        prefix, self._prefix = self._prefix, b""
        return prefix + b"".join(self.frames())

    def frames(self) -> list[bytes]:
        """What `take` joins, one by one."""
        self._due.clear()
        self._beats.touch()
        if self._failure:
            return [self._failure]
        frames = self.log.read(self._at)
        self._at += len(frames)
        return frames

    def fail(self, error: ServiceError, request_id: str) -> None:
        """Ends this reader's stream, not the answer: without an id, so that it comes back to where it was."""
        if not self._failure:
            self._failure = failure_frame(error, request_id)
            self.outcome, self.code = error.outcome, error.code
            self._due.set()

    def close(self) -> None:
        self.closed = True
        self._beats.cancel()
        self.log.readers.discard(self)
        self.log.left_at = asyncio.get_running_loop().time()
        self._due.set()


def failure_frame(error: ServiceError, request_id: str) -> bytes:
    """The frame of the event that says this error."""
    return encode(failure(error, request_id))


def _reconnect_ms(most_s: float) -> int:
    """How long this client waits when it is dropped: clients dropped at once do not come back at once."""
    return random.randint(LEAST_RECONNECT_MS, max(LEAST_RECONNECT_MS, round(most_s * 1000)))
