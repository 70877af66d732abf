"""One prompt asked by keyboard alone, and what its two panes showed from the first moment to the last."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.servers import Server
from tests.web.brisk import said
from tests.web.rig import ENDED_S, MODEL, Rig
from tests.web.visit import Visit, visiting

PROMPT = "Which of the two answers can be read first?"
ROUND_S = 0.005  # clocks show hundredths
TABS = 12
READABLE = 4.5  # contrast by WCAG 2.2, level AA


@dataclass(frozen=True)
class Shown:
    """A page on which both answers have ended; `early` is what each pane had when the stream had begun."""

    visit: Visit
    request_id: str
    early: dict[str, str]
    early_phases: dict[str, str]


@pytest.fixture(scope="module")
def shown(rig: Rig, browser: Browser, servers: dict[str, Server], album: Path) -> Iterator[Shown]:
    with visiting(browser, rig.front.url, album) as visit:
        visit.photograph("1-empty")
        ask_by_keyboard(visit)
        visit.photograph("2-asked")
        visit.shows("stream", 40)
        early = {pane: visit.text(pane) for pane in ("batch", "stream")}
        phases = {pane: visit.phase(pane) for pane in ("batch", "stream")}
        visit.photograph("3-streaming")
        visit.comes_to("stream", "done", "failed")
        visit.comes_to("batch", "done", "failed")
        visit.photograph("4-done")
        yield Shown(visit, visit.request_id(), early, phases)


def ask_by_keyboard(visit: Visit) -> None:
    go_to(visit, "prompt")
    visit.page.keyboard.press("Control+A")
    visit.page.keyboard.type(PROMPT)
    go_to(visit, "send")
    visit.page.keyboard.press("Enter")


def go_to(visit: Visit, name: str) -> None:
    """Presses Tab until this part has the focus, and a user sees that it has."""
    for _ in range(TABS):
        visit.page.keyboard.press("Tab")
        if visit.page.evaluate("document.activeElement.dataset.testid") == name:
            break
    else:
        raise AssertionError(f"Tab does not lead to {name}")
    assert visit.part(name).evaluate("looks.showsFocus")


def test_both_panes_show_the_same_whole_answer(shown: Shown) -> None:
    whole = said(MODEL, shown.request_id, PROMPT)
    assert {pane: shown.visit.text(pane) for pane in ("batch", "stream")} == {
        "batch": whole,
        "stream": whole,
    }


def test_the_batch_pane_is_blank_while_the_other_can_be_read(shown: Shown) -> None:
    whole = said(MODEL, shown.request_id, PROMPT)
    assert shown.early["batch"] == ""
    assert len(shown.early["stream"]) < len(whole)
    assert whole.startswith(shown.early["stream"])
    assert shown.early_phases == {"batch": "waiting", "stream": "streaming"}


def test_the_clocks_agree_with_each_other_and_with_the_provider(shown: Shown, rig: Rig) -> None:
    figure = shown.visit.figure
    assert figure("stream-first") < figure("batch-first") == figure("batch-total")
    for seen in rig.provider.seen(shown.request_id):
        pane = "stream" if seen["stream"] else "batch"
        first, last = ((seen[at] - seen["received_ns"]) / 1e9 for at in ("first_ns", "last_ns"))
        assert figure(f"{pane}-first") >= first - ROUND_S
        assert figure(f"{pane}-total") >= last - ROUND_S
    reading_s = figure("stream-total") - figure("stream-first")
    assert figure("stream-rate") == pytest.approx(MODEL.tokens / reading_s, rel=0.1)
    assert figure("batch-rate") == pytest.approx(MODEL.tokens / figure("batch-total"), rel=0.1)


def test_each_pane_has_bought_one_answer(shown: Shown, rig: Rig) -> None:
    rig.provider.in_flight(0, ENDED_S)
    bought = [seen["stream"] for seen in rig.provider.seen(shown.request_id)]
    assert sorted(bought) == [False, True]


def test_nothing_is_complained_of_and_nobody_else_is_asked(shown: Shown, rig: Rig) -> None:
    assert shown.visit.complaints == []
    asked = {request.url for request in shown.visit.asked if not request.url.startswith("data:")}
    assert {url for url in asked if not url.startswith((rig.front.url, rig.batch.url))} == set()


def test_who_hears_the_page_is_told_what_everything_is(shown: Shown) -> None:
    part = shown.visit.part
    for name in ("prompt", "send", "stop", "batch-answer", "stream-answer"):
        expect(part(name)).to_have_accessible_name(re.compile(r"\w"))
    for name in ("batch-state", "stream-state"):
        expect(part(name)).to_have_role("status")
    assert shown.visit.page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read_by_day_and_by_night(
    shown: Shown, scheme: Literal["light", "dark"]
) -> None:
    page = shown.visit.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": 360, "height": 740})
    shown.visit.photograph(f"5-phone-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    low = {text: ratio for text, ratio in page.evaluate("looks.contrasts()") if ratio < READABLE}
    assert low == {}
    lightness = page.evaluate("looks.background()")
    assert lightness > 0.7 if scheme == "light" else lightness < 0.1
