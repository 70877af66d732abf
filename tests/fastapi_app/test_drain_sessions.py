"""A drain that begins while a session finds its answer: its client is sent on, and waits for nobody."""

import time
from collections.abc import AsyncGenerator

import pytest

from fastapi_app.memory import MemoryStore
from fastapi_app.replay import Log
from fastapi_app.services import Services
from fastapi_app.sessions import Sessions
from fastapi_app.store import Session
from shared.errors import Draining
from shared.schemas import Delta, Done
from tests.fastapi_app.serving import DONE, PlayedLLM, services


class Late(MemoryStore):
    """The worker is told to stop during the call of this name."""

    def __init__(self, held: Services, during: str) -> None:
        super().__init__(held.settings)
        self._held, self._during = held, during

    async def follow(self, session_id: str) -> Log:
        log = await super().follow(session_id)
        self._held.drain.draining |= self._during == "follow"
        return log

    async def claim(self, log: Log) -> bool:
        claimed = await super().claim(log)
        self._held.drain.draining |= self._during == "claim"
        return claimed


async def _says() -> AsyncGenerator[Delta | Done, None]:
    yield DONE


def _session() -> Session:
    return Session("late", "ann", "r-1", '{"prompt":"hi"}', "0" * 64, time.time() + 60)


@pytest.mark.parametrize("during", ["follow", "claim"])
async def test_an_answer_that_nobody_would_make_is_refused(during: str) -> None:
    held = services(PlayedLLM(_says))
    store = Late(held, during)
    among = Sessions(held, store)
    await store.add(_session(), None)
    with pytest.raises(Draining):
        await among.attach(_session(), None)
    log = await store.follow("late")
    assert (log.readers, held.slots.in_use, held.drain.running) == (set(), 0, set())
    assert await store.claim(log), "the next worker finds it held"
    await among.close()
    await held.close()


async def test_without_a_drain_it_is_made() -> None:
    held = services(PlayedLLM(_says))
    store = Late(held, "never")
    among = Sessions(held, store)
    await store.add(_session(), None)
    reader = await among.attach(_session(), None)
    assert reader is not None
    while not reader.ended:
        await reader.due()
        reader.take()
    assert (reader.has_end, reader.code) == (True, None)
    await among.leave(_session(), reader, done=True)
    await among.close()
    await held.close()
