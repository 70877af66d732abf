"""The ledger: the only differences between the stacks that are allowed, each with its reason."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from loadtests.differences import Apart

LEDGER = Path(__file__).parents[1] / "differences.toml"


class LedgerError(Exception):
    """The ledger cannot be used; the message is one line that names the file and the entry."""


class Difference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One allowed difference, in exactly the words that parity observes for each stack.

    `requests` are names of the corpus, or patterns as of a shell; every request that one of them names must
    show the difference. `guide` is a heading of the guide, `cause` has regions of the apps (`routes.py#chat`).
    """

    id: str
    requests: tuple[str, ...]
    flask: str
    fastapi: str
    why: str
    guide: str
    cause: tuple[str, ...]

    def __post_init__(self) -> None:
        if not (self.requests and self.cause and all(map(str.strip, self._texts()))):
            raise ValueError("no field of a difference may be empty")

    def _texts(self) -> tuple[str, ...]:
        words = (self.id, self.flask, self.fastapi, self.why, self.guide)
        return (*words, *self.requests, *self.cause)

    @property
    def apart(self) -> Apart:
        """What must be seen."""
        return Apart(self.flask, self.fastapi)

    def names(self, request: str) -> bool:
        """Whether the entry is about this request."""
        return any(fnmatchcase(request, pattern) for pattern in self.requests)


Ledger = tuple[Difference, ...]
Seen = Mapping[str, Sequence[Apart]]
"""What was seen apart, by the name of the request; also of requests that were answered alike."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A line for each difference that is not allowed, one for each stale entry, and how often each was seen."""

    unlisted: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    listed: dict[str, int] = field(default_factory=dict)


def load_ledger(path: Path | str = LEDGER) -> Ledger:
    """Reads the entries; raises LedgerError."""
    try:
        written = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LedgerError(f"{path}: {error}") from None
    if written.keys() - {"difference"}:
        raise LedgerError(f"{path}: only [[difference]] entries are known")
    entries = written.get("difference", [])
    if not isinstance(entries, list):
        raise LedgerError(f"{path}: write [[difference]], with two brackets")
    ledger = tuple(_entry(path, number, entry) for number, entry in enumerate(entries, 1))
    ids = [entry.id for entry in ledger]
    if doubled := next((one for one in ids if ids.count(one) > 1), None):
        raise LedgerError(f"{path}: two entries have the id {doubled!r}")
    return ledger


def _entry(path: Path | str, number: int, written: object) -> Difference:
    try:
        return msgspec.convert(written, Difference)
    except msgspec.MsgspecError as error:
        known = written.get("id") if isinstance(written, dict) else None
        raise LedgerError(f"{path}: entry {known or number}: {error}") from None


def judge(ledger: Ledger, seen: Seen, *, whole: bool = True) -> Judgement:
    """Holds what was seen against the ledger; entries may name others unless it is `whole`."""
    allowed = {
        request: {entry.apart for entry in ledger if entry.names(request)} for request in seen
    }
    return Judgement(
        [
            f"{request}: {apart}"
            for request, aparts in seen.items()
            for apart in aparts
            if apart not in allowed[request]
        ],
        [line for entry in ledger if (line := _stale(entry, seen, whole))],
        {entry.id: count for entry in ledger if (count := len(_shown(entry, seen)))},
    )


def _shown(entry: Difference, seen: Seen) -> list[str]:
    return [name for name, aparts in seen.items() if entry.names(name) and entry.apart in aparts]


def _stale(entry: Difference, seen: Seen, whole: bool) -> str | None:
    """What the entry says, and where something else was seen, or nothing."""
    idle = [one for one in entry.requests if not any(fnmatchcase(name, one) for name in seen)]
    if idle and whole:
        return f"{entry.id}: no request has the name {idle[0]!r}"
    shown = set(_shown(entry, seen))
    others = [name for name in seen if entry.names(name) and name not in shown]
    if not others:
        return None
    found = "; ".join(map(str, seen[others[0]])) or "no difference"
    more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
    return f"{entry.id}: {others[0]}{more}: {found}; the ledger says {entry.apart}"
