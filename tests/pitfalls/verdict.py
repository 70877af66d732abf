"""What the entries say against what was seen of them: pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.pitfalls.catalogue import Entry, Observation, Pitfall, Sighting, name_of

Versions = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One entry, and what it showed on FastAPI 0.115 and on the current one."""

    name: str
    pitfall: Pitfall
    pinned: Sighting
    current: Sighting

    @property
    def shown(self) -> bool:
        return not list(self.failures())

    def failures(self) -> Iterator[str]:
        """What was not as the entry says, one line each: where, what was expected, what was observed."""
        for line, fastapi, sighting in (
            ("FastAPI 0.115", self.pitfall.fastapi, self.pinned),
            ("current FastAPI", self.pitfall.fastapi_now, self.current),
        ):
            expected = Observation(self.pitfall.flask, fastapi, self.pitfall.fixed)
            yield from _failures(f"{self.name} on {line}", expected, sighting)


def _failures(where: str, expected: Observation, sighting: Sighting) -> Iterator[str]:
    if sighting.seen is None:
        yield f"{where}: {sighting.raised}"
        return
    seen = asdict(sighting.seen)
    for part, words in asdict(expected).items():
        if seen[part] != words:
            yield f"{where}, {part}: expected {words!r}, observed {seen[part]!r}"


def judged(
    entries: Sequence[Entry], pinned: Mapping[str, Sighting], current: Mapping[str, Sighting]
) -> list[Verdict]:
    """The entries with their sightings by name."""
    return [
        Verdict(name := name_of(entry), entry.PITFALL, pinned[name], current[name])
        for entry in entries
    ]


def summarised(verdicts: Sequence[Verdict], pinned: Versions, current: Versions) -> dict[str, Any]:
    """The content of summary.json; `holds` when every entry shows what it says."""
    shown = sum(verdict.shown for verdict in verdicts)
    return {
        "versions": {"pinned": dict(pinned), "current": dict(current)},
        "entries": {verdict.name: _summarised(verdict) for verdict in verdicts},
        "shown": shown,
        "total": len(verdicts),
        "holds": shown == len(verdicts),
    }


def _summarised(verdict: Verdict) -> dict[str, Any]:
    return {
        "says": asdict(verdict.pitfall),
        "pinned": asdict(verdict.pinned),
        "current": asdict(verdict.current),
        "shown": verdict.shown,
        "failures": list(verdict.failures()),
    }
