"""The simulator's account of what it generated, and for whom: read when its requests have ended."""

import json
import time

import msgspec

from loadtests.stage import Stage

LOOK_S = 0.02


class Generated(msgspec.Struct, frozen=True):
    """One ended request at the model; monotonic nanoseconds, `token_us` counts from `received_ns`."""

    request_id: str
    status: int
    received_ns: int
    first_ns: int | None
    last_ns: int | None
    tokens: int
    tokens_after_disconnect: int
    disconnected_ns: int | None
    token_us: list[int]

    @property
    def paid(self) -> int:
        """Tokens that the model made, delivered or not."""
        return self.tokens + self.tokens_after_disconnect

    @property
    def ended_ns(self) -> int:
        """When the model stopped working on it."""
        return self.disconnected_ns or self.last_ns or self.received_ns

    def paid_after(self, left_ns: int) -> int:
        """Tokens that were made after this moment.

        A batch answer has no stamps but its first and last token's: those between them are evenly spread.
        """
        if self.token_us:
            made_us = (left_ns - self.received_ns) / 1000
            return sum(us > made_us for us in self.token_us) + self.tokens_after_disconnect
        if self.first_ns is None or self.last_ns is None or left_ns <= self.first_ns:
            return self.paid
        rest = (self.last_ns - left_ns) / max(1, self.last_ns - self.first_ns)
        return round(self.paid * max(0.0, rest))


def in_flight(stage: Stage) -> int:
    """Requests that the model is working on."""
    return int(json.loads(stage.control("stats"))["in_flight"])


def await_end(stage: Stage, most_s: float) -> float | None:
    """Seconds until the model works on nothing any more; None when it still does after `most_s`."""
    started = time.monotonic()
    while in_flight(stage):
        if time.monotonic() - started > most_s:
            return None
        time.sleep(LOOK_S)
    return time.monotonic() - started


def ended(stage: Stage) -> list[Generated]:
    """The requests that have ended since this was last asked, each once."""
    decoder = msgspec.json.Decoder(Generated)
    return [decoder.decode(line) for line in stage.control("timeline").splitlines()]
