"""The pacer serves what is due in the order of its deadlines; capacity lets answers in one by one."""

import asyncio
import time
from collections.abc import Callable

from loadtests.simulation.pacing import TICK_NS, Capacity, Pacer


class Metronome:
    """Due again after each `gap_ns`, `beats` times; remembers how late each beat was."""

    def __init__(self, start_ns: int, gap_ns: int, beats: int, done: Callable[[], None]) -> None:
        self.late_ns: list[int] = []
        self._start_ns, self._gap_ns, self._beats, self._done = start_ns, gap_ns, beats, done

    def advance(self, now: int) -> int | None:
        self.late_ns.append(now - self._start_ns - self._gap_ns * len(self.late_ns))
        if len(self.late_ns) == self._beats:
            self._done()
            return None
        return self._start_ns + self._gap_ns * len(self.late_ns)


async def test_deadlines_are_absolute_and_never_early() -> None:
    pacer, gate = Pacer(asyncio.get_running_loop()), asyncio.Semaphore(0)
    start = time.monotonic_ns()
    metronomes = [Metronome(start, 3_000_000 + n * 70_000, 60, gate.release) for n in range(20)]
    for metronome in metronomes:
        pacer.add(start, metronome)
    for _ in metronomes:
        await asyncio.wait_for(gate.acquire(), 5)
    late_ns = sorted(late for metronome in metronomes for late in metronome.late_ns)
    assert len(late_ns) == 20 * 60
    assert late_ns[0] >= 0
    assert late_ns[len(late_ns) // 2] < 5 * TICK_NS


async def test_an_earlier_deadline_is_not_kept_waiting_by_a_later_one() -> None:
    pacer, done = Pacer(asyncio.get_running_loop()), asyncio.Event()
    now = time.monotonic_ns()
    pacer.add(now + 60_000_000_000, Metronome(now, 1, 1, lambda: None))
    pacer.add(now + 5_000_000, Metronome(now, 1, 1, done.set))
    await asyncio.wait_for(done.wait(), 5)


async def test_one_answer_that_breaks_does_not_stop_the_others() -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    reported: list[object] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    pacer, now = Pacer(loop), time.monotonic_ns()
    pacer.add(now, Broken())
    pacer.add(now + 1, Metronome(now, 1, 1, done.set))
    await asyncio.wait_for(done.wait(), 5)
    assert [type(error) for error in reported] == [ZeroDivisionError]


class Broken:
    def advance(self, now: int) -> int | None:
        return now // 0


def test_capacity_lets_the_next_in_and_passes_over_those_that_left() -> None:
    capacity, begun = Capacity(2), list[str]()

    def answer(name: str, wants: bool = True) -> Callable[[int], bool]:
        def start(now: int) -> bool:
            if wants:
                begun.append(name)
            return wants

        return start

    for name in "abcd":
        capacity.enter(answer(name, wants=name != "c"), 0)
    assert begun == ["a", "b"]
    capacity.leave()
    assert begun == ["a", "b", "d"]
    capacity.leave()
    capacity.leave()
    capacity.enter(answer("e"), 0)
    capacity.enter(answer("f"), 0)
    capacity.enter(answer("g"), 0)
    assert begun == ["a", "b", "d", "e", "f"]


def test_no_limit_is_no_queue() -> None:
    capacity, begun = Capacity(0), list[int]()

    def start(now: int) -> bool:
        begun.append(now)
        return True

    for number in range(1000):
        capacity.enter(start, number)
    assert begun == list(range(1000))
