"""What goes in and what comes out, for both stacks: the request, the reply, and the events of a stream."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Frozen(BaseModel):
    """Immutable, and refuses fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# region: request
class Message(Frozen):
    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(Frozen):
    """Exactly one of `prompt` and `messages`; the rest is optional."""

    prompt: Annotated[str, Field(min_length=1)] | None = None
    messages: tuple[Message, ...] | None = None
    model: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    stream: bool = False

    @field_validator("messages")
    @classmethod
    def _at_least_one(cls, messages: tuple[Message, ...] | None) -> tuple[Message, ...] | None:
        # min_length would complain a second time about messages of which every one is refused.
        if messages == ():
            raise ValueError("at least one message is needed")
        return messages

    @model_validator(mode="after")
    def _one_of_prompt_and_messages(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give exactly one of prompt and messages")
        return self

    def conversation(self) -> list[dict[str, Any]]:
        """The messages in the form that providers take; a prompt is one user message."""
        if self.messages is None:
            return [{"role": "user", "content": self.prompt}]
        return [message.model_dump() for message in self.messages]


# region: reply
class Usage(Frozen):
    """Tokens as the provider counted them; `cached_tokens` is the part of the prompt it had cached."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = 0


class ChatReply(Frozen):
    """The whole answer; `usage` is null when the provider does not count."""

    id: str
    model: str
    text: str
    finish_reason: str
    usage: Usage | None = None

    @property
    def tokens(self) -> int:
        """Of the answer, as the provider counted them; 0 when it does not count."""
        return self.usage.completion_tokens if self.usage else 0


# region: events
@dataclass(frozen=True, slots=True)
class Delta:
    """What one read of the upstream brought: its tokens, kept apart so that a budget can cut between them.

    `id` and `model` are the answer's, for the end that the budget then writes.
    """

    event: ClassVar[str] = "delta"
    pieces: tuple[str, ...]
    id: str = field(default="", compare=False)
    model: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Done(Frozen):
    """The end of an answer that is complete."""

    event: ClassVar[str] = "done"
    id: str
    model: str
    finish_reason: str
    usage: Usage | None = None


class Failure(Frozen):
    """The end of an answer that broke off after the 200; `code` is one of `shared.errors`."""

    event: ClassVar[str] = "failure"
    code: str
    message: str
    request_id: str
    retryable: bool


Event = Delta | Done | Failure


# region: fold
class Unfinished(Exception):
    """A stream ended without `done`; `failure` is its last event where it had one."""

    def __init__(self, failure: Failure | None) -> None:
        self.failure = failure
        super().__init__(failure.code if failure else "no terminal event")


def fold(events: Iterable[Event]) -> ChatReply:
    """The reply that a stream amounts to (law 1); raises Unfinished when it has no `done`."""
    text: list[str] = []
    for event in events:
        if isinstance(event, Delta):
            text.extend(event.pieces)
        elif isinstance(event, Done):
            return ChatReply(text="".join(text), **dict(event))
        else:
            raise Unfinished(event)
    raise Unfinished(None)
