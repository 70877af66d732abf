"""POST for a ticket, then GET by EventSource, which can send no Authorization header.

A ticket is 256 random bits in a query string, good for one session, for `ticket_s` seconds or until the next
one is issued. It may be used again within them: EventSource reconnects with the same URL. Only its SHA-256 is
kept. Idempotency-Key: draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import hmac
import re
import secrets
import time
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from shared.auth import Caller
from shared.errors import Detail, InvalidRequest, KeyReused, NotFound, Stopped, TicketRefused
from shared.schemas import ChatRequest

from .auth import caller
from .connection import transport_of
from .replay import Cursor
from .routes import chat_from_body
from .services import Services, services
from .sessions import Sessions, sessions
from .store import Session
from .stream import HEADERS
from .telemetry import request_id
from .writer import Writer

api = APIRouter(prefix="/chat/sessions")

_Who = Annotated[Caller, Depends(caller)]
_KEY = re.compile(r"[A-Za-z0-9._-]{1,128}")
_NO_TICKET = "0" * 64


# region: issue
@api.post("")
async def post_session(request: Request, who: _Who) -> Response:
    """Keeps a ChatRequest for its stream; the same Idempotency-Key gets the same session, and a new ticket."""
    held = services(request)
    held.drain.check()
    key = _key(request)
    chat = await chat_from_body(request)
    new, ticket = new_session(chat, who, request_id(request), held)
    known = await keep(new, key, held, sessions(request))
    return _issued(new, ticket, held, status=200 if known else 201)


def new_session(
    chat: ChatRequest, who: Caller, request_id: str, held: Services
) -> tuple[Session, str]:
    """A session that nobody keeps yet, and its ticket."""
    ticket = secrets.token_urlsafe(32)
    session = Session(
        id=secrets.token_urlsafe(16),
        user=who.user,
        request_id=request_id,
        request=chat.model_dump_json(),
        ticket=_digest(ticket),
        ticket_until_s=time.time() + held.settings.ticket_s,
    )
    return session, ticket


async def keep(new: Session, key: str | None, held: Services, among: Sessions) -> bool:
    """Keeps a session and charges for it; true when this key had one already, which gets the new ticket.

    Raises RateLimited and KeyReused.
    """
    store = among.store
    kept = await store.add(new, key)
    if kept.id == new.id:
        try:
            await held.limiter.admit(new.user)
        except BaseException:
            await store.drop(new, key)
            raise
        return False
    if kept.request != new.request:
        raise KeyReused
    new.id, new.request_id = kept.id, kept.request_id
    await store.keep(new)
    return True


def _key(request: Request) -> str | None:
    # Two of them are as little a key as none that is well-formed.
    key = ",".join(keys) if (keys := request.headers.getlist("Idempotency-Key")) else None
    if key is not None and not _KEY.fullmatch(key):
        detail = Detail("Idempotency-Key", "malformed", "1-128 of A-Z a-z 0-9 . _ -")
        raise InvalidRequest(details=(detail,))
    return key


def _issued(session: Session, ticket: str, held: Services, *, status: int) -> Response:
    until = datetime.fromtimestamp(session.ticket_until_s, UTC).replace(tzinfo=None)
    body = {
        "session_id": session.id,
        "ticket": ticket,
        "stream_url": f"/chat/sessions/{session.id}/events?ticket={ticket}",
        "expires_at": until.isoformat(timespec="milliseconds") + "Z",
        "expires_in_s": held.settings.ticket_s,
    }
    return JSONResponse(body, status, {"Cache-Control": "no-store"})


# region: check
async def opened(among: Sessions, session_id: str, ticket: str) -> Session:
    """The session that this ticket opens; raises TicketRefused, the same for whatever is wrong."""
    session = await among.store.find(session_id)
    known = session.ticket if session else _NO_TICKET
    fits = hmac.compare_digest(known, _digest(ticket))
    if session is None or not fits or session.ticket_until_s < time.time():
        raise TicketRefused
    return session


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode("utf-8", "replace")).hexdigest()


# region: events
@api.get("/{session_id}/events")
async def get_events(request: Request, session_id: str) -> Response:
    """The session's stream, from behind Last-Event-ID on; 204 when the client has everything."""
    query = parse_qs(request.scope["query_string"].decode("ascii", "replace"))
    among = sessions(request)
    session = await opened(among, session_id, query.get("ticket", [""])[-1])
    last_id = request.headers.get("Last-Event-ID") or query.get("last_event_id", [""])[-1]
    reader = await among.attach(session, last_id or None)
    if reader is None:
        return Response(status_code=204)
    return _SessionStream(services(request), among, session, reader)


@api.delete("/{session_id}")
async def delete_session(request: Request, session_id: str, who: _Who) -> Response:
    """Stops an answer for good, wherever it is made."""
    among = sessions(request)
    session = await among.store.find(session_id)
    if session is None or session.user != who.user:
        raise NotFound
    await among.stop(session, Stopped())
    return Response(status_code=204)


class _SessionStream(Response):
    """What a reader takes, as events; the record is the answer's, however many read it."""

    def __init__(self, held: Services, among: Sessions, session: Session, reader: Cursor) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._held = held
        self._sessions = among
        self._session = session
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        held, reader = self._held, self._reader
        transport = transport_of(scope, receive)
        writer = Writer(reader, held.settings, self._session.request_id, transport)
        try:
            with held.drain.counting(writer):
                await writer.run(receive, send, start)
        finally:
            await self._sessions.leave(self._session, reader, done=writer.outcome == "finished")
            await writer.left()
