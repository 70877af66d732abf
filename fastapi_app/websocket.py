"""The fallback for clients to whom a proxy gives no event stream: the same events, as messages.

The first message says what is wanted: `{"session_id", "ticket", "last_event_id"}` for a session's stream, or
`{"request": ChatRequest}` for an answer that ends with the connection. `{"stop": true}` ends it. Each message
of ours is `{"id", "event", "data"}`, heartbeats (`ping`) included; the close behind the last one is 1000, or
1008 and 1013 (RFC 6455, 7.4) where a `failure` has said why there is no answer.
"""

import asyncio
import logging
from contextlib import suppress
from typing import TypeVar

import msgspec
from fastapi import APIRouter, Response, WebSocket
from starlette.websockets import WebSocketDisconnect

from shared.cors import allowed_origin
from shared.errors import (
    BadRequest,
    BodyTooLarge,
    Draining,
    InvalidJson,
    InvalidRequest,
    ReaderLost,
    RequestTimeout,
    ServiceError,
    SlowReader,
    Stopped,
)
from shared.intake import chat_from_json
from shared.telemetry import REQUEST_ID_HEADER, choose_request_id

from .auth import caller
from .replay import Cursor, failure_frame
from .services import Services, services
from .sessions import Sessions, sessions
from .store import Session
from .tickets import new_session, opened

api = APIRouter()

T = TypeVar("T")
# A page is not shown the pings of its browser, and takes a long silence for a dead connection.
PING = '{"id":null,"event":"ping","data":null}'
DONE, POLICY, TRY_AGAIN = 1000, 1008, 1013
DENIAL = "websocket.http.response"  # of ASGI servers that let an upgrade be answered; gunicorn's does not


# region: asked
class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    session_id: str = ""
    ticket: str = ""
    last_event_id: str | None = None
    request: msgspec.Raw = msgspec.Raw()

    @property
    def own(self) -> bool:
        """Whether it is an answer of its own that is asked for."""
        return bool(bytes(self.request))


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    stop: bool


def _decoded(body: bytes, kind: type[T]) -> T:
    """Raises InvalidRequest and InvalidJson."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        raise InvalidRequest from None
    except (msgspec.DecodeError, RecursionError):
        raise InvalidJson from None


# region: endpoint
@api.websocket("/chat/ws")
async def chat_ws(socket: WebSocket) -> None:
    """Streams a session, or an answer of its own, to one WebSocket."""
    held = services(socket)
    origins = held.settings.cors_origins
    if not allowed_origin(socket.headers.get("Origin"), socket.headers.get("Host", ""), origins):
        await socket.close(POLICY)  # before it is accepted: a 403
        return
    request_id = choose_request_id(socket.headers.get(REQUEST_ID_HEADER))
    if held.drain.draining and DENIAL in socket.scope.get("extensions", {}):
        # A proxy that reads a 503 asks another worker; behind a 101 the client would have to.
        await socket.send_denial_response(_denial(Draining(), request_id))
        return
    await socket.accept()
    with suppress(WebSocketDisconnect, TimeoutError):
        try:
            await _Conversation(socket, held, sessions(socket), request_id).run()
        except ServiceError as error:
            async with asyncio.timeout(held.settings.send_timeout_s):
                await socket.send_text(message(failure_frame(error, request_id)))
                await socket.close(TRY_AGAIN if error.status in (429, 503) else POLICY)


def _denial(error: ServiceError, request_id: str) -> Response:
    headers = error.headers | {REQUEST_ID_HEADER: request_id}
    return Response(error.body(request_id), error.status, headers, media_type="application/json")


def without_query(record: logging.LogRecord) -> bool:
    """A filter for uvicorn's log, which writes the query string of each WebSocket."""
    return '"WebSocket %s"' not in str(record.msg)


def message(framed: bytes) -> str:
    """A frame of the event stream as a message."""
    fields = dict(line.split(b": ", 1) for line in framed.rstrip(b"\n").split(b"\n"))
    event_id = b'"%b"' % fields[b"id"] if b"id" in fields else b"null"
    whole = b'{"id":%b,"event":"%b","data":%b}' % (event_id, fields[b"event"], fields[b"data"])
    return whole.decode()


# region: conversation
class _Conversation:
    """One socket's answer, also as the drain sees it."""

    queued_bytes = 0  # the log is its session's, whoever reads it

    def __init__(self, socket: WebSocket, held: Services, among: Sessions, request_id: str) -> None:
        self._socket = socket
        self._held = held
        self._sessions = among
        self._request_id = request_id

    async def run(self) -> None:
        """Returns when the socket is closed; raises the ServiceError that refuses what it asks for."""
        asked = await self._ask()
        session = await self._session(asked)
        reader = await self._attach(session, asked)
        if reader is None:
            await self._socket.close(DONE)
            return
        self._reader = reader
        self._writing = asyncio.create_task(self._write(reader))
        listening = asyncio.create_task(self._listen(session))
        both = (self._writing, listening)
        try:
            with self._held.drain.counting(self):
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            wrote, _ = await asyncio.gather(*both, return_exceptions=True)
            if asked.own and not reader.has_end:
                slow = isinstance(wrote, TimeoutError)
                await self._sessions.stop(session, SlowReader() if slow else ReaderLost())
            await self._sessions.leave(session, reader, done=wrote is None)
            if asked.own:
                await self._sessions.store.drop(session, None)  # nobody has its ticket
        if wrote is not None and listening.done() and not listening.cancelled():
            listening.result()

    def cut(self) -> None:
        self._reader.fail(Draining(), self._request_id)

    def abandon(self) -> None:
        self._writing.cancel()

    # region: messages
    async def _ask(self) -> _Asked:
        try:
            async with asyncio.timeout(self._held.settings.request_timeout_s):
                asked = _decoded(await self._receive(), _Asked)
        except TimeoutError:
            raise RequestTimeout from None
        if asked.own and (asked.session_id or asked.ticket or asked.last_event_id):
            raise InvalidRequest
        return asked

    async def _receive(self) -> bytes:
        """One message; raises WebSocketDisconnect, BadRequest for bytes, and BodyTooLarge."""
        received = await self._socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        text: str | None = received.get("text")
        if text is None:
            raise BadRequest
        if len(body := text.encode("utf-8", "replace")) > self._held.settings.max_body_bytes:
            raise BodyTooLarge
        return body

    async def _session(self, asked: _Asked) -> Session:
        if not asked.own:
            return await opened(self._sessions, asked.session_id, asked.ticket)
        held = self._held
        who = await caller(self._socket)
        held.drain.check()
        chat = chat_from_json(bytes(asked.request), "application/json", held.settings)
        session, _ = new_session(chat, who, self._request_id, held)
        await self._sessions.store.add(session, None)
        return session

    async def _attach(self, session: Session, asked: _Asked) -> Cursor | None:
        try:
            return await self._sessions.attach(session, asked.last_event_id, charge=asked.own)
        except BaseException:
            if asked.own:
                await self._sessions.store.drop(session, None)
            raise

    async def _write(self, reader: Cursor) -> None:
        most_s, heartbeat = self._held.settings.send_timeout_s, False
        while True:
            ended = reader.ended
            messages = [message(framed) for framed in reader.frames()]
            for text in messages or [PING] * heartbeat:
                async with asyncio.timeout(most_s):
                    await self._socket.send_text(text)
            if ended:
                async with asyncio.timeout(most_s):
                    await self._socket.close(DONE)
                return
            heartbeat = True
            await reader.due()

    async def _listen(self, session: Session) -> None:
        while True:
            if _decoded(await self._receive(), _Order).stop:
                await self._sessions.stop(session, Stopped())
