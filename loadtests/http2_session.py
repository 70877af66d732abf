"""A client's end of one HTTP/2 connection (RFC 9113), over which many streams are read."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import cast

import h2.events as h2_events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from loadtests.streams import Asking, Taken

STREAM_WINDOW, CONNECTION_WINDOW = 2**20, 2**30
UNPROCESSED = "not processed by the server"
_SETTINGS = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW}
_CONFIG = H2Configuration(
    client_side=True, header_encoding="latin-1", validate_inbound_headers=False
)
_HEAD_BYTES, _GOAWAY_TYPE = 9, 7


class Session(asyncio.Protocol):
    """One connection; `ready` when the server has sent its settings."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closing = False
        self._h2 = H2Connection(_CONFIG)
        self._goaway = Goaway()
        self._h2.local_settings = Settings(client=True, initial_values=_SETTINGS)
        self._open: dict[int, tuple[Taken, asyncio.Future[None]]] = {}
        self._unsent: dict[int, bytes] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._read_ns = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class that asyncio knows.
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._read_ns = time.monotonic_ns()
        try:
            for event in self._h2.receive_data(self._goaway.feed(data)):
                self._heard(event)
        except ProtocolError as error:
            self._break_off(f"not HTTP/2: {type(error).__name__}")
            return
        self._flush()
        if self._goaway.last_stream is not None:
            self._retire(self._goaway.last_stream)

    def connection_lost(self, error: Exception | None) -> None:
        self._break_off("")
        if not self.ready.done():
            self.ready.set_exception(ConnectionResetError("the server closed the connection"))

    # for a line

    async def ask(self, asking: Asking, asked_ns: int) -> Taken:
        """Returns at the end of the response, whatever that is."""
        taken = Taken(asking.request_id, asked_ns)
        while not self.closing and self._full:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
        if self.closing:
            taken.trouble = UNPROCESSED
            return taken
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._send(asking, taken, gone)
        await gone
        return taken

    def close(self) -> None:
        self.closing = True
        self._transport.close()

    @property
    def _full(self) -> bool:
        return len(self._open) >= self._h2.remote_settings.max_concurrent_streams

    def _send(self, asking: Asking, taken: Taken, gone: asyncio.Future[None]) -> None:
        stream = self._h2.get_next_available_stream_id()
        self._open[stream] = (taken, gone)
        self._h2.send_headers(stream, _fields(asking), end_stream=not asking.body)
        if asking.body:
            self._unsent[stream] = asking.body
            self._go_on(stream)
        self._flush()

    def _go_on(self, stream: int) -> None:
        """Sends as much of a request's body as the server takes now."""
        h2 = self._h2
        while body := self._unsent.get(stream):
            room = min(h2.local_flow_control_window(stream), h2.max_outbound_frame_size)
            if room <= 0:
                return
            self._unsent[stream] = rest = body[room:]
            h2.send_data(stream, body[:room], end_stream=not rest)
        self._unsent.pop(stream, None)

    # what the server says

    def _heard(self, event: h2_events.Event) -> None:
        match event:
            case h2_events.DataReceived(stream_id=stream):
                self._took(stream, event.data, event.flow_controlled_length)
            case h2_events.ResponseReceived(stream_id=stream):
                self._began(stream, event.headers)
            case h2_events.StreamEnded(stream_id=stream):
                self._end(stream, "")
            case h2_events.StreamReset(stream_id=stream):
                self._end(stream, _reset(event.error_code))
            case h2_events.WindowUpdated() | h2_events.RemoteSettingsChanged():
                self._may_send()

    def _took(self, stream: int, data: bytes, length: int) -> None:
        self._h2.acknowledge_received_data(length, stream)
        if data and stream in self._open:
            self._open[stream][0].reads.append((self._read_ns, data))

    def _began(self, stream: int, headers: Sequence[tuple[bytes | str, bytes | str]]) -> None:
        if stream not in self._open:
            return
        taken = self._open[stream][0]
        fields = {str(name): str(value) for name, value in headers}
        taken.status = int(fields.pop(":status"))
        taken.headers.update(fields)
        taken.trouble = "broken off"

    def _may_send(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
        for stream in tuple(self._unsent):
            self._go_on(stream)
        self._wake()

    def _retire(self, last: int) -> None:
        """Streams up to `last` go on, later ones were never looked at."""
        self.closing = True
        for stream in [stream for stream in self._open if stream > last]:
            self._end(stream, UNPROCESSED)
        self._wake()
        if not self._open:
            self._transport.close()

    # endings

    def _end(self, stream: int, trouble: str | None) -> None:
        """Ends one response; None leaves the trouble as it stands."""
        found = self._open.pop(stream, None)
        self._unsent.pop(stream, None)
        if found is None:
            return
        taken, gone = found
        if trouble is not None:
            taken.trouble = trouble
        taken.ended_ns = time.monotonic_ns() if taken.trouble else self._read_ns
        if not gone.done():
            gone.set_result(None)
        self._wake()
        if self.closing and not self._open:
            self._transport.close()

    def _break_off(self, trouble: str) -> None:
        self.closing = True
        for stream in tuple(self._open):
            self._end(stream, trouble or None)
        self._wake()
        self._transport.abort()

    def _wake(self) -> None:
        """Lets those who wait for a stream look again."""
        while self._waiting and (self.closing or not self._full):
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                if not self.closing:
                    return

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._transport.write(data)


def _reset(code: ErrorCodes | int | None) -> str:
    if code == ErrorCodes.REFUSED_STREAM:
        return UNPROCESSED
    return f"reset ({code.name if isinstance(code, ErrorCodes) else code})"


class Goaway:
    """Takes GOAWAY out of a connection's bytes: behind one, h2 takes no frame of the streams that go on."""

    def __init__(self) -> None:
        self.last_stream: int | None = None
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The whole frames that are no GOAWAY; `last_stream` is the last that a GOAWAY leaves."""
        data = self._rest + data if self._rest else data
        kept, start, at = [], 0, 0
        while (size := _frame_bytes(data, at)) is not None:
            if data[at + 3] == _GOAWAY_TYPE:
                kept.append(data[start:at])
                start = at + size
                self.last_stream = int.from_bytes(data[at + 9 : at + 13], "big") & 0x7FFFFFFF
            at += size
        self._rest = data[at:]
        return b"".join((*kept, data[start:at]))


def _frame_bytes(data: bytes, at: int) -> int | None:
    """The size of the frame at this place, its head included; None when it is not all there."""
    size = _HEAD_BYTES + int.from_bytes(data[at : at + 3], "big")
    return size if len(data) - at >= size else None


def _fields(asking: Asking) -> list[tuple[str, str]]:
    pseudo = [
        (":method", asking.method),
        (":scheme", "https"),
        (":authority", "127.0.0.1"),
        (":path", asking.target),
    ]
    own = [("x-request-id", asking.request_id)]
    if asking.body:
        own.append(("content-length", str(len(asking.body))))
    return pseudo + own + [(name.lower(), value) for name, value in asking.headers]
