"""An answer is bought once, even by a component that is mounted twice, and no longer than its user wants it."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.web.brisk import said
from tests.web.npm import checkout
from tests.web.rig import ENDED_S, MODEL, Rig, first_streamed, streamed
from tests.web.visit import Visiting

BUILD = Path(__file__).parent / "pages/build.mjs"
IN_AN_EFFECT = "Asked in an effect."
NAIVE = {"naive-1", "naive-2"}  # what an effect buys that knows nothing of StrictMode
PROMPT = "Who pays for what nobody reads?"
BUILD_S = 60
STOP_NS = 1_000_000_000


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script with the hook in React's development build, in which StrictMode mounts everything twice."""
    folder = tmp_path_factory.mktemp("strict")
    subprocess.run(["node", BUILD, checkout(folder), folder], check=True, timeout=BUILD_S)
    return folder / "strict.js"


def test_strict_mode_mounts_twice_and_buys_once(rig: Rig, visit: Visiting, strict: Path) -> None:
    before = rig.streams()
    page = visit(rig.front.url, strict)
    page.comes_to("stream", "done", "failed")
    rig.provider.in_flight(0, ENDED_S)
    bought = rig.streams() - before
    assert bought >= NAIVE
    [request_id] = bought - NAIVE
    assert len(streamed(rig.provider, request_id)) == 1
    assert page.text("stream") == said(MODEL, request_id, IN_AN_EFFECT)


def test_stop_ends_the_generation_within_a_second(rig: Rig, visit: Visiting) -> None:
    page = visit(rig.front.url)
    page.ask(PROMPT)
    page.shows("stream", 40)
    stopped_ns = time.monotonic_ns()
    page.part("stop").click()
    page.comes_to("stream", "stopped")
    held = page.text("stream")
    page.photograph("stopped")
    seen = first_streamed(rig.provider, page.request_id())
    assert seen["tokens"] < seen["planned"]
    assert 0 < seen["disconnected_ns"] - stopped_ns < STOP_NS
    assert page.text("stream") == held != ""
