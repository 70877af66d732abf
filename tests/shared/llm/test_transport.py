"""The windowed transport: how long a stream is left alone, and that no first or last token waits."""

import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.llm.transport import Pace
from shared.schemas import Delta, fold
from tests.shared.llm import bodies
from tests.shared.llm.drivers import CHAT, async_openai, settings
from tests.shared.llm.upstream import Reply, Upstream, event_stream

EVENT = b"data: {}\n\n"


def test_the_first_read_is_followed_by_a_whole_window() -> None:
    assert Pace(0.05, 4).nap_s(EVENT, now=7.0) == 0.05


@pytest.mark.parametrize(
    ("events", "since_s", "nap_s"),
    [(1, 0.01, 0.04), (2, 0.01, 0.02), (4, 0.04, 0.04), (1, 0.5, 0.05), (0, 0.01, 0.04)],
)
def test_it_sleeps_for_about_so_many_tokens(events: int, since_s: float, nap_s: float) -> None:
    pace = Pace(0.05, 4)
    pace.nap_s(EVENT, now=7.0)
    assert pace.nap_s(EVENT * events or b"half", now=7.0 + since_s) == pytest.approx(nap_s)


@given(st.lists(st.tuples(st.binary(max_size=30), st.floats(0, 5)), max_size=9))
def test_it_never_sleeps_beyond_the_window(reads: list[tuple[bytes, float]]) -> None:
    pace, now = Pace(0.05, 4), 0.0
    for data, since_s in reads:
        now += since_s
        assert 0 <= pace.nap_s(data, now) <= 0.05


def test_the_end_of_the_body_wakes_it(upstream: Upstream) -> None:
    first, *rest = event_stream(bodies.half("one"), bodies.stream(["two"])).writes[1:]
    head = event_stream(b"").writes[0]
    upstream.will(Reply((head + first, *rest), paced=True))
    with async_openai(settings(upstream.url, coalesce_ms=5_000)) as driver:
        events = driver.stream(CHAT)
        assert next(events) == Delta(("one",))
        started = time.monotonic()
        upstream.go_on()
        assert fold(list(events)).text == "two"
    assert time.monotonic() - started < 2


def test_the_first_token_waits_for_no_window(upstream: Upstream) -> None:
    upstream.will(event_stream(bodies.half("one"), ending="hold"))
    started = time.monotonic()
    with (
        async_openai(settings(upstream.url, coalesce_ms=5_000)) as driver,
        closing(driver.stream(CHAT)) as events,
    ):
        assert next(events) == Delta(("one",))
    assert time.monotonic() - started < 2
    assert upstream.left_after_s(started) < 2
