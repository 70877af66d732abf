"""How late the event loop of a load process is: a ticker that should come every 10 ms."""

import time

from loadtests.client import greenlets
from loadtests.client.player import sleep_until

TICK_NS = 10_000_000


class Ticker:
    """Runs in a greenlet of its own; each tick that was slept through counts, with its own lateness."""

    def __init__(self) -> None:
        self._lateness_us: list[int] = []
        self._greenlet = greenlets.spawn(self._run)

    def take(self) -> list[int]:
        """The lateness of the ticks since the last call, in microseconds."""
        taken, self._lateness_us = self._lateness_us, []
        return taken

    def stop(self) -> None:
        self._greenlet.kill(block=False)

    def _run(self) -> None:
        due_ns = time.monotonic_ns() + TICK_NS
        while True:
            sleep_until(due_ns)
            now_ns = time.monotonic_ns()
            while due_ns <= now_ns:
                self._lateness_us.append((now_ns - due_ns) // 1000)
                due_ns += TICK_NS
