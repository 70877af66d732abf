"""The watchdog in a real loop: it bites after a silence, never before, and costs no timer a touch."""

import asyncio

from fastapi_app.watchdog import Watchdog


class Bites:
    """Counts, and wakes who waits."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self._bitten = asyncio.Event()

    def __call__(self) -> None:
        self.at.append(asyncio.get_running_loop().time())
        self._bitten.set()

    async def next(self) -> float:
        self._bitten.clear()
        await asyncio.wait_for(self._bitten.wait(), 2)
        return self.at[-1]


async def test_it_bites_after_every_silence_of_its_limit() -> None:
    loop, bites = asyncio.get_running_loop(), Bites()
    started = loop.time()
    watchdog = Watchdog(0.05, bites)
    first, second = await bites.next(), await bites.next()
    watchdog.cancel()
    assert 0.045 <= first - started < 0.5
    assert 0.045 <= second - first < 0.5


async def test_a_touch_puts_it_off() -> None:
    loop, bites = asyncio.get_running_loop(), Bites()
    watchdog = Watchdog(0.2, bites)
    for _ in range(6):
        await asyncio.sleep(0.05)
        watchdog.touch()
    touched = loop.time()
    assert bites.at == []
    assert await bites.next() - touched >= 0.195
    watchdog.cancel()


async def test_a_shorter_limit_holds_from_its_restart() -> None:
    loop, bites = asyncio.get_running_loop(), Bites()
    watchdog = Watchdog(60, bites)
    started = loop.time()
    watchdog.restart(0.05)
    assert 0.045 <= await bites.next() - started < 0.5
    watchdog.cancel()


async def test_once_cancelled_it_never_bites() -> None:
    bites = Bites()
    watchdog = Watchdog(0.02, bites)
    watchdog.cancel()
    await asyncio.sleep(0.06)
    assert bites.at == []


async def test_it_may_be_cancelled_by_its_own_bite() -> None:
    bites = Bites()

    def bite() -> None:
        bites()
        watchdog.cancel()

    watchdog = Watchdog(0.02, bite)
    await bites.next()
    await asyncio.sleep(0.06)
    assert len(bites.at) == 1
