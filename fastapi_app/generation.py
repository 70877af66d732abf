"""One answer being made for its session, whoever reads it; it goes on for a while when nobody does."""

import asyncio

from starlette.types import Message

from shared.auth import Caller
from shared.errors import Abandoned, Draining, HistoryLost, ReaderLost, ServiceError, Stopped

from .replay import Log, failure_frame
from .services import Services
from .sse import PING, apart, frame, text_of
from .store import Session, Store, Superseded
from .stream import Relay

_START: Message = {"type": "http.response.start", "status": 200, "headers": []}


# region: generation
class Generation:
    """A relay whose client is the log: budget, deadlines, the one record and the one ending are the relay's.

    A worker that takes an answer over has the provider make it again, and adds only what goes beyond what was
    written; where the two differ, the history is lost, and its readers are told so.
    """

    queued_bytes = 0  # readers count what waits for them

    def __init__(self, held: Services, session: Session, log: Log, store: Store) -> None:
        self._held = held
        self._session = session
        self._log = log
        self._store = store
        self._relay: Relay | None = None
        self._ended_by: ServiceError | None = None
        self._known = "".join(map(text_of, log.read(0)))

    async def run(self) -> None:
        """Returns when the log has its end, or when another worker may have the answer."""
        with self._held.drain.counting(self):
            try:
                if self._log.dropped:
                    raise HistoryLost
                if self._ended_by is None:
                    await self._make()
            except ServiceError as error:
                self._ended_by = error
            finally:
                await asyncio.shield(self._leave())

    async def _make(self) -> None:
        held, session = self._held, self._session
        entry = held.begin(session.chat, Caller(session.user), session.request_id, "stream")
        self._relay = Relay(held, session.chat, entry, None)
        await self._relay.run(self._receive, self._send, _START)

    def break_off(self, error: ServiceError) -> None:
        """Ends it at once; the provider's request is closed."""
        self._ended_by = self._ended_by or error
        if self._relay is not None:
            self._relay.writer.break_off(error)

    def cut(self) -> None:
        """The worker stops: its clients are told so one by one, and another worker may go on."""
        self.break_off(Draining())

    abandon = cut

    # region: client
    async def _receive(self) -> Message:
        """Returns when nobody has read for the grace: to the relay, that is a client who leaves."""
        grace_s = self._held.settings.resume_grace_s
        while (away_s := await self._store.away_s(self._log)) < grace_s:  # noqa: ASYNC110  # no event tells of readers elsewhere
            await asyncio.sleep(grace_s - away_s)
        self.break_off(Abandoned())
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        body: bytes = message.get("body", b"")
        if not body or body == PING:
            return
        try:
            frames = self._beyond_known(apart(body)) if self._known else apart(body)
            if frames:
                await self._store.append(self._log, frames, end=not message["more_body"])
        except Superseded as lost:
            self.break_off(Stopped() if lost.ended else ReaderLost())
        except HistoryLost as error:
            self.break_off(error)

    async def _leave(self) -> None:
        try:
            if self._ended_by is not None and not isinstance(self._ended_by, Draining):
                frame = failure_frame(self._ended_by, self._session.request_id)
                await self._store.append(self._log, [frame], end=True)
        except Superseded:
            pass
        finally:
            await self._store.release(self._log)

    # region: taking-over
    def _beyond_known(self, frames: list[bytes]) -> list[bytes]:
        """What goes beyond the text that was written already; raises HistoryLost where it is another one."""
        beyond: list[bytes] = []
        for one in frames:
            text = text_of(one)
            if not text and self._known and one.startswith(b"event: done"):
                raise HistoryLost
            if not self._known or not text:
                beyond.append(one)
            elif self._known.startswith(text):
                self._known = self._known[len(text) :]
            elif text.startswith(self._known):
                beyond.append(frame(text[len(self._known) :]))
                self._known = ""
            else:
                raise HistoryLost
        return beyond
