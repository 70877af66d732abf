"""How many answers a process makes at once; one more is refused at once, not queued."""

import logging
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import Overloaded

DESCRIPTORS_AN_ANSWER = 2  # the client's socket and the provider's
DESCRIPTORS_APART = 56  # for what is no answer: listeners, logs, refusals under way
_log = logging.getLogger(__name__)


class Slots:
    """A bound that threads and tasks alike may share."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self.in_use = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Holds one slot; raises Overloaded when all are in use."""
        with self._lock:
            if self.in_use >= self._most:
                raise Overloaded
            self.in_use += 1
        try:
            yield
        finally:
            with self._lock:
                self.in_use -= 1


def affordable(wanted: int) -> int:
    """As many answers as this process has descriptors for; says so when that is fewer than `wanted`."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    most = max(1, (limit - DESCRIPTORS_APART) // DESCRIPTORS_AN_ANSWER)
    if most < wanted:
        _log.warning(
            "%d descriptors are enough for %d answers at once, not %d", limit, most, wanted
        )
    return min(wanted, most)
