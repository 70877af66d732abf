"""What one process lets its users have: calls in a sliding window and places, counted in memory."""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from limits import RateLimitItem

from shared.errors import RateLimited, TooManyAnswers


class Window:
    """The calls of each user in the last so many seconds; `now` is of a clock that never goes back.

    The memory storage of `limits` would look through all users in a thread every 10 ms, which stalls a loop.
    """

    def __init__(self, rate: RateLimitItem) -> None:
        self._most, self._span_s = rate.amount, rate.get_expiry()
        self._calls: dict[str, deque[float]] = {}  # the user who was admitted last stands last

    def admit(self, user: str, now: float) -> float:
        """Counts a call and returns 0, or counts nothing and returns the seconds until one is free."""
        calls = self._calls.get(user) or deque()
        while calls and calls[0] <= now - self._span_s:
            calls.popleft()
        if len(calls) == self._most:
            return calls[0] + self._span_s - now
        calls.append(now)
        self._calls.pop(user, None)
        self._calls[user] = calls
        self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        idle = next(iter(self._calls))
        if self._calls[idle][-1] <= now - self._span_s:
            del self._calls[idle]


class Allowance:
    """For threads and tasks alike: nothing in it waits. `rate` or `most` is None where it is not limited."""

    def __init__(self, rate: RateLimitItem | None, most: int | None) -> None:
        self._most = most
        self._window = Window(rate) if rate else None
        self._lock = threading.Lock()
        self._places: Counter[str] = Counter()

    def admit(self, user: str) -> int:
        """Counts a call and returns 0, or counts nothing and returns the whole seconds until one is free."""
        assert self._window is not None
        with self._lock:
            wait_s = self._window.admit(user, time.monotonic())
        return whole_seconds(wait_s) if wait_s else 0

    def settle(self, user: str, wait_s: int | None) -> None:
        """Counts a call as well that Redis has admitted, decides where it did not; raises RateLimited.

        `wait_s` is Redis's word, None without one. So its loss gives nobody a second allowance.
        """
        own_wait_s = 0 if wait_s else self.admit(user)
        if decided := own_wait_s if wait_s is None else wait_s:
            raise RateLimited(decided)

    @contextmanager
    def place(self, user: str) -> Iterator[None]:
        """Holds one of the user's places; raises TooManyAnswers."""
        assert self._most is not None
        with self._lock:
            if self._places[user] >= self._most:
                raise TooManyAnswers
            self._places[user] += 1
        try:
            yield
        finally:
            with self._lock:
                self._places[user] -= 1
                if not self._places[user]:
                    del self._places[user]


def whole_seconds(wait_s: float) -> int:
    """The next whole number of seconds after which it is not too early any more, at least 1."""
    return max(1, math.floor(wait_s) + 1)
