"""What other workers write, read as it comes: one connection waits for all the logs that are followed here."""

import asyncio
import logging
from typing import Any

from redis.exceptions import RedisError

from shared.errors import StoreUnavailable

from .redis_copies import Copies, key
from .redis_pipe import CONNECT_S, Connections, Pipe, connected

AGAIN_S = 0.5  # after a failure
BLOCK_S = 5.0  # then it is asked once more: a connection that died in silence is found
SLACK_S = 1.0
PACE_S = 50e-6  # a log, between two rounds: a round costs what it has logs, so that many have few
UNBLOCK_S = 0.01
_log = logging.getLogger(__name__)


# region: tail
class Tail:
    """A task that reads; `changed` is set when other logs are followed than those it waits for."""

    def __init__(self, connections: Connections, pipe: Pipe, copies: Copies) -> None:
        self._connection = connections.make()
        self._pipe = pipe
        self._copies = copies
        self._client_id = 0
        self.changed = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._connection.disconnect(nowait=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._round()
            except (RedisError, OSError):
                await self._connection.disconnect(nowait=True)
                await asyncio.sleep(AGAIN_S)
            except Exception:  # noqa: BLE001  # logged; the next round may do better
                _log.exception("what other workers write cannot be read")
                await self._connection.disconnect(nowait=True)
                await asyncio.sleep(AGAIN_S)

    async def _round(self) -> None:
        self.changed.clear()
        behind = {
            key(log.session_id, "log").encode(): (log, log.last_id or "0")
            for log in self._copies.followed
        }
        if not behind:
            await self.changed.wait()
            return
        ids = [last_id for _, last_id in behind.values()]
        replies = await self._wait_for(
            "XREAD", "BLOCK", int(BLOCK_S * 1000), "STREAMS", *behind, *ids
        )
        for name, entries in replies or ():
            log, _ = behind[name]
            if self._copies.is_followed(log):
                frames = (
                    (entry.decode(), fields[1], len(fields) == 4) for entry, fields in entries
                )
                self._copies.take_each(log, frames)
        await asyncio.sleep(PACE_S * len(behind))

    # region: blocking
    async def _wait_for(self, *command: str | bytes | int) -> Any:
        """The reply, once there is one, or None as soon as other logs are followed."""
        connection = self._connection
        if await connected(connection):
            async with asyncio.timeout(CONNECT_S):
                await connection.send_command("CLIENT", "ID", check_health=False)
                self._client_id = await connection.read_response()
        await connection.send_command(*command, check_health=False)
        reading = asyncio.create_task(connection.read_response(disable_decoding=True))
        changed = asyncio.create_task(self.changed.wait())
        try:
            await asyncio.wait(
                (reading, changed), timeout=BLOCK_S + SLACK_S, return_when=asyncio.FIRST_COMPLETED
            )
            if changed.done() and not reading.done():
                await self._unblock(reading)
            if not reading.done():
                raise TimeoutError
            return reading.result()
        finally:
            reading.cancel()
            changed.cancel()
            await asyncio.gather(reading, changed, return_exceptions=True)

    async def _unblock(self, reading: asyncio.Task[Any]) -> None:
        """Once may be too early: the two connections know nothing of each other."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SLACK_S
        while not reading.done() and loop.time() < until:
            try:
                await self._pipe.ask("CLIENT", "UNBLOCK", self._client_id)
            except StoreUnavailable:
                return
            await asyncio.wait((reading,), timeout=UNBLOCK_S)
