"""One clock for all answers: a wake-up serves every answer that is due; capacity is a queue in front of it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

TICK_NS = 1_000_000


class Paced(Protocol):
    """Something with absolute deadlines."""

    def advance(self, now: int) -> int | None:
        """Does what is due at `now` (monotonic nanoseconds) and gives the next deadline, or None."""


class Pacer:
    """Wakes at the earliest deadline, but at most once a tick, so that tokens due together cost one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[int, int, Paced]] = []
        self._order = 0
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._armed_ns = 0

    def add(self, due_ns: int, paced: Paced) -> None:
        """Calls `paced.advance` from the event loop at `due_ns` or as soon as possible after it."""
        self._push(due_ns, paced)
        if self._timer is None or due_ns < self._armed_ns:
            self._arm(due_ns - time.monotonic_ns())

    def _push(self, due_ns: int, paced: Paced) -> None:
        self._order += 1
        heappush(self._heap, (due_ns, self._order, paced))

    def _arm(self, delay_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_ns = time.monotonic_ns() + delay_ns
        if delay_ns <= 0:
            self._timer = self._loop.call_soon(self._wake)
        else:
            self._timer = self._loop.call_later(max(delay_ns, TICK_NS) / 1e9, self._wake)

    def _wake(self) -> None:
        # The limit stays where it was: an overloaded pacer would otherwise never return to the loop.
        heap, clock = self._heap, time.monotonic_ns
        now = limit = clock()
        try:
            while heap and heap[0][0] <= limit:
                _, _, paced = heappop(heap)
                due = paced.advance(now)
                now = clock()
                if due is not None:
                    self._push(due, paced)
        finally:
            self._timer = None
            if heap:
                self._arm(max(heap[0][0] - now, TICK_NS))


Start = Callable[[int], bool]
"""Begins an answer at the given monotonic nanosecond; False when it no longer wants to."""


class Capacity:
    """At most `limit` answers at a time, the others wait in order; 0 is no limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._waiting: deque[Start] = deque()

    def enter(self, start: Start, now: int) -> None:
        """Begins the answer at once when there is room."""
        if self._limit and self._inside >= self._limit:
            self._waiting.append(start)
        elif start(now):
            self._inside += 1

    def leave(self) -> None:
        """Gives the room of an answer that had begun to the next one."""
        self._inside -= 1
        while self._waiting:
            if self._waiting.popleft()(time.monotonic_ns()):
                self._inside += 1
                return
