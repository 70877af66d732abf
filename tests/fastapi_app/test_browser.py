"""Chromium's own EventSource reads what we frame: made by hand to be nasty, and by the app for real."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_app.sse import MEDIA_TYPE, PING
from shared.schemas import Done
from tests.apps.exchange import opened, post
from tests.chromium import NAMES, Browser, Reading, Source, Stream, browsing
from tests.conftest import Stack
from tests.fastapi_app.nasty import TEXTS, Sent, decoded, due, everywhere, sent
from tests.shared.llm.bodies import cut

PAGE = Path(__file__).parent / "eventsource/page.html"
EXAMPLES = 60
READ_BYTES = 64 * 1024
RETRY = b"retry: 20\n\n"
END = Sent(Done(id="a", model="m", finish_reason="stop"), "e-7")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("a browser's EventSource needs Chromium; on Debian: apt-get install chromium")
    with browsing(program, PAGE, tmp_path_factory.mktemp("chromium")) as running:
        yield running


def prepared(*chunks: bytes) -> Source:
    return lambda: Stream({"Content-Type": MEDIA_TYPE}, chunks)


def relayed(stack: Stack, request_id: str, **query: str) -> Source:
    """The app's own answer to GET /chat, byte for byte, behind a short time to reconnect: the page is of
    another origin, and the app sends no CORS headers."""
    path = f"/chat?{urlencode(query)}"

    def ask() -> Iterator[bytes]:
        yield RETRY
        with opened(stack.url, "GET", path, headers={"X-Request-ID": request_id}) as response:
            assert response.headers["Content-Type"] == MEDIA_TYPE
            while chunk := response.read1(READ_BYTES):
                yield chunk

    return lambda: Stream({"Content-Type": MEDIA_TYPE}, ask())


def written(stream: Sequence[Sent], places: Sequence[int]) -> Source:
    return prepared(*cut(b"".join(one.bytes + PING for one in stream), places))


def read(browser: Browser, stream: Sequence[Sent], places: Sequence[int]) -> Reading:
    ends = sum(one.event.event != "delta" for one in stream)
    return browser.read(written(stream, places), ends=ends)


def names(reading: Reading) -> list[str]:
    return [event.name for event in reading.events]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_nasty_text_in_every_place(browser: Browser, text: str) -> None:
    stream = everywhere(text)
    assert decoded(read(browser, stream, range(0, 4096, 7)).events) == due(stream)


@settings(max_examples=EXAMPLES, deadline=None)
@given(stream=st.lists(sent, max_size=6), places=st.lists(st.integers(0, 2**16), max_size=6))
def test_what_went_in_is_read_back(browser: Browser, stream: list[Sent], places: list[int]) -> None:
    whole = [*stream, END]
    assert decoded(read(browser, whole, places).events) == due(whole)


def requests_in_the_end(browser: Browser, reading: Reading) -> list[str | None]:
    """The Last-Event-ID of each of its requests, once it would have connected again if it were not closed."""
    left_open = browser.read(prepared(RETRY, END.bytes), ends=2)
    assert names(left_open) == ["done", "error", "done"]
    assert browser.requests(left_open) == [None, "e-7"]
    return browser.requests(reading)


def test_closed_at_its_end_it_never_connects_again(browser: Browser) -> None:
    reading = browser.read(prepared(RETRY, END.bytes))
    assert names(reading) == ["done"]
    assert requests_in_the_end(browser, reading) == [None]


def test_an_event_named_error_would_look_like_a_lost_connection(browser: Browser) -> None:
    reading = browser.read(prepared(b"event: error\ndata: x\n\n", END.bytes))
    assert names(reading) == ["error", "done"]


def test_the_app_in_a_browser_says_what_the_batch_answer_says(
    browser: Browser, streaming: Stack
) -> None:
    query = {"prompt": "a\r\nb \u2028 🙂 \n\nevent: done\ndata: {}", "model": "sim"}
    whole = post(streaming.url, query, {"X-Request-ID": "in-a-browser"}).json()
    reading = browser.read(relayed(streaming, "in-a-browser", **query))
    *deltas, done = decoded(reading.events)
    assert {name for name, _, _ in deltas} == {"delta"}
    assert done.name == "done"
    assert whole == done.data | {"text": "".join(data["text"] for _, data, _ in deltas)}
    assert requests_in_the_end(browser, reading) == [None]


def test_a_failure_reaches_its_own_listener(browser: Browser, streaming: Stack) -> None:
    # The chatty profile has pauses, so that the first tokens are on the wire before the fault.
    query = {"prompt": "hello", "model": "sim:chatty+drop-mid", "max_tokens": "40"}
    reading = browser.read(relayed(streaming, "fails-in-a-browser", **query))
    *deltas, failure = decoded(reading.events)
    assert {name for name, _, _ in deltas} == {"delta"}
    assert failure.name == "failure"
    assert failure.data["code"] == "upstream_protocol"
    assert failure.data["request_id"] == "fails-in-a-browser"
    assert requests_in_the_end(browser, reading) == [None]
