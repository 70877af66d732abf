"""Both adapters against a provider of bytes: law 1, the SDK as oracle, and how connections are used."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import closing

import openai
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.llm.openai import AsyncOpenAILLM
from shared.schemas import ChatRequest, Delta
from tests.shared.llm import bodies
from tests.shared.llm.bodies import END, Json, chunk, chunks, completion, data_lines
from tests.shared.llm.drivers import (
    CHAT,
    KEY,
    MODES,
    REPLY,
    REQUEST_ID,
    Driver,
    Opener,
    ask,
    async_openai,
    good,
    settings,
    sync_openai,
)
from tests.shared.llm.upstream import Reply, Upstream, answer, event_stream

few = examples(max_examples=25, deadline=None)
PLACES = st.lists(st.integers(0, 5_000), max_size=6)


@few
@given(
    st.lists(bodies.text | bodies.broken_text, max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    PLACES,
)
def test_a_stream_folds_to_the_reply(
    driver: Driver, upstream: Upstream, contents: list[str], newline: bytes, places: list[int]
) -> None:
    stream = event_stream(bodies.stream(contents, newline)).cut(places)
    upstream.will(stream, answer(completion("".join(contents))).cut(places))
    folded = ask(driver, "stream")
    assert folded == ask(driver, "complete")
    assert folded.text == bodies.whole("".join(contents))


def openai_style(contents: list[str]) -> bytes:
    extra = {"service_tier": "default", "system_fingerprint": "fp_1", "obfuscation": "x2k"}
    return b"".join(line + b"\n\n" for line in data_lines([c | extra for c in chunks(contents)]))


def azure_style(contents: list[str]) -> bytes:
    filtered: Json = {"hate": {"filtered": False, "severity": "safe"}}
    first = chunk(id="", model="", prompt_filter_results=[{"prompt_index": 0, "x": filtered}])
    return b"".join(line + b"\n\n" for line in data_lines([first, *chunks(contents)]))


def counting_style(contents: list[str]) -> bytes:
    """Usage in every chunk, and none of its own at the end."""
    counted = [c | {"usage": bodies.COUNTED} for c in chunks(contents)[:-1]]
    return b"".join(line + b"\n\n" for line in data_lines(counted, ascii_only=False))


def chattering_style(contents: list[str]) -> bytes:
    """Comments and thoughts between the tokens, lines that end in CRLF."""
    thought = data_lines([chunk({"reasoning_content": "hm", "content": None})])[0]
    lines = [between for line in data_lines(chunks(contents)) for between in (thought, line)]
    return (
        b": PROCESSING\r\n\r\n"
        + b"".join(line + b"\r\n\r\n: keep-alive\r\n\r\n" for line in lines[:-1])
        + END
        + b"\r\n\r\n"
    )


def bare_style(contents: list[str]) -> bytes:
    """No space behind the colon, no usage, a second choice, the reason beside the last token."""
    second = chunk() | {
        "choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": None}]
    }
    tokens = [chunk({"content": content}) for content in contents]
    lines = data_lines([*tokens, second, chunk({"content": "."}, "length")])
    return b"".join(line.replace(b"data: ", b"data:") + b"\n\n" for line in lines)


Style = Callable[[list[str]], bytes]
STYLES: list[Style] = [openai_style, azure_style, counting_style, chattering_style, bare_style]


@few
@given(st.sampled_from(STYLES), st.data(), PLACES)
def test_the_typed_stream_of_the_sdk_says_the_same(
    driver: Driver, upstream: Upstream, style: Style, data: st.DataObject, places: list[int]
) -> None:
    # Raw UTF-8 has no form for half a surrogate pair.
    tokens = bodies.text if style is counting_style else bodies.text | bodies.broken_text
    contents = data.draw(st.lists(tokens, max_size=6))
    upstream.will(event_stream(style(contents)).cut(places))
    assert typed(upstream.url) == ask(driver, "stream").model_dump(exclude={"id", "model"})


def typed(url: str) -> Json:
    """What the SDK's own typed stream makes of the same bytes."""
    text, reason, usage = "", None, None
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
        for event in client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        ):
            usage = event.usage or usage
            for choice in event.choices:
                if choice.index == 0:
                    text += choice.delta.content or ""
                    reason = choice.finish_reason or reason
    details = usage and usage.prompt_tokens_details
    counted = usage and {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cached_tokens": (details and details.cached_tokens) or 0,
    }
    return {"text": bodies.whole(text), "finish_reason": reason, "usage": counted}


@MODES
def test_the_request_says_who_asks_and_what(driver: Driver, upstream: Upstream, mode: str) -> None:
    upstream.will(good(mode))
    ask(driver, mode, ChatRequest(prompt="é\n", model="m", max_tokens=3))
    [asked] = upstream.asked
    body = json.loads(asked.body)
    assert asked.line == "POST /v1/chat/completions HTTP/1.1"
    assert asked.headers["x-request-id"] == REQUEST_ID
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["content-type"] == "application/json"
    assert body["messages"] == [{"role": "user", "content": "é\n"}]
    assert (body["model"], body["max_tokens"]) == ("m", 3)
    assert body.get("stream", False) is (mode == "stream")
    assert body.get("stream_options") == ({"include_usage": True} if mode == "stream" else None)


# A sync stream is left at [DONE], before the end of its body: its connection is spent.
@pytest.mark.parametrize(
    ("opened", "mode"),
    [(sync_openai, "complete"), (async_openai, "complete"), (async_openai, "stream")],
)
def test_a_connection_serves_again(opened: Opener, upstream: Upstream, mode: str) -> None:
    upstream.will(good(mode))
    with opened(settings(upstream.url)) as driver:
        assert ask(driver, mode) == ask(driver, mode) == REPLY
    first, second = upstream.asked
    assert first.connection == second.connection


def test_a_stream_ends_with_done_although_the_connection_stays(
    driver: Driver, upstream: Upstream
) -> None:
    upstream.will(event_stream(bodies.stream(["one", "two"]), ending="hold"))
    started = time.monotonic()
    assert ask(driver, "stream") == REPLY
    assert time.monotonic() - started < 1
    assert upstream.left_after_s(started) < 1


def test_a_body_without_length_ends_with_its_connection(driver: Driver, upstream: Upstream) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + bodies.stream(["onetwo"])
    upstream.will(Reply((raw,), "close"))
    assert ask(driver, "stream") == REPLY


def test_the_first_token_is_there_before_the_second_is_sent(
    driver: Driver, upstream: Upstream
) -> None:
    upstream.will(event_stream(bodies.half("one"), ending="hold"))
    with closing(driver.stream()) as events:
        assert next(events) == Delta(("one",))


def test_closing_a_stream_closes_the_request(driver: Driver, upstream: Upstream) -> None:
    upstream.will(event_stream(bodies.half("one"), ending="hold"))
    events = driver.stream()
    next(events)
    closed = time.monotonic()
    events.close()
    assert upstream.left_after_s(closed) < 1


@pytest.mark.parametrize("reply", [Reply((), "hold"), event_stream(b": wait\n\n", ending="hold")])
async def test_cancelling_before_the_first_token_closes_the_request(
    upstream: Upstream, reply: Reply
) -> None:
    upstream.will(reply)
    llm = AsyncOpenAILLM(settings(upstream.url))
    reading = asyncio.ensure_future(anext(llm.stream(CHAT, request_id=REQUEST_ID)))
    await asyncio.to_thread(upstream.arrivals.get, timeout=5)
    reading.cancel()
    cancelled = time.monotonic()
    assert await asyncio.to_thread(upstream.left_after_s, cancelled) < 1
    with pytest.raises(asyncio.CancelledError):
        await reading
    await llm.close()


async def test_cancelling_a_completion_closes_the_request(upstream: Upstream) -> None:
    upstream.will(Reply((), "hold"))
    llm = AsyncOpenAILLM(settings(upstream.url))
    answering = asyncio.ensure_future(llm.complete(CHAT, request_id=REQUEST_ID))
    await asyncio.to_thread(upstream.arrivals.get, timeout=5)
    answering.cancel()
    cancelled = time.monotonic()
    assert await asyncio.to_thread(upstream.left_after_s, cancelled) < 1
    await llm.close()
