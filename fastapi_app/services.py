"""What the app holds while it runs: opened once a worker, closed with it."""

from dataclasses import dataclass
from typing import cast

from fastapi import Request

from shared.auth import KeyRing
from shared.llm.openai import AsyncOpenAILLM
from shared.llm.port import AsyncLLM
from shared.llm.scripted import AsyncScriptedLLM, Script
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    llm: AsyncLLM
    keys: KeyRing

    async def close(self) -> None:
        await self.llm.close()


def open_services(settings: Settings) -> Services:
    """The provider's adapter, or the scripted one where no provider is configured."""
    llm = AsyncOpenAILLM(settings) if settings.has_upstream else AsyncScriptedLLM(Script())
    return Services(settings, llm, KeyRing(settings.api_keys))


def services(request: Request) -> Services:
    """The services of the app that handles this request."""
    return cast(Services, request.app.state.services)
