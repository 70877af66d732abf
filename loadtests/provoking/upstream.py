"""What the simulated upstream saw, asked of its control endpoints."""

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

PAUSE_S = 0.02
Seen = dict[str, Any]
"""One ended upstream request: a line of the simulator's timeline (`loadtests.simulation.timeline.Entry`)."""


class Broken(Exception):
    """A promise does not hold; the text says what was seen instead."""


@dataclass
class Upstream:
    """The simulator; `url` ends without a slash and without /v1. Threads may share it."""

    url: str
    _ended: dict[str, list[Seen]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def attempts(self, request_id: str) -> list[Seen]:
        """The ended upstream requests with this X-Request-ID, oldest first: retries make them several."""
        return self.ended().get(request_id, [])

    def ended(self) -> dict[str, list[Seen]]:
        """All ended upstream requests so far, by request id."""
        with self._lock:
            for line in get(self.url, "/control/timeline").decode().splitlines():
                seen: Seen = json.loads(line)
                self._ended.setdefault(seen["request_id"], []).append(seen)
            return {name: list(entries) for name, entries in self._ended.items()}

    def seen(self, request_id: str, within_s: float = 5.0) -> Seen:
        """Waits for an upstream request with this id to end, and gives the last one; Broken otherwise."""
        deadline = time.monotonic() + within_s
        while not (attempts := self.attempts(request_id)):
            if time.monotonic() > deadline:
                raise Broken(f"no upstream request of {request_id} ended within {within_s:g} s")
            time.sleep(PAUSE_S)
        return attempts[-1]

    def in_flight(self, count: int, within_s: float = 5.0) -> None:
        """Waits until exactly this many requests are being answered; Broken otherwise."""
        deadline = time.monotonic() + within_s
        while (now := int(self.stats()["in_flight"])) != count:
            if time.monotonic() > deadline:
                raise Broken(f"{now} upstream requests in flight, {count} expected")
            time.sleep(PAUSE_S)

    def stats(self) -> dict[str, Any]:
        """GET /control/stats."""
        stats: dict[str, Any] = json.loads(get(self.url, "/control/stats"))
        return stats


def get(url: str, path: str) -> bytes:
    """The body of a 200, on a connection of its own; raises OSError or HTTPException when there is none."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise http.client.HTTPException(f"GET {path}: {response.status}")
    return body
