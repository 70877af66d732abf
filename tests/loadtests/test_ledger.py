"""The ledger of differences: what it takes, what it refuses, and how what was seen is held against it."""

import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from guide.regions import LEFT, RIGHT, ROOT, named
from loadtests.differences import Apart
from loadtests.equality.corpus import corpus
from loadtests.ledger import Difference, LedgerError, judge, load_ledger

ENTRY = Difference(
    id="streams",
    requests=("GET: *", "a stream"),
    flask="200 application/json",
    fastapi="200 text/event-stream",
    why="It is what the migration is for.",
    guide="stream-it",
    cause=("delivery.py#deliver",),
)
SEEN = {"GET: one": (ENTRY.apart,), "a stream": (ENTRY.apart,), "POST: one": ()}
WRITTEN = """
[[difference]]
id = "streams"
requests = ["GET: *"]
flask = "200 application/json"
fastapi = "200 text/event-stream"
why = "It is what the migration is for."
guide = "stream-it"
cause = ["delivery.py#deliver"]
"""


def test_what_is_listed_and_seen_holds() -> None:
    judged = judge((ENTRY,), SEEN)
    assert (judged.unlisted, judged.stale, judged.listed) == ([], [], {"streams": 2})


def test_without_its_entry_a_difference_is_not_allowed() -> None:
    judged = judge((), SEEN)
    words = "legacy 200 application/json, streaming 200 text/event-stream"
    assert judged.unlisted == [f"GET: one: {words}", f"a stream: {words}"]
    assert judged.stale == []


@pytest.mark.parametrize(
    ("entry", "seen", "unlisted", "stale"),
    [
        (ENTRY, {**SEEN, "GET: one": ()}, 0, r"streams: GET: one: no difference; the ledger says"),
        (ENTRY, dict.fromkeys(SEEN, ()), 0, r"streams: GET: one \(and 1 more\): no difference"),
        (ENTRY, {"POST: one": ()}, 0, r"streams: no request has the name 'GET: \*'"),
        (ENTRY, {**SEEN, "a stream": (Apart("200", "404"),)}, 1, r"legacy 200, streaming 404; the"),
        (ENTRY, {**SEEN, "POST: one": (ENTRY.apart,)}, 1, None),
        (ENTRY, {**SEEN, "GET: one": (ENTRY.apart, Apart("a", "b"))}, 1, None),
        (msgspec.structs.replace(ENTRY, flask="201"), SEEN, 2, r"the ledger says legacy 201,"),
        (msgspec.structs.replace(ENTRY, requests=("GET: *", "x")), SEEN, 1, r"name 'x'"),
    ],
)  # fmt: skip
def test_what_is_not_as_the_ledger_says_is_named(
    entry: Difference, seen: dict[str, tuple[Apart, ...]], unlisted: int, stale: str | None
) -> None:
    judged = judge((entry,), seen)
    assert len(judged.unlisted) == unlisted
    assert len(judged.stale) == (stale is not None)
    assert all(re.search(stale or "", line) and "\n" not in line for line in judged.stale)


def test_of_a_part_of_the_corpus_only_what_was_asked_can_be_stale() -> None:
    assert judge((ENTRY,), {"a stream": (ENTRY.apart,)}, whole=False).stale == []
    assert len(judge((ENTRY,), {"a stream": ()}, whole=False).stale) == 1


def test_an_entry_is_read(tmp_path: Path) -> None:
    path = tmp_path / "differences.toml"
    path.write_text(WRITTEN)
    assert load_ledger(path) == (msgspec.structs.replace(ENTRY, requests=("GET: *",)),)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (WRITTEN + 'reason = "x"\n', "entry streams: .*unknown field `reason`"),
        (WRITTEN.replace('guide = "stream-it"\n', ""), "entry streams: .*`guide`"),
        (
            WRITTEN.replace('flask = "200 application/json"', "flask = 200"),
            "entry streams: .*flask",
        ),
        (WRITTEN.replace('["GET: *"]', "[]"), "entry streams: .*may be empty"),
        (WRITTEN.replace('"It is what the migration is for."', '" "'), "streams: .*may be empty"),
        (WRITTEN.replace('id = "streams"\n', ""), "entry 1: .*`id`"),
        (WRITTEN + WRITTEN, "two entries have the id 'streams'"),
        (WRITTEN.replace("[[difference]]", "[difference]"), r"write \[\[difference\]\]"),
        ("[[differences]]\n", r"only \[\[difference\]\] entries"),
        ("difference = [1]\n", "entry 1: "),
        ("what?\n", "line 1"),
        ("id = '\0'\n", "line 1"),
    ],
)
def test_a_ledger_that_cannot_be_used_is_one_line(tmp_path: Path, written: str, said: str) -> None:
    path = tmp_path / "differences.toml"
    path.write_text(written)
    with pytest.raises(LedgerError, match=said) as raised:
        load_ledger(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_ledger_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="No such file"):
        load_ledger(tmp_path / "nowhere.toml")


def test_each_entry_of_ours_has_a_cause_in_the_apps() -> None:
    names = {path.name for path in (ROOT / RIGHT).glob("*.py")}
    known = {
        f"{name}#{region.name}"
        for name in names
        for app in (LEFT, RIGHT)
        if (ROOT / app / name).exists()
        for region in named(ROOT, f"{app}/{name}")
    }
    assert {cause for entry in load_ledger() for cause in entry.cause} <= known


def test_each_name_of_ours_is_one_of_the_corpus() -> None:
    seen = {probe.name: () for probe in corpus("key")}
    stale = judge(load_ledger(), seen).stale
    assert len(stale) == len(load_ledger())
    assert not [line for line in stale if "no request has the name" in line]


def test_an_entry_is_a_value() -> None:
    with pytest.raises(AttributeError):
        ENTRY.flask = "x"  # type: ignore[misc]  # that it is refused is what is tested
    assert replace(ENTRY.apart, legacy="x") != ENTRY.apart
