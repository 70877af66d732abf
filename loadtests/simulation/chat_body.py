"""The body of POST /v1/chat/completions, and what its model name asks of the simulator."""

import msgspec

from loadtests.profiles import PROFILES, Profile
from loadtests.simulation.faults import FAULTS


class BadBody(ValueError):
    """The body is not a chat-completions request; the text says why."""


class UnknownModel(ValueError):
    """The model name begins with `sim` and names a profile or a fault that there is not."""


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


def parse_model(model: str, profile: Profile, fault: str) -> tuple[Profile, str]:
    """Profile and fault of `sim[:PROFILE][+FAULT]`; the given ones for other names.

    Raises UnknownModel.
    """
    name, plus, fault_name = model.partition("+")
    base, colon, profile_name = name.partition(":")
    if base != "sim":
        return profile, fault
    if (colon and profile_name not in PROFILES) or (plus and fault_name not in FAULTS):
        known = f"profiles: {', '.join(PROFILES)}; faults: {', '.join(FAULTS)}"
        raise UnknownModel(f"The model `{model}` does not exist; {known}")
    return PROFILES[profile_name] if colon else profile, fault_name if plus else fault
