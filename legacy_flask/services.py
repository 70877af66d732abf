"""What the app holds while it runs: opened once a worker, closed with it."""

from dataclasses import dataclass
from typing import cast

from flask import current_app

from shared.auth import Caller, KeyRing
from shared.llm.openai import OpenAILLM
from shared.llm.port import LLM
from shared.llm.scripted import Script, ScriptedLLM
from shared.ratelimit import Limiter
from shared.record import Kind
from shared.schemas import ChatRequest
from shared.settings import Settings
from shared.slots import Slots, affordable
from shared.streamlog import Entry, StreamLog


# region: services
@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    llm: LLM
    keys: KeyRing
    slots: Slots
    limiter: Limiter
    log: StreamLog

    def begin(self, chat: ChatRequest, who: Caller, request_id: str, kind: Kind) -> Entry:
        """The record of an answer that begins."""
        model = chat.model or self.settings.model
        return self.log.begin(request_id=request_id, user=who.user, model=model, kind=kind)

    def close(self) -> None:
        self.llm.close()
        self.limiter.close()
        self.log.close()


# region: open-services
def open_services(settings: Settings) -> Services:
    """The provider's adapter, or the scripted one where no provider is configured."""
    llm = OpenAILLM(settings) if settings.has_upstream else ScriptedLLM(Script())
    return Services(
        settings,
        llm,
        KeyRing(settings.api_keys),
        Slots(affordable(settings.upstream_connections)),
        Limiter(settings),
        StreamLog("legacy_flask", settings.log_path, settings.log_sqlite),
    )


def services() -> Services:
    """The services of the app that handles the current request."""
    return cast(Services, current_app.extensions["services"])
