"""Both stacks behind nginx as shipped, for real: counted blocks, a timed JSON, and what a browser paints."""

import argparse
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from loadtests import options, page_view, serialising
from loadtests.blocks import blocks
from loadtests.corpus import open_corpus
from loadtests.replay import Replay
from loadtests.reporting.join import read_stacks
from loadtests.reporting.records import STACKS
from loadtests.stage import LEGACY, Stage, StageOptions, fronted, raised

ASKED = open_corpus(None, 7).request(0)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("behind")


@pytest.fixture(scope="module")
def stage(out: Path) -> Iterator[Stage]:
    with raised(StageOptions(out, "instant")) as up, fronted(up, out / "nginx") as behind:
        yield behind


def test_a_block_through_nginx_is_kept_as_what_it_is(stage: Stage, out: Path) -> None:
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    given = ("--profile", "instant", "--users", "2", "--out", str(out))
    chosen = dataclasses.replace(options.checked(parser.parse_args(given)), requests=0)
    replay = Replay(chosen, Console(quiet=True))
    stage.control("timeline")
    for block in [one for one in blocks(0, 8) if one.phase.endswith("1-nginx")]:
        replay.block(stage, block)
    through, _ = read_stacks(out, way="nginx")
    direct, _ = read_stacks(out)
    for name in STACKS:
        assert (through[name].requests, through[name].failed, through[name].unmatched) == (4, [], 0)
        assert direct[name].requests == 0
        log = stage.proxies[name].access_log.read_text("utf-8")
        assert log.count("POST /chat ") == 4


def test_the_json_that_is_timed_is_the_answer_of_the_batch_stack(stage: Stage) -> None:
    body = serialising.answered(stage.url(LEGACY), ASKED, "timed")
    assert len(serialising.timed_ms(body, times=5)) == 5
    with pytest.raises(ValueError, match="not what ChatReply writes"):
        serialising.timed_ms(body + b" ")


@pytest.fixture
def chromium() -> str:
    found = next(filter(None, map(shutil.which, page_view.BROWSERS)), None)
    if found is None:
        pytest.skip("what a browser paints needs Chromium; on Debian: apt-get install chromium")
    return found


def test_a_browser_says_when_it_has_painted(
    stage: Stage, out: Path, chromium: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_view, "ROUNDS", 1)
    monkeypatch.setattr(page_view, "IN_A_ROUND", 1)
    found = page_view.views(stage, ASKED, 0.1, out, Console(quiet=True))
    assert found is not None
    assert found.by.endswith("TLS through nginx")
    assert [len(found.first_words_ms[name]) for name in STACKS] == [1, 1]
    assert all(0 < ms < 60_000 for (ms,) in found.first_words_ms.values())
    for name in STACKS:
        log = stage.proxies[name].access_log.read_text("utf-8")
        assert log.count("POST /chat HTTP/2.0 200") == 2


def test_what_the_page_cannot_ask_is_one_line_and_no_figure(
    stage: Stage, out: Path, chromium: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_view, "ROUNDS", 0)
    console = Console(record=True, width=200)
    refused = ASKED.model_copy(update={"max_tokens": -1})
    assert page_view.views(stage, refused, 0.1, out, console) is None
    assert "status 422" in console.export_text()
