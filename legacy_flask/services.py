"""What the app holds while it runs: opened once a worker, closed with it."""

from dataclasses import dataclass
from typing import cast

from flask import current_app

from shared.auth import KeyRing
from shared.llm.openai import OpenAILLM
from shared.llm.port import LLM
from shared.llm.scripted import Script, ScriptedLLM
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    llm: LLM
    keys: KeyRing

    def close(self) -> None:
        self.llm.close()


def open_services(settings: Settings) -> Services:
    """The provider's adapter, or the scripted one where no provider is configured."""
    llm = OpenAILLM(settings) if settings.has_upstream else ScriptedLLM(Script())
    return Services(settings, llm, KeyRing(settings.api_keys))


def services() -> Services:
    """The services of the app that handles the current request."""
    return cast(Services, current_app.extensions["services"])
