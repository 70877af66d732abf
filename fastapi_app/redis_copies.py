"""This worker's copies of the logs in Redis: those that it writes, and those that it follows."""

import asyncio
from collections.abc import Iterable
from itertools import chain
from weakref import WeakSet

from shared.errors import HistoryLost, ServiceError, StoreUnavailable

from .redis_scripts import Scripts
from .replay import Log
from .sse import apart

KEPT_S = 5.0  # a copy without readers: those who were dropped are about to come back


# region: keys
def key(session_id: str, what: str) -> str:
    """The keys of a session have one hash tag, its id."""
    return f"chat:{{{session_id}}}:{what}"


# region: copies
class Copies:
    """`made` are the logs that this worker writes, each with the lock of its writers; `alone` are those that
    have left Redis behind, so that their ids are known here only."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._logs: dict[str, Log] = {}
        self._all: WeakSet[Log] = WeakSet()
        self.made: dict[Log, asyncio.Lock] = {}
        self.alone: set[Log] = set()

    def get(self, session_id: str) -> Log | None:
        return self._logs.get(session_id)

    def new(self, session_id: str) -> Log:
        """One that is not held yet."""
        return Log(session_id, self._most_bytes)

    def hold(self, log: Log) -> None:
        self._logs[log.session_id] = log
        self._all.add(log)

    def is_followed(self, log: Log) -> bool:
        """Whether it is written elsewhere, if at all."""
        return not (log.ended or log in self.made or log in self.alone) and (
            self._logs.get(log.session_id) is log
        )

    @property
    def followed(self) -> list[Log]:
        return [log for log in self._logs.values() if self.is_followed(log)]

    def sweep(self) -> None:
        """Forgets those that nobody has read for a while, and nobody makes here."""
        long_ago = asyncio.get_running_loop().time() - KEPT_S
        for log in tuple(self._logs.values()):
            if not log.readers and log not in self.made and log.left_at < long_ago:
                self._drop(log)
        for log in tuple(self._all):
            if log.readers and self._logs.get(log.session_id) is not log:
                self.lose(log, StoreUnavailable())  # they came while it went

    def lose(self, log: Log, error: ServiceError) -> None:
        """Its readers are told so, and the next one finds a fresh copy."""
        for reader in tuple(log.readers):
            reader.fail(error, reader.request_id)
        self._drop(log)

    def _drop(self, log: Log) -> None:
        if self._logs.get(log.session_id) is log:
            del self._logs[log.session_id]
        self.alone.discard(log)

    # region: taking
    async def catch_up(self, scripts: Scripts, log: Log) -> str:
        """Reads what was written behind what is known; the ticket by which its end was delivered."""
        keys = (key(log.session_id, "log"), key(log.session_id, "delivered"))
        frames, ended, delivered = await scripts.read(keys, log.last_id)
        self.take(log, frames, ended=bool(ended))
        return str(delivered, "ascii")

    def take(self, log: Log, frames: bytes, *, ended: bool) -> None:
        """Puts frames as `read.lua` gives them behind those that are known."""
        parts = [part.partition(b"\n") for part in apart(frames)]
        ends = chain((False for _ in parts[1:]), (ended,))
        self.take_each(
            log,
            (
                (head.removeprefix(b"id: ").decode(), frame, end)
                for (head, _, frame), end in zip(parts, ends, strict=False)
            ),
        )

    def take_each(self, log: Log, frames: Iterable[tuple[str, bytes, bool]]) -> None:
        for event_id, frame, end in frames:
            seq = int(event_id.partition("-")[2])
            if seq > log.last_seq + 1:
                if log.last_seq:
                    self.lose(log, HistoryLost())
                    return
                log.dropped = log.last_seq = seq - 1  # they went before this worker had a copy
            log.put(event_id, frame, end=end)
