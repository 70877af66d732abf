"""`make myths`: each item shows what it says and by which figures, and one that does not fails the run."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.pitfalls.articles import heartbeat_timeout
from tests.pitfalls.catalogue import Entry, Observation, Sighting, entry_of, myths, name_of, names
from tests.pitfalls.ground import Ground
from tests.pitfalls.myths import main, perform
from tests.pitfalls.verdict import Myth, myths_summarised

SUMMARY = Path(__file__).parents[2] / "results/myths/summary.json"
PROXY = names(["proxy"])
NAME = "articles/heartbeat-timeout"
TOLD = heartbeat_timeout.PITFALL
GOOD = Observation(TOLD.flask, TOLD.fastapi, TOLD.fixed, "1 of 2 tokens")


def claiming(**words: str) -> Entry:
    """The entry heartbeat-timeout, which says something else than it did."""
    told = dataclasses.replace(TOLD, **cast(dict[str, Any], words))
    return cast(Entry, SimpleNamespace(__name__=heartbeat_timeout.__name__, PITFALL=told))


def seen_as(seen: Observation, entry: Entry | None = None) -> list[str]:
    """What is complained of when that was seen of an entry."""
    return list(Myth(entry or entry_of(NAME), Sighting(seen)).failures())


@pytest.fixture(scope="module")
def observations(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, Future[Observation]]]:
    """Every entry on nginx, all of them at once, since they mostly wait."""
    with ThreadPoolExecutor(len(PROXY)) as threads:
        yield {
            name: threads.submit(entry_of(name).observe, Ground(tmp_path_factory.mktemp("proxy")))
            for name in PROXY
        }


@pytest.mark.parametrize("name", PROXY)
def test_nginx_does_what_an_entry_says(
    name: str, observations: Mapping[str, Future[Observation]]
) -> None:
    told, seen = entry_of(name).PITFALL, observations[name].result()
    assert seen == Observation(told.flask, told.fastapi, told.fixed)
    assert re.search(r"\d", seen.evidence)


def test_an_item_that_says_what_is_not_so_fails_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # no cell is broken into lines
    assert perform([claiming(fastapi="one, ping, two")], tmp_path) == 1
    printed = " ".join(capsys.readouterr().out.split())
    said = f"{NAME}, fastapi: expected 'one, ping, two', observed 'one, ping'"
    assert said in printed
    assert printed.endswith("0/1 items show what they say")
    summary = json.loads((tmp_path / "summary.json").read_text())
    (item,) = summary["items"]
    assert (summary["holds"], summary["failures"], item["shown"]) == (False, [said], False)
    assert item["measured"].split("\n")[2] == "FastAPI: one, ping"
    assert item["evidence"] in printed


def test_each_word_and_the_evidence_of_an_item_is_held() -> None:
    assert seen_as(GOOD) == []
    for part in ("flask", "fastapi", "fixed"):
        words = getattr(GOOD, part)
        expected = f"{NAME}, {part}: expected 'else', observed {words!r}"
        assert seen_as(GOOD, claiming(**{part: "else"})) == [expected]
    without = dataclasses.replace(GOOD, evidence="")
    assert seen_as(without) == [f"{NAME}: it gave no evidence"]
    assert list(Myth(entry_of(NAME), Sighting(None, "it raised")).failures()) == [
        f"{NAME}: it raised"
    ]


def test_a_bad_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "no such"]) == 2
    assert capsys.readouterr().err == "myths: ONLY: no item has 'no such' in its name\n"


def test_the_items_are_numbered() -> None:
    """Eleven on the articles, then those on nginx."""
    numbers = [(name_of(entry).split("/")[0], entry.PITFALL.number) for entry in myths()]
    on_nginx = [("proxy", number) for number in range(1, len(PROXY) + 1)]
    assert numbers == [*(("articles", number) for number in range(1, 12)), *on_nginx]


def test_the_committed_results_are_of_these_items() -> None:
    """The guide's tables are made from them; only the evidence may differ from one run to the next."""
    committed = json.loads(SUMMARY.read_text("utf-8"))
    found = [
        Myth(entry, Sighting(Observation(told.flask, told.fastapi, told.fixed, item["evidence"])))
        for entry, item in zip(myths(), committed["items"], strict=True)
        for told in (entry.PITFALL,)
    ]
    assert committed == myths_summarised(found, committed["versions"])
    assert committed["holds"]
    assert committed["versions"]["fastapi"].startswith("0.115.")
