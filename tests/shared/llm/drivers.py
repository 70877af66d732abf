"""Both adapters behind one face, so that each test is written once."""

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import pytest

from shared.llm.openai import AsyncOpenAILLM, OpenAILLM
from shared.llm.port import LLM, AsyncLLM
from shared.schemas import ChatReply, ChatRequest, Delta, Done, Usage, fold
from shared.settings import Settings
from tests.shared.llm import bodies
from tests.shared.llm.upstream import Reply, answer, event_stream

CHAT = ChatRequest(prompt="hi")
REQUEST_ID = "r-1"
KEY = "sk-never-say-this"
Events = Generator[Delta | Done, None, None]
MODES = pytest.mark.parametrize("mode", ["complete", "stream"])
GOOD = event_stream(bodies.stream(["one", "two"]))
REPLY = ChatReply(
    id=bodies.ID,
    model=bodies.MODEL,
    text="onetwo",
    finish_reason="stop",
    usage=Usage(prompt_tokens=11, completion_tokens=5, total_tokens=16, cached_tokens=3),
)


class Driver(Protocol):
    def complete(self, chat: ChatRequest = CHAT) -> ChatReply: ...

    def stream(self, chat: ChatRequest = CHAT) -> Events: ...


class SyncDriver:
    def __init__(self, llm: LLM) -> None:
        self._llm = llm

    def complete(self, chat: ChatRequest = CHAT) -> ChatReply:
        return self._llm.complete(chat, request_id=REQUEST_ID)

    def stream(self, chat: ChatRequest = CHAT) -> Events:
        return self._llm.stream(chat, request_id=REQUEST_ID)


class AsyncDriver:
    """An async adapter, stepped by its own loop."""

    def __init__(self, llm: AsyncLLM, runner: asyncio.Runner) -> None:
        self._llm = llm
        self._run = runner.run

    def complete(self, chat: ChatRequest = CHAT) -> ChatReply:
        return self._run(self._llm.complete(chat, request_id=REQUEST_ID))

    def stream(self, chat: ChatRequest = CHAT) -> Events:
        events = self._llm.stream(chat, request_id=REQUEST_ID)

        async def step() -> Delta | Done | None:
            return await anext(events, None)

        try:
            while (event := self._run(step())) is not None:
                yield event
        finally:
            self._run(events.aclose())


def ask(driver: Driver, mode: str, chat: ChatRequest = CHAT) -> ChatReply:
    return driver.complete(chat) if mode == "complete" else fold(list(driver.stream(chat)))


def good(mode: str) -> Reply:
    return GOOD if mode == "stream" else answer(bodies.completion("onetwo"))


Opener = Callable[[Settings], AbstractContextManager[Driver]]


def settings(url: str, **more: object) -> Settings:
    """Settings for a provider at this URL, with no retries unless asked for."""
    given = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY, "upstream_retries": 0}
    return Settings.model_validate(given | more)


@contextmanager
def sync_openai(given: Settings) -> Iterator[Driver]:
    llm = OpenAILLM(given)
    try:
        yield SyncDriver(llm)
    finally:
        llm.close()


@contextmanager
def async_openai(given: Settings) -> Iterator[Driver]:
    llm = AsyncOpenAILLM(given)
    with asyncio.Runner() as runner:
        try:
            yield AsyncDriver(llm, runner)
        finally:
            runner.run(llm.close())
