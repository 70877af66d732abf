"""Upstream trouble on demand: which request gets which fault, and the refusals that need no answer at all."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from loadtests.simulation import wire

NONE: Final = "none"
STALL: Final = "stall"
STALL_MID: Final = "stall-mid"
DROP: Final = "drop"
DROP_MID: Final = "drop-mid"
MALFORMED: Final = "malformed"
NO_DONE: Final = "no-done"
ERROR_OBJECT: Final = "error-object"
EMPTY_CHOICES: Final = "empty-choices"
OPEN_AFTER_DONE: Final = "open-after-done"
TRICKLE: Final = "trickle"
TRICKLE_MID: Final = "trickle-mid"
OVERRUN: Final = "overrun"
HTML: Final = "html"
ONCE: Final = "500-once"

AT_START = frozenset({STALL, DROP, TRICKLE})
"""Faults that act in place of the first token."""

MIDWAY = frozenset({STALL_MID, DROP_MID, TRICKLE_MID, MALFORMED, ERROR_OBJECT, EMPTY_CHOICES})
"""Faults that act after half of the tokens."""

TRICKLE_NS = 100_000_000
"""Between two of the bytes that are no token."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response instead of an answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    retry_after: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": self.retry_after} if self.retry_after else {}


def refusal(
    status: int, message: str, kind: str, code: str | None = None, retry_after: str | None = None
) -> Refusal:
    """A refusal with OpenAI's error body."""
    return Refusal(status, wire.encode(wire.failure(message, kind, code)), retry_after=retry_after)


SERVER_ERROR: Final[dict[str, Any]] = wire.failure("The server had an error.", "server_error")

REFUSALS: Final = {
    "401": refusal(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "429": refusal(429, "Rate limit reached.", "requests", "rate_limit_exceeded", retry_after="1"),
    "500": Refusal(500, wire.encode(SERVER_ERROR)),
    "503": refusal(503, "The engine is overloaded.", "service_unavailable"),
    HTML: Refusal(200, b"<!doctype html><title>Sign in</title><p>Please sign in.", "text/html"),
}

FAULTS: Final = (
    NONE,
    ONCE,
    *REFUSALS,
    *sorted(AT_START | MIDWAY),
    NO_DONE,
    OPEN_AFTER_DONE,
    OVERRUN,
)


def strikes(seed: int, request_id: str, fault: str, rate: float) -> bool:
    """Whether the request is among the share `rate` (0 to 1) that gets the fault; the same in every process."""
    digest = hashlib.blake2b(
        f"{seed}\0{request_id}\0{fault}".encode(errors="surrogatepass"), digest_size=8
    )
    return int.from_bytes(digest.digest(), "big") < rate * 2**64
