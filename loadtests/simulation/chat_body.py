"""The body of POST /v1/chat/completions, and what its model name asks of the simulator."""

import re
from dataclasses import dataclass

import msgspec

from loadtests.profiles import PROFILES, Profile
from loadtests.simulation.faults import FAULTS, NONE

LONGEST_PAUSE_S = 3600.0
_PAUSE = re.compile(r"pause-(\d{1,4}(?:\.\d{1,9})?)", re.ASCII)


class BadBody(ValueError):
    """The body is not a chat-completions request; the text says why."""


class UnknownModel(ValueError):
    """The model name begins with `sim` and names a profile, a fault or a pause that there is not."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How a request is answered: `pause_ns` of silence come after half of the tokens."""

    profile: Profile
    fault: str
    pause_ns: int = 0


class Part(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class ChatBody(msgspec.Struct, frozen=True):
    """The fields that the simulator looks at; all others are allowed and ignored."""

    model: str
    messages: list[Message]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None

    @property
    def prompt(self) -> str:
        """What the model is shown."""
        return "\n".join(f"{message.role}: {message.text}" for message in self.messages)

    @property
    def limit(self) -> int | None:
        """Most tokens of the answer."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


_decoder = msgspec.json.Decoder(ChatBody)


def parse_body(body: bytes) -> ChatBody:
    """Raises BadBody."""
    try:
        chat = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBody(f"Bad request body: {error}") from None
    if not chat.messages:
        raise BadBody("Bad request body: `messages` is empty")
    if chat.limit is not None and chat.limit < 1:
        raise BadBody("Bad request body: the token limit is below 1")
    return chat


def parse_model(model: str, given: Mode) -> Mode:
    """What `sim[:PROFILE][+FAULT]` or `sim[:PROFILE]+pause-SECONDS` asks for; the given mode for other names.

    Raises UnknownModel.
    """
    name, plus, ending = model.partition("+")
    base, colon, profile_name = name.partition(":")
    if base != "sim":
        return given
    pause_ns = _pause_ns(ending)
    if (colon and profile_name not in PROFILES) or (plus and not pause_ns and ending not in FAULTS):
        faults = ", ".join((*FAULTS, "pause-SECONDS"))
        known = f"profiles: {', '.join(PROFILES)}; faults: {faults}"
        raise UnknownModel(f"The model `{model}` does not exist; {known}")
    profile = PROFILES[profile_name] if colon else given.profile
    if pause_ns:
        return Mode(profile, NONE, pause_ns)
    return Mode(profile, ending if plus else given.fault)


def _pause_ns(ending: str) -> int:
    """0 for what is no pause, and for one of no length or of more than LONGEST_PAUSE_S."""
    found = _PAUSE.fullmatch(ending)
    seconds = float(found[1]) if found else 0.0
    return round(seconds * 1e9) if seconds <= LONGEST_PAUSE_S else 0
