"""How an answer ended, as it is kept: in one line of JSON, in one row."""

from typing import Any, Literal

import msgspec

Outcome = Literal[
    "finished", "failed", "cancelled", "timed_out", "over_budget", "slow_reader", "drained"
]
Kind = Literal["batch", "stream"]

MOST_INT = 2**63 - 1  # of SQLite


class Record(msgspec.Struct, frozen=True):
    """How an answer ended; times in milliseconds with three decimals, `at` is its start in RFC 3339, UTC."""

    at: str
    request_id: str
    stack: str
    user: str
    model: str
    kind: Kind
    outcome: Outcome
    code: str | None
    tokens: int
    first_token_ms: float | None
    duration_ms: float
    bytes: int


def storable(record: Record) -> Record:
    """Replaces what UTF-8 cannot hold, lone surrogates, and bounds what 64 bits cannot."""
    try:
        msgspec.json.encode(record)
        if max(abs(record.tokens), abs(record.bytes)) <= MOST_INT:
            return record
    except (UnicodeEncodeError, OverflowError):
        pass
    fields = msgspec.structs.asdict(record)
    return Record(**{name: _bounded(value) for name, value in fields.items()})


def _bounded(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case int():
            return max(-MOST_INT, min(value, MOST_INT))
    return value
