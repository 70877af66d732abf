"""The store of several workers or hosts: one Redis that all of them reach, from 6.2 on, and not a cluster.

A session's request, prompts included, rests there until `session_s` after its last ticket and its answer's
end: a worker that takes an answer over needs it. Its frames are a Redis Stream with the ids that clients know.
Who writes them holds a lease; what is shown to a client is in Redis first. Without Redis no session begins,
while an answer that is being made here goes on in memory for the readers that it has here.
"""

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from pydantic import RedisDsn

from shared.errors import StoreUnavailable
from shared.settings import Settings

from .redis_beat import BEAT_S, LEASE_MS, Beat
from .redis_copies import Copies, key
from .redis_pipe import Connections, Pipe
from .redis_scripts import Scripts
from .redis_tail import Tail
from .replay import Log
from .store import Adopt, Session, Superseded, Withdraw

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_encode = msgspec.json.Encoder().encode
_session = msgspec.json.Decoder(Session).decode


# region: redis
class RedisStore:
    def __init__(self, settings: Settings, url: RedisDsn) -> None:
        self._settings = settings
        self._keep_ms = int(settings.session_s * 1000)
        self._worker = secrets.token_hex(8)
        connections = Connections(url)
        self._pipe = Pipe(connections)
        self._scripts = Scripts(self._pipe)
        self._copies = Copies(settings.replay_bytes)
        self._tail = Tail(connections, self._pipe, self._copies)
        self._filling: dict[str, asyncio.Task[Log]] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._read_at: dict[Log, float] = {}
        self._beat: Beat | None = None

    def serve(self, adopt: Adopt, withdraw: Withdraw) -> None:
        held_ms = int((self._settings.resume_grace_s + BEAT_S) * 1000)
        self._beat = Beat(self._scripts, self._copies, held_ms)
        self._beat.begin(adopt, withdraw, partial(self._append, frames=(), end=False))

    async def close(self) -> None:
        if self._beat is not None:
            await self._beat.close()
        await self._tail.close()
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self._pipe.close()

    # region: sessions
    async def add(self, session: Session, key: str | None) -> Session:
        keys = (_of(session.id), *((_named(session, key),) if key is not None else ()))
        key_ms = 2 * self._keep_ms + int(self._settings.answer_timeout_s * 1000)
        known = await self._scripts.add(keys, _encode(session), session.id, self._keep_ms, key_ms)
        return session if known is None else _session(known)

    async def drop(self, session: Session, key: str | None) -> None:
        with suppress(StoreUnavailable):  # nobody has its ticket
            names = (_named(session, key),) if key is not None else ()
            await self._pipe.ask("DEL", _of(session.id), *names)

    async def find(self, session_id: str) -> Session | None:
        if not _ID.fullmatch(session_id):
            return None
        record = await self._pipe.ask("GET", _of(session_id))
        return None if record is None else _session(record)

    async def keep(self, session: Session) -> None:
        await self._pipe.ask("SET", _of(session.id), _encode(session), "PX", self._keep_ms)

    # region: reading
    async def follow(self, session_id: str) -> Log:
        if log := self._copies.get(session_id):
            return log
        filling = self._filling.get(session_id)
        if filling is None:
            filling = self._filling[session_id] = asyncio.create_task(self._fill(session_id))
            filling.add_done_callback(partial(self._filled, session_id))
        return await asyncio.shield(filling)

    def _filled(self, session_id: str, filling: asyncio.Task[Log]) -> None:
        del self._filling[session_id]
        _seen(filling)

    async def _fill(self, session_id: str) -> Log:
        """However many ask at once, a log is read once."""
        log = self._copies.new(session_id)
        log.delivered = await self._copies.catch_up(self._scripts, log)
        self._copies.hold(log)
        self._tail.changed.set()
        return log

    async def delivered(self, log: Log, ticket: str) -> None:
        if log.delivered != ticket:
            log.delivered = ticket
            with suppress(StoreUnavailable):
                name = key(log.session_id, "delivered")
                await self._pipe.ask("SET", name, ticket, "PX", self._keep_ms)

    async def away_s(self, log: Log) -> float:
        now = asyncio.get_running_loop().time()
        if log.readers:
            return 0.0
        here_s = now - log.left_at
        with suppress(StoreUnavailable):
            left_ms = await self._pipe.ask("PTTL", key(log.session_id, "readers"))
            self._read_at[log] = now - self._settings.resume_grace_s + max(left_ms, 0) / 1000
        # While Redis is away, those whom it knew of are still taken to be there for their grace.
        return max(0.0, min(here_s, now - self._read_at.get(log, now)))

    # region: writing
    async def claim(self, log: Log) -> bool:
        if not self._copies.is_followed(log):
            return False
        keys = [key(log.session_id, what) for what in ("session", "lease", "log")]
        taken, frames, ended = await self._scripts.claim(keys, self._worker, LEASE_MS, log.last_id)
        self._copies.take(log, frames, ended=bool(ended))
        if not taken or not self._copies.is_followed(log):
            return False
        log.begin(time.time_ns() // 1_000_000)
        self._copies.made[log] = asyncio.Lock()
        return True

    async def append(self, log: Log, frames: Sequence[bytes], *, end: bool) -> None:
        writing = asyncio.create_task(self._append(log, frames=frames, end=end))
        self._writing.add(writing)
        writing.add_done_callback(self._wrote)
        # What is on its way to Redis comes back into the log, even when the caller is cancelled meanwhile.
        await asyncio.shield(writing)

    def _wrote(self, writing: asyncio.Task[None]) -> None:
        self._writing.discard(writing)
        _seen(writing)

    async def _append(self, log: Log, *, frames: Sequence[bytes], end: bool) -> None:
        lock = self._copies.made.get(log)
        if lock is None:
            raise Superseded(ended=log.ended)
        async with lock:
            if log.ended:
                raise Superseded(ended=True)
            pairs = list(zip(log.next_ids(len(frames)), frames, strict=True))
            if log not in self._copies.alone:
                await self._send(log, pairs, end=end)
            for number, (event_id, frame) in enumerate(pairs, 1):
                log.put(event_id, frame, end=end and number == len(pairs))

    async def _send(self, log: Log, pairs: Sequence[tuple[str, bytes]], *, end: bool) -> None:
        keys = [key(log.session_id, what) for what in ("session", "lease", "log", "bytes")]
        terms = (LEASE_MS, self._keep_ms, self._settings.replay_bytes, log.last_id, int(end))
        parts = (part for pair in pairs for part in pair)
        try:
            verdict = await self._scripts.append(keys, self._worker, *terms, *parts)
        except StoreUnavailable:
            if pairs:
                self._copies.alone.add(log)
            return
        if verdict == b"gone":
            self._copies.alone.add(log)
        elif verdict != b"put":
            await self._superseded(log, ended=verdict == b"ended")

    async def _superseded(self, log: Log, *, ended: bool) -> None:
        self._copies.made.pop(log, None)
        self._tail.changed.set()
        if ended:
            with suppress(StoreUnavailable):
                await self._copies.catch_up(self._scripts, log)
        raise Superseded(ended=ended)

    async def release(self, log: Log) -> None:
        lock = self._copies.made.get(log)
        if lock is None:
            return
        async with lock:
            self._read_at.pop(log, None)
            if self._copies.made.pop(log, None) is None or log in self._copies.alone:
                return
            self._tail.changed.set()
            with suppress(StoreUnavailable):  # its lease runs out
                await self._scripts.release((key(log.session_id, "lease"),), self._worker)

    async def end(self, session_id: str, frame: bytes) -> None:
        keys = [key(session_id, what) for what in ("session", "log", "bytes")]
        now_ms, most = time.time_ns() // 1_000_000, self._settings.replay_bytes
        await self._scripts.end(keys, now_ms, frame, self._keep_ms, most)


def _seen(task: asyncio.Task[Any]) -> None:
    """Its error is nobody's any more when those who asked are gone."""
    if not task.cancelled():
        task.exception()


def _of(session_id: str) -> str:
    return key(session_id, "session")


def _named(session: Session, name: str) -> str:
    """The key under which a user's Idempotency-Key is known."""
    both = f"{session.user}\0{name}".encode()
    return f"chat:key:{hashlib.sha256(both).hexdigest()}"
