"""What the app holds while it runs: opened once a worker, closed with it."""

import asyncio
from dataclasses import dataclass
from typing import cast

from starlette.requests import HTTPConnection

from shared.auth import Caller, KeyRing
from shared.llm.openai import AsyncOpenAILLM
from shared.llm.port import AsyncLLM
from shared.llm.scripted import AsyncScriptedLLM, Script
from shared.ratelimit import AsyncLimiter
from shared.record import Kind
from shared.schemas import ChatRequest
from shared.settings import Settings
from shared.slots import Slots, affordable
from shared.streamlog import Entry, StreamLog

from .drain import Drain


# region: services
@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    llm: AsyncLLM
    keys: KeyRing
    slots: Slots
    limiter: AsyncLimiter
    log: StreamLog
    drain: Drain

    def begin(self, chat: ChatRequest, who: Caller, request_id: str, kind: Kind) -> Entry:
        """The record of an answer that begins."""
        model = chat.model or self.settings.model
        return self.log.begin(request_id=request_id, user=who.user, model=model, kind=kind)

    async def close(self) -> None:
        await self.llm.close()
        await self.limiter.close()
        await asyncio.to_thread(self.log.close)


# region: open-services
def open_services(settings: Settings) -> Services:
    """The provider's adapter, or the scripted one where no provider is configured."""
    llm = AsyncOpenAILLM(settings) if settings.has_upstream else AsyncScriptedLLM(Script())
    return Services(
        settings,
        llm,
        KeyRing(settings.api_keys),
        Slots(affordable(settings.upstream_connections)),
        AsyncLimiter(settings),
        StreamLog("fastapi_app", settings.log_path, settings.log_sqlite),
        Drain(settings.drain_grace_s),
    )


def services(request: HTTPConnection) -> Services:
    """The services of the app that handles this request."""
    return cast(Services, request.app.state.services)
