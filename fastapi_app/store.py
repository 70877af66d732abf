"""Where sessions and what was written of their answers are kept: what every store can do."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from shared.schemas import ChatRequest

from .replay import Log


# region: session
class Session(msgspec.Struct):
    """A request that waits for its stream, or has one; `ticket` is a SHA-256, `ticket_until_s` a Unix time."""

    id: str
    user: str
    request_id: str
    request: str
    ticket: str
    ticket_until_s: float

    @property
    def chat(self) -> ChatRequest:
        return ChatRequest.model_validate_json(self.request)


# region: store
class Superseded(Exception):
    """The caller makes this answer no more: it was `ended` from elsewhere, or another worker makes it."""

    def __init__(self, *, ended: bool) -> None:
        self.ended = ended
        super().__init__()


Adopt = Callable[[Log], Awaitable[None]]
Withdraw = Callable[[Log, bool], None]


class Store(Protocol):
    """A log is this process's copy of one session's frames; there is one a session."""

    def serve(self, adopt: Adopt, withdraw: Withdraw) -> None:
        """Begins; `adopt` is called with a log that has readers here, no end, and nobody who writes it.

        `withdraw` is called with a log that this worker writes no more, and whether it has an end.
        """

    async def add(self, session: Session, key: str | None) -> Session:
        """Keeps it, and returns it; or returns the session that this user's key has already."""

    async def drop(self, session: Session, key: str | None) -> None:
        """Forgets a session that was added and is not allowed."""

    async def find(self, session_id: str) -> Session | None: ...

    async def keep(self, session: Session) -> None:
        """Keeps a session's new ticket, and the session for another while."""

    async def follow(self, session_id: str) -> Log:
        """The log with all that was written so far, and from now on with what others write."""

    async def claim(self, log: Log) -> bool:
        """True when the answer has no end and nobody makes it: from now on the caller does."""

    async def append(self, log: Log, frames: Sequence[bytes], *, end: bool) -> None:
        """Puts frames behind the others; raises Superseded."""

    async def release(self, log: Log) -> None:
        """The caller makes this answer no more; another may."""

    async def end(self, session_id: str, frame: bytes) -> None:
        """Puts an end behind the others, whoever makes the answer."""

    async def delivered(self, log: Log, ticket: str) -> None:
        """A client with this ticket, as a SHA-256, has been given the end."""

    async def away_s(self, log: Log) -> float:
        """For how long nobody has read the log, on any worker."""

    async def close(self) -> None: ...
