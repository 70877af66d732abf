"""A timer for silences: it costs one time stamp an event, and one timer a limit."""

import asyncio
from collections.abc import Callable


# region: watchdog
class Watchdog:
    """Calls `expired` whenever `limit_s` seconds have passed without a `touch`, until it is cancelled."""

    def __init__(self, limit_s: float, expired: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit_s = limit_s
        self._expired = expired
        self.touch()
        self._timer = self._loop.call_later(limit_s, self._look)

    def touch(self) -> None:
        """Something happened."""
        self.touched = self._loop.time()

    def restart(self, limit_s: float) -> None:
        """Something happened, and from now on another limit holds."""
        self._timer.cancel()
        self._limit_s = limit_s
        self.touch()
        self._timer = self._loop.call_later(limit_s, self._look)

    def cancel(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        left_s = self.touched + self._limit_s - self._loop.time()
        if left_s <= 0:
            left_s = self._limit_s
            self.touch()
            self._timer = self._loop.call_later(left_s, self._look)
            self._expired()
        else:
            self._timer = self._loop.call_later(left_s, self._look)
