"""httpx2's async transport on aiohttp, which reads an event stream once a window and not once a token.

aiohttp's parser, in C, takes what the socket brings; nothing above it wakes until a window has passed since
the last read, or the body has ended, so the first token and the last wait for nobody.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import httpx2

READ_BUFFER_BYTES = 8 * 1024
KERNEL_BUFFER_BYTES = 32 * 1024


class WindowedTransport(httpx2.AsyncBaseTransport):
    """Opens its session at the first request, in the loop that serves it.

    `window_s` is the longest that bytes of an event stream wait; `connections` bounds those in use at once.
    """

    def __init__(self, connections: int, window_s: float, tokens: int) -> None:
        self._connections = connections
        self._window_s = window_s
        self._tokens = tokens
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        timeout = request.extensions["timeout"]
        with _as_httpx():
            response = await self._open().request(
                request.method,
                str(request.url),
                headers=request.headers.multi_items(),
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=timeout["pool"],
                    sock_connect=timeout["connect"],
                    sock_read=timeout["read"],
                ),
            )
        return httpx2.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response, self._window_s, self._tokens),
            request=request,
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections, keepalive_timeout=60, socket_factory=_socket
                ),
                auto_decompress=False,
                trust_env=True,
                # Twice as much and it stops reading: then the provider is held up by our slowest reader.
                read_bufsize=READ_BUFFER_BYTES,
                skip_auto_headers=("User-Agent", "Content-Type"),
            )
        return self._session


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for which the kernel keeps little: what waits in it has been made, and has to be paid for."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER_BYTES)
    return made


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, window_s: float, tokens: int) -> None:
        self._response = response
        self._pace = Pace(window_s, tokens)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._response.content
        windowed = self._response.content_type == "text/event-stream"
        loop = asyncio.get_running_loop()
        alarm = asyncio.Event()
        content.on_eof(alarm.set)
        with _as_httpx():
            while data := await content.readany():
                nap_s = self._pace.nap_s(data, loop.time())
                # In parts, so that a reader who is behind holds up what is not decoded yet.
                for start in range(0, len(data), READ_BUFFER_BYTES):
                    yield data[start : start + READ_BUFFER_BYTES]
                if windowed and not content.is_eof():
                    alarm.clear()
                    await _nap(loop, alarm, nap_s)

    async def aclose(self) -> None:
        if self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()


class Pace:
    """How long to leave a stream alone so that the next read brings about `tokens` events.

    Pure: bytes and the time they were read go in, seconds come out, at most `window_s`.
    """

    def __init__(self, window_s: float, tokens: int) -> None:
        self._window_s = window_s
        self._tokens = tokens
        self._read_at: float | None = None

    def nap_s(self, data: bytes, now: float) -> float:
        events = data.count(b"\n\n") or 1
        gap_s = self._window_s if self._read_at is None else (now - self._read_at) / events
        self._read_at = now
        return min(self._window_s, self._tokens * gap_s)


async def _nap(loop: asyncio.AbstractEventLoop, alarm: asyncio.Event, most_s: float) -> None:
    """Sleeps for `most_s` seconds, or until the end of the body sets the alarm."""
    timer = loop.call_later(most_s, alarm.set)
    try:
        await alarm.wait()
    finally:
        timer.cancel()


@contextlib.contextmanager
def _as_httpx() -> Iterator[None]:
    """Raises aiohttp's errors as those that the SDK knows."""
    try:
        yield
    except aiohttp.ServerTimeoutError as error:
        connecting = isinstance(error, aiohttp.ConnectionTimeoutError)
        kind = httpx2.ConnectTimeout if connecting else httpx2.ReadTimeout
        raise kind("timed out") from None
    except TimeoutError:
        raise httpx2.ReadTimeout("timed out") from None
    except aiohttp.ClientConnectorError:
        raise httpx2.ConnectError("cannot connect") from None
    except (aiohttp.ClientError, OSError):
        raise httpx2.ReadError("the connection broke") from None
