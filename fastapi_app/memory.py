"""The store of a single worker: its own memory."""

import asyncio
import time
from collections.abc import Sequence
from operator import itemgetter

from shared.errors import Overloaded
from shared.settings import Settings

from .replay import Log
from .store import Adopt, Session, Superseded, Withdraw

MOST_SESSIONS = 10_000
MOST_BYTES = 256 * 1024 * 1024
PRUNE_S = 1.0


# region: memory
class MemoryStore:
    """Forgets a session `session_s` seconds after its last ticket, and after its answer has ended.

    Sooner, the oldest first, when all of them together are larger than MOST_BYTES.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._kept_until: dict[str, float] = {}
        self._logs: dict[str, Log] = {}
        self._making: set[str] = set()
        self._pruned_at = 0.0

    def serve(self, adopt: Adopt, withdraw: Withdraw) -> None:
        """Nobody else writes what this worker's clients read."""

    async def add(self, session: Session, key: str | None) -> Session:
        self._prune()
        if key is not None and (
            known := self._sessions.get(self._keys.get((session.user, key), ""))
        ):
            return known
        if len(self._sessions) >= MOST_SESSIONS:
            raise Overloaded
        if key is not None:
            self._keys[session.user, key] = session.id
        self._sessions[session.id] = session
        self._keep(session.id)
        return session

    async def drop(self, session: Session, key: str | None) -> None:
        self._forget(session.id)
        if key is not None:
            self._keys.pop((session.user, key), None)

    async def find(self, session_id: str) -> Session | None:
        self._prune()
        return self._sessions.get(session_id)

    async def keep(self, session: Session) -> None:
        self._sessions[session.id] = session
        self._keep(session.id)

    # region: frames
    async def follow(self, session_id: str) -> Log:
        if session_id not in self._logs:
            self._logs[session_id] = Log(session_id, self._settings.replay_bytes)
        return self._logs[session_id]

    async def claim(self, log: Log) -> bool:
        if log.ended or log.session_id in self._making:
            return False
        self._making.add(log.session_id)
        log.begin(time.time_ns() // 1_000_000)
        return True

    async def append(self, log: Log, frames: Sequence[bytes], *, end: bool) -> None:
        if log.ended:
            raise Superseded(ended=True)
        for number, (event_id, frame) in enumerate(
            zip(log.next_ids(len(frames)), frames, strict=True), 1
        ):
            log.put(event_id, frame, end=end and number == len(frames))

    async def release(self, log: Log) -> None:
        self._making.discard(log.session_id)
        if log.session_id in self._sessions:
            self._keep(log.session_id)

    async def end(self, session_id: str, frame: bytes) -> None:
        log = await self.follow(session_id)
        if not log.ended:
            log.begin(time.time_ns() // 1_000_000)
            await self.append(log, [frame], end=True)

    async def delivered(self, log: Log, ticket: str) -> None:
        log.delivered = ticket

    async def away_s(self, log: Log) -> float:
        return 0.0 if log.readers else asyncio.get_running_loop().time() - log.left_at

    async def close(self) -> None: ...

    # region: keeping
    def _keep(self, session_id: str) -> None:
        self._kept_until[session_id] = time.monotonic() + self._settings.session_s

    def _size(self, session_id: str) -> int:
        log = self._logs.get(session_id)
        return len(self._sessions[session_id].request) + (log.bytes if log else 0)

    def _forget(self, session_id: str) -> None:
        for kept in (self._sessions, self._logs, self._kept_until):
            kept.pop(session_id, None)

    def _prune(self) -> None:
        now = time.monotonic()
        if now - self._pruned_at < min(PRUNE_S, self._settings.session_s):
            return
        self._pruned_at = now
        held = sum(map(self._size, self._sessions))
        for session_id, until in sorted(self._kept_until.items(), key=itemgetter(1)):
            if until >= now and held <= MOST_BYTES:
                break
            log = self._logs.get(session_id)
            if session_id not in self._making and not (log and log.readers):
                held -= self._size(session_id)
                self._forget(session_id)
        self._keys = {key: one for key, one in self._keys.items() if one in self._sessions}
