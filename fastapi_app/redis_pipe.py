"""One connection to Redis on which a worker asks everything, many questions at a time; nobody waits for long.

A Redis that hangs, is gone, or refuses is a StoreUnavailable: at once while it is left alone, which it is for
PAUSE_S after each failure.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Any

from pydantic import RedisDsn
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from shared.errors import StoreUnavailable

AT_ONCE = 100  # questions that are sent together
CONNECT_S = 0.5
REFUSED_S = 60.0  # between two lines of the log about it
PAUSE_S = 1.0
TURN_S, TURNS = 0.05, 5  # that an answer may take
Part = str | bytes | int
_log = logging.getLogger(__name__)


# region: connection
class Connections:
    """Makes connections to one Redis; `where` is its address, without the password."""

    def __init__(self, url: RedisDsn) -> None:
        self.where = f"{url.host}:{url.port}"
        self._pool = ConnectionPool.from_url(
            str(url),
            protocol=2,  # replies are read as they are; nothing is negotiated on a new connection
            driver_info=None,
            socket_timeout=None,
            socket_connect_timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 0),
        )

    def make(self) -> AbstractConnection:
        made: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis
        return made


async def connected(connection: AbstractConnection) -> bool:
    """Connects it, again where Redis has closed it meanwhile; whether it is new."""
    if connection.is_connected:
        with suppress(RedisError):
            if not await connection.can_read():
                return False
        await connection.disconnect(nowait=True)
    async with asyncio.timeout(CONNECT_S):
        await connection.connect()  # type: ignore[no-untyped-call]  # redis
    return True


@asynccontextmanager
async def patience() -> AsyncIterator[Callable[[], None]]:
    """A timeout of TURNS times TURN_S behind its start and behind each call of what it gives.

    It counts turns of the event loop: one that was busy for long finds its timers due before it has read the
    answer that is there.
    """
    loop = asyncio.get_running_loop()
    left, timer = TURNS, loop.call_later(TURN_S, lambda: turn())

    def turn() -> None:
        nonlocal left, timer
        left -= 1
        if left:
            timer = loop.call_later(TURN_S, turn)
        else:
            limit.reschedule(loop.time())

    def again() -> None:
        nonlocal left
        left = TURNS

    async with asyncio.timeout(None) as limit:
        try:
            yield again
        finally:
            timer.cancel()


# region: pipe
class Pipe:
    """Questions wait for each other only while others are under way."""

    def __init__(self, connections: Connections) -> None:
        self._where = connections.where
        self._connection = connections.make()
        self._asked: deque[tuple[Sequence[Part], asyncio.Future[Any]]] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._lost, self._again_at = False, 0.0
        self._refused_at = -REFUSED_S

    async def ask(self, *command: Part) -> Any:
        """The raw reply; raises StoreUnavailable, and NoScriptError for a script that Redis does not have."""
        loop = asyncio.get_running_loop()
        if self._lost:
            if loop.time() < self._again_at:
                raise StoreUnavailable
            self._again_at = loop.time() + PAUSE_S  # the end of a pause is seen by one caller
        answer = loop.create_future()
        self._asked.append((command, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def close(self) -> None:
        if self._asking is not None:
            await self._asking
        await self._connection.disconnect(nowait=True)

    async def _ask_all(self) -> None:
        try:
            while batch := list(islice(self._asked, AT_ONCE)):
                replies = await self._exchange([command for command, _ in batch])
                for reply in replies:
                    self._give(self._asked.popleft()[1], reply)
        except (RedisError, OSError) as error:
            self._failed(error)
        finally:
            self._asking = None
            while self._asked:
                self._give(self._asked.popleft()[1], StoreUnavailable())

    async def _exchange(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """Sends all and reads all; a refusal is among the replies."""
        connection = self._connection
        replies: list[Any] = []
        await connected(connection)
        async with patience() as again:
            packed = connection.pack_commands(commands)
            await connection.send_packed_command(packed, check_health=False)
            for _ in commands:
                try:
                    replies.append(await connection.read_response(disable_decoding=True))
                except ResponseError as refusal:
                    replies.append(refusal)
                again()
        self._answered()
        return replies

    def _give(self, answer: asyncio.Future[Any], reply: Any) -> None:
        if answer.done():
            return
        if isinstance(reply, ResponseError) and not isinstance(reply, NoScriptError):
            self._refused(reply)
            reply = StoreUnavailable()
        if isinstance(reply, Exception):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    # region: reachable
    def _failed(self, error: Exception) -> None:
        if not self._lost:
            what = type(error).__name__
            _log.warning("Redis at %s: %s; running streams go on by themselves", self._where, what)
        self._lost, self._again_at = True, asyncio.get_running_loop().time() + PAUSE_S

    def _refused(self, error: ResponseError) -> None:
        """A full one, say, or a replica."""
        now = asyncio.get_running_loop().time()
        if now - self._refused_at > REFUSED_S:
            self._refused_at = now
            _log.warning("Redis at %s refuses: %s", self._where, type(error).__name__)

    def _answered(self) -> None:
        if self._lost:
            _log.warning("Redis at %s answers again", self._where)
        self._lost = False
