"""Answers that outlive their connections: one upstream call a session, however many clients come and go."""

import asyncio
from contextlib import AsyncExitStack
from typing import cast

from starlette.requests import HTTPConnection

from shared.errors import Draining, ReaderLost, ServiceError, Stopped, TooManyAnswers

from .generation import Generation
from .memory import MemoryStore
from .redis_store import RedisStore
from .replay import Cursor, Log, failure_frame
from .services import Services
from .store import Session, Store


# region: sessions
class Sessions:
    """The sessions that this worker has readers of, or makes the answers of."""

    def __init__(self, held: Services, store: Store) -> None:
        self._held = held
        self.store = store
        self._generations: dict[str, Generation] = {}
        self._running: set[asyncio.Task[None]] = set()
        store.serve(self._adopt, self._withdraw)

    async def attach(
        self, session: Session, last_id: str | None, *, charge: bool = False
    ) -> Cursor | None:
        """A reader from behind `last_id` on; None when its client has everything.

        The first reader has the answer made. Raises Overloaded, TooManyAnswers or Draining when it cannot be,
        and RateLimited when it is still to be charged.
        """
        self._held.drain.check()
        log = await self.store.follow(session.id)
        # EventSource comes back with its last id; without one, the very URL that had the end has nothing more.
        has_all = last_id == log.last_id if last_id else log.delivered == session.ticket
        if log.ended and has_all:
            return None
        reader = Cursor(log, last_id, session.request_id, self._held.settings)
        try:
            await self._have_made(session, log, charge=charge)
        except BaseException:
            await self.leave(session, reader, done=False)
            raise
        return reader

    async def leave(self, session: Session, reader: Cursor, *, done: bool) -> None:
        """The reader reads no more; `done` when it has all that it was to be given."""
        reader.close()
        if done and reader.has_end:
            await self.store.delivered(reader.log, session.ticket)

    async def stop(self, session: Session, error: ServiceError) -> None:
        """Ends the answer with this error, wherever it is made."""
        await self.store.end(session.id, failure_frame(error, session.request_id))
        if generation := self._generations.get(session.id):
            generation.break_off(error)

    async def close(self) -> None:
        """Hands over what is still being made, and closes the store."""
        for generation in tuple(self._generations.values()):
            generation.break_off(Draining())
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.store.close()

    # region: making
    async def _adopt(self, log: Log) -> None:
        if session := await self.store.find(log.session_id):
            await self._have_made(session, log)

    def _withdraw(self, log: Log, ended: bool) -> None:
        if generation := self._generations.get(log.session_id):
            generation.break_off(Stopped() if ended else ReaderLost())

    async def _have_made(self, session: Session, log: Log, *, charge: bool = False) -> None:
        if log.ended or session.id in self._generations:
            return
        self._held.drain.check()
        async with AsyncExitStack() as taken:
            if not await self.store.claim(log):
                return
            taken.push_async_callback(self.store.release, log)
            try:
                await self._take_places(session, log, taken)
                if charge:
                    await self._held.limiter.admit(session.user)
                self._held.drain.check()  # one that began meanwhile did not see this answer come
            except ServiceError as error:
                for reader in tuple(log.readers):  # those who came meanwhile wait for this answer
                    reader.fail(error, session.request_id)
                raise
            generation = Generation(self._held, session, log, self.store)
            self._generations[session.id] = generation
            making = asyncio.create_task(self._make(generation, session.id, taken.pop_all()))
        self._running.add(making)
        making.add_done_callback(self._running.discard)

    async def _take_places(self, session: Session, log: Log, taken: AsyncExitStack) -> None:
        """The user's of an answer that is taken over may be held: its worker was killed, and gave none back."""
        taken.enter_context(self._held.slots.taken())
        try:
            await taken.enter_async_context(self._held.limiter.answering(session.user))
        except TooManyAnswers:
            if not log.last_seq:
                raise

    async def _make(self, generation: Generation, session_id: str, taken: AsyncExitStack) -> None:
        async with taken:
            try:
                await generation.run()
            finally:
                del self._generations[session_id]


def open_sessions(held: Services) -> Sessions:
    """Kept in Redis, or in memory, which serves one worker."""
    settings = held.settings
    url = settings.redis_url
    return Sessions(held, RedisStore(settings, url) if url else MemoryStore(settings))


def sessions(connection: HTTPConnection) -> Sessions:
    """The sessions of the app that handles this request."""
    return cast(Sessions, connection.app.state.sessions)
