"""An adapter without a provider: deterministic text, with delays and faults, in this process."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass

from shared.errors import UpstreamError
from shared.schemas import ChatReply, ChatRequest, Delta, Done, Usage, fold

MODEL = "scripted"
WORDS = ("a", "stream", "is", "read", "while", "it", "is", "written", "—", "日本語", "🙂", "\n")


@dataclass(frozen=True, slots=True)
class Script:
    """How an answer goes: tokens, seconds before the first and between two, and the fault after some."""

    tokens: int = 48
    first_token_s: float = 0.2
    gap_s: float = 0.02
    fault: UpstreamError | None = None
    fault_after: int = 0

    def delay_s(self, position: int) -> float:
        return self.gap_s if position else self.first_token_s


INSTANT = Script(first_token_s=0.0, gap_s=0.0)


class ScriptedLLM:
    """The sync adapter."""

    def __init__(self, script: Script = INSTANT) -> None:
        self._script = script

    def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply:
        return fold(self.stream(request, request_id=request_id))

    def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> Generator[Delta | Done, None, None]:
        for position, event in enumerate(answer(request, self._script, request_id)):
            time.sleep(self._script.delay_s(position))
            yield perform(self._script, position, event)

    def close(self) -> None:
        """Nothing is held."""


class AsyncScriptedLLM:
    """The async adapter."""

    def __init__(self, script: Script = INSTANT) -> None:
        self._script = script

    async def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply:
        return fold([event async for event in self.stream(request, request_id=request_id)])

    async def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> AsyncGenerator[Delta | Done, None]:
        for position, event in enumerate(answer(request, self._script, request_id)):
            await asyncio.sleep(self._script.delay_s(position))
            yield perform(self._script, position, event)

    async def close(self) -> None:
        """Nothing is held."""


def answer(request: ChatRequest, script: Script, request_id: str) -> list[Delta | Done]:
    """The events of an answer, seeded by the conversation: the same question has the same answer."""
    conversation = request.conversation()
    chance = random.Random(str(conversation))
    length = min(script.tokens, request.max_tokens or script.tokens)
    pieces = [f"{chance.choice(WORDS)} " for _ in range(length)]
    prompt_tokens = sum(len(message["content"].split()) for message in conversation)
    name, model = f"scripted-{request_id}", request.model or MODEL
    done = Done(
        id=name,
        model=model,
        finish_reason="stop" if length == script.tokens else "length",
        usage=Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=length,
            total_tokens=prompt_tokens + length,
        ),
    )
    return [*(Delta((piece,), name, model) for piece in pieces), done]


def perform(script: Script, position: int, event: Delta | Done) -> Delta | Done:
    """The event at a position; raises the script's fault when its turn has come."""
    if script.fault is not None and position >= script.fault_after:
        raise script.fault
    return event
