"""The adapters without a provider: law 1, delays that are kept, faults in their place."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamTimeout
from shared.llm.scripted import AsyncScriptedLLM, Script, ScriptedLLM
from shared.schemas import ChatRequest, Delta, Done, fold
from tests.shared.llm.drivers import CHAT, REQUEST_ID, AsyncDriver, Driver, SyncDriver

requests = st.builds(
    ChatRequest,
    prompt=st.text(min_size=1),
    max_tokens=st.none() | st.integers(1, 60),
    model=st.none() | st.just("m"),
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


def both(script: Script, runner: asyncio.Runner) -> list[Driver]:
    return [SyncDriver(ScriptedLLM(script)), AsyncDriver(AsyncScriptedLLM(script), runner)]


@given(requests, st.integers(1, 50))
def test_a_stream_folds_to_the_reply(
    runner: asyncio.Runner, chat: ChatRequest, tokens: int
) -> None:
    script = Script(tokens=tokens, first_token_s=0, gap_s=0)
    replies = [
        reply for d in both(script, runner) for reply in (d.complete(chat), fold(d.stream(chat)))
    ]
    assert all(reply == replies[0] for reply in replies)
    length = min(tokens, chat.max_tokens or tokens)
    assert replies[0].usage is not None
    assert replies[0].usage.completion_tokens == length
    assert replies[0].finish_reason == ("stop" if length == tokens else "length")


def test_another_question_has_another_answer(runner: asyncio.Runner) -> None:
    script = Script(first_token_s=0, gap_s=0)
    for driver in both(script, runner):
        one, two = (driver.complete(ChatRequest(prompt=prompt)).text for prompt in ("a", "b"))
        assert one != two


def test_tokens_come_in_their_time(runner: asyncio.Runner) -> None:
    script = Script(tokens=3, first_token_s=0.06, gap_s=0.02)
    for driver in both(script, runner):
        started = time.monotonic()
        events = list(driver.stream(CHAT))
        assert 0.12 <= time.monotonic() - started < 1
        assert [type(event) for event in events] == [Delta, Delta, Delta, Done]


@pytest.mark.parametrize("after", [0, 2, 3])
def test_a_fault_comes_after_so_many_tokens(runner: asyncio.Runner, after: int) -> None:
    script = Script(tokens=3, first_token_s=0, gap_s=0, fault=UpstreamTimeout(), fault_after=after)
    for driver in both(script, runner):
        with closing(driver.stream(CHAT)) as stream:
            assert [type(next(stream)) for _ in range(after)] == [Delta] * after
            with pytest.raises(UpstreamTimeout):
                next(stream)
        with pytest.raises(UpstreamTimeout):
            driver.complete(CHAT)


def test_the_id_is_that_of_the_request(runner: asyncio.Runner) -> None:
    for driver in both(Script(tokens=1, first_token_s=0), runner):
        assert driver.complete(CHAT).id == f"scripted-{REQUEST_ID}"
