"""Streams over HTTP/2 and TLS, many on one connection, as a browser has them; stamped as in `streams`."""

import asyncio
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from loadtests.http2_session import UNPROCESSED, Session
from loadtests.streams import Asking, OnTaken, Taken

ALPN = "h2"
OPEN_S = 10.0


class NoHttp2(Exception):
    """The server on this port takes no HTTP/2 over TLS; says which, and how that was noticed."""

    def __init__(self, port: int, why: str) -> None:
        super().__init__(f"the server on port {port} speaks no HTTP/2 over TLS: {why}")


async def take_http2(
    port: int,
    certificate: Path,
    crowd: Sequence[Asking],
    *,
    connections: int = 1,
    told: OnTaken = lambda _: None,
) -> list[Taken]:
    """A crowd over so many TLS connections, in turn, in the order of the crowd; `told` at each end.

    The connections are open before the first request. A connection with as many streams as the server allows
    (nginx: 128) keeps the next request until one of them ends, and its `asked_ns` is from before that wait. One
    that the server lets run out (GOAWAY) is followed by a new one, and what it did not process is asked again
    there. Raises NoHttp2.
    """
    trusted = ssl.create_default_context(cafile=certificate)
    trusted.set_alpn_protocols([ALPN])
    lines = [_Line(port, trusted) for _ in range(connections)]
    loop = asyncio.get_running_loop()
    try:
        await asyncio.gather(*(line.session() for line in lines))
        started = loop.time()

        async def one(number: int, asking: Asking) -> Taken:
            await asyncio.sleep(started + asking.after_s - loop.time())
            taken = await lines[number % connections].ask(asking)
            told(taken)
            return taken

        return await asyncio.gather(*(one(*numbered) for numbered in enumerate(crowd)))
    finally:
        for line in lines:
            line.close()


class _Line:
    """One connection after the other."""

    def __init__(self, port: int, trusted: ssl.SSLContext) -> None:
        self._port = port
        self._trusted = trusted
        self._opening = asyncio.Lock()
        self._session: Session | None = None

    async def session(self) -> Session | None:
        """The connection for the next request; None when the server takes none; raises NoHttp2."""
        async with self._opening:
            if self._session is None or self._session.closing:
                self._session = None
                with suppress(OSError, TimeoutError):
                    self._session = await asyncio.wait_for(self._open(), OPEN_S)
            return self._session

    async def _open(self) -> Session:
        loop = asyncio.get_running_loop()
        session = Session()
        where = ("127.0.0.1", self._port)
        try:
            transport, _ = await loop.create_connection(lambda: session, *where, ssl=self._trusted)
        except ssl.SSLError as error:
            raise NoHttp2(self._port, str(error)) from None
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
            session.ready.cancel()
            transport.abort()
            raise NoHttp2(self._port, "it chose another protocol")
        await session.ready
        return session

    async def ask(self, asking: Asking) -> Taken:
        """The answer; what the server says it did not process is asked once more (RFC 9113, section 6.8)."""
        asked_ns = time.monotonic_ns()
        taken = Taken(asking.request_id, asked_ns)
        for _ in range(2):
            session = await self.session()
            if session is None:
                return Taken(asking.request_id, asked_ns, trouble="no connection")
            taken = await session.ask(asking, asked_ns)
            if taken.trouble != UNPROCESSED:
                break
        return taken

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
