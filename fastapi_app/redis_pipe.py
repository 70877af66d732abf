"""One connection to Redis on which a worker asks everything, many questions at a time; nobody waits for long.

A Redis that hangs, is gone, or refuses is a StoreUnavailable: at once while it is left alone, which it is for
a pause after each failure.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from pydantic import RedisDsn
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from shared.errors import StoreUnavailable
from shared.redis_link import Breaker, Unreachable, patience

AT_ONCE = 100  # questions that are sent together
CONNECT_S = 0.5
REFUSED_S = 60.0  # between two lines of the log about it
TURN_S, TURNS = 0.05, 5  # that an answer may take
Part = str | bytes | int
_log = logging.getLogger(__name__)


# region: connection
class Connections:
    """Makes connections to one Redis."""

    def __init__(self, url: RedisDsn) -> None:
        self.url = url
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


# region: pipe
class Pipe:
    """Questions wait for each other only while others are under way."""

    def __init__(self, connections: Connections) -> None:
        url = connections.url
        self._where = f"{url.host}:{url.port}"
        self._breaker = Breaker(url, "running streams go on by themselves")
        self._connection = connections.make()
        self._asked: deque[tuple[Sequence[Part], asyncio.Future[Any]]] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._refused_at = -REFUSED_S

    async def ask(self, *command: Part) -> Any:
        """The raw reply; raises StoreUnavailable, and NoScriptError for a script that Redis does not have."""
        try:
            self._breaker.check()
        except Unreachable:
            raise StoreUnavailable from None
        answer = asyncio.get_running_loop().create_future()
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
            self._breaker.failed(error)
        finally:
            self._asking = None
            while self._asked:
                self._give(self._asked.popleft()[1], StoreUnavailable())

    async def _exchange(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """Sends all and reads all; a refusal is among the replies."""
        connection = self._connection
        replies: list[Any] = []
        await connected(connection)
        async with patience(TURN_S, TURNS) as again:
            packed = connection.pack_commands(commands)
            await connection.send_packed_command(packed, check_health=False)
            for _ in commands:
                try:
                    replies.append(await connection.read_response(disable_decoding=True))
                except ResponseError as refusal:
                    replies.append(refusal)
                again()
        self._breaker.answered()
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

    def _refused(self, error: ResponseError) -> None:
        """A full one, say, or a replica."""
        now = asyncio.get_running_loop().time()
        if now - self._refused_at > REFUSED_S:
            self._refused_at = now
            _log.warning("Redis at %s refuses: %s", self._where, type(error).__name__)
