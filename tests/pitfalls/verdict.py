"""What the entries say against what was seen of them: pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.pitfalls.catalogue import Entry, Observation, Pitfall, Sighting, chapter_of, name_of

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
            yield from unlike(f"{self.name} on {line}", expected, sighting)


def unlike(where: str, expected: Observation, sighting: Sighting) -> Iterator[str]:
    """What was not as expected, one line each; the evidence, which is never the same, is not looked at."""
    if sighting.seen is None:
        yield f"{where}: {sighting.raised}"
        return
    for part in ("flask", "fastapi", "fixed"):
        words, seen = getattr(expected, part), getattr(sighting.seen, part)
        if seen != words:
            yield f"{where}, {part}: expected {words!r}, observed {seen!r}"


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


@dataclass(frozen=True, slots=True)
class Myth:
    """What is said, and what was seen of it on one line of FastAPI."""

    entry: Entry
    sighting: Sighting

    def failures(self) -> Iterator[str]:
        """What was not as the entry says, one line each."""
        name, told = name_of(self.entry), self.entry.PITFALL
        yield from unlike(name, Observation(told.flask, told.fastapi, told.fixed), self.sighting)
        if self.sighting.seen is not None and not self.sighting.seen.evidence:
            yield f"{name}: it gave no evidence"

    @property
    def measured(self) -> list[str]:
        """Where, and what was seen there: with Flask and FastAPI, and after the fix; empty when nothing was."""
        if (seen := self.sighting.seen) is None:
            return []
        if seen.flask == seen.fastapi:
            so = [f"Flask and FastAPI: {seen.flask}"]
        else:
            so = [f"Flask: {seen.flask}", f"FastAPI: {seen.fastapi}"]
        if {seen.flask, seen.fastapi} != {seen.fixed}:
            so.append(f"after the fix: {seen.fixed}")
        return [self.entry.PITFALL.title, *so]


def myths_summarised(found: Sequence[Myth], versions: Versions) -> dict[str, Any]:
    """The content of the summary.json of `make myths`; `measured` has a line for each thing that is so."""
    failures = [failure for myth in found for failure in myth.failures()]
    return {
        "versions": dict(versions),
        "items": [_item(myth) for myth in found],
        "failures": failures,
        "holds": not failures,
    }


def _item(myth: Myth) -> dict[str, Any]:
    told, seen = myth.entry.PITFALL, myth.sighting.seen
    return {
        "group": chapter_of(myth.entry),
        "item": told.number,
        "name": name_of(myth.entry).split("/")[1],
        "guide": told.guide,
        "article": told.article,
        "measured": "\n".join(myth.measured),
        "evidence": seen.evidence if seen else "",
        "fix": told.fix,
        "shown": not list(myth.failures()),
    }
