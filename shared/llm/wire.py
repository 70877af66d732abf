"""The bytes of an OpenAI-compatible answer, decoded: pure, typed, no socket.

Sources: the provider's chat completion and chat completion chunk objects; server-sent events as in the
WHATWG HTML standard, section 9.2.6 (lines end in LF or CRLF; no provider ends them in a lone CR).
"""

import contextlib
import json
from typing import Any, ClassVar

import msgspec

from shared.errors import (
    FirstTokenTimeout,
    TokenTimeout,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from shared.schemas import ChatReply, ChatRequest, Delta, Done, Usage

MAX_EVENT_BYTES = 1024 * 1024
DONE = b"[DONE]"


class _Content(msgspec.Struct):
    content: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Content | None = None
    message: _Content | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    """A chunk of a stream and a whole completion alike: they differ in delta and message only."""

    id: str = ""
    model: str = ""
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    torn: ClassVar[bool] = False


class _Torn(_Answer):
    """An answer whose contents may hold halves of surrogate pairs; its other strings do not."""

    torn: ClassVar[bool] = True


# msgspec.DecodeError, json's error and UnicodeDecodeError are ValueErrors; nesting has no bound but this one.
_MALFORMED = (ValueError, RecursionError)
_decoder = msgspec.json.Decoder(_Answer)


def payload(request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:
    """The body of the provider's request; fields that the client left out are left out here too."""
    body: dict[str, Any] = {"model": request.model or model, "messages": request.conversation()}
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def reply(body: bytes) -> ChatReply:
    """A whole completion; raises UpstreamProtocolError for anything else, an error object included."""
    answer = _decode(body)
    choice = next((c for c in answer.choices or () if c.index == 0), None)
    if choice is None or choice.message is None or choice.finish_reason is None:
        raise UpstreamProtocolError
    return ChatReply(
        id=answer.id,
        model=answer.model,
        text=_whole(choice.message.content or ""),
        finish_reason=choice.finish_reason,
        usage=_usage(answer.usage),
    )


class StreamDecoder:
    """Turns reads of the socket into events; `feed` and `flush`, whatever way the bytes are split."""

    def __init__(self) -> None:
        self._tail = b""
        self._half = ""
        self._begun = False
        self._id = ""
        self._model = ""
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._end: Done | UpstreamError = UpstreamProtocolError()
        self.ended = False

    def feed(self, data: bytes) -> Delta | None:
        """The tokens that this read completed, if any; `ended` is set once nothing can follow them."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        pieces: list[str] = []
        try:
            for line in lines:
                if line.startswith(b"data:") and not self.ended:
                    self._event(line[5:].strip(), pieces)
            if len(self._tail) > MAX_EVENT_BYTES:
                raise UpstreamProtocolError
        except UpstreamError as error:
            # Said by flush: the tokens before it are the reader's all the same.
            self._end, self.ended = error, True
        if not pieces:
            return None
        self._begun = True
        return Delta(tuple(pieces), self._id, self._model)

    def late(self) -> UpstreamTimeout:
        """The error of a provider that sends nothing now."""
        return TokenTimeout() if self._begun else FirstTokenTimeout()

    def flush(self) -> Done:
        """The end of the stream, or of its body.

        Raises UpstreamProtocolError for what is not a chunk and for a stream that did not say that it was
        done, UpstreamError for an error object.
        """
        if isinstance(self._end, UpstreamError):
            raise self._end
        return self._end

    def _event(self, data: bytes, pieces: list[str]) -> None:
        if data == DONE:
            if self._half:
                pieces.append(_whole(self._half))
            self._end, self.ended = self._finish(), True
            return
        chunk = _decode(data)
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        for choice in chunk.choices or ():
            if choice.index != 0:
                continue
            if choice.delta is not None and (text := choice.delta.content):
                if chunk.torn or self._half:
                    text = self._joined(text)
                if text:
                    pieces.append(text)
            self._finish_reason = choice.finish_reason or self._finish_reason
        if not self._id:
            self._id, self._model = chunk.id, chunk.model

    def _joined(self, text: str) -> str:
        """Joins a surrogate pair that was cut between two chunks; holds back the half at the end."""
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        return _whole(text.removesuffix(self._half))

    def _finish(self) -> Done:
        if self._finish_reason is None:
            raise UpstreamProtocolError
        return Done(
            id=self._id,
            model=self._model,
            finish_reason=self._finish_reason,
            usage=self._usage,
        )


def _decode(data: bytes) -> _Answer:
    answer: _Answer | None
    try:
        answer = _decoder.decode(data)
    except _MALFORMED:
        answer = _torn(data)
    if answer is None:
        raise UpstreamProtocolError
    if answer.error:
        raise _stated(answer.error)
    return answer


def _torn(data: bytes) -> _Torn | None:
    """The slow path for an escaped surrogate that lacks its other half, which msgspec refuses."""
    if b"\\ud" not in data.lower():
        return None
    with contextlib.suppress(*_MALFORMED):
        value = json.loads(data.decode(), object_pairs_hook=_mended)
        return msgspec.convert(value, _Torn)
    return None


def _mended(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: _whole(value) if isinstance(value, str) and name != "content" else value
        for name, value in pairs
    }


def _whole(text: str) -> str:
    """The text with surrogate pairs joined and halves of them replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _stated(error: object) -> UpstreamError:
    """The error that an error object stands for; its own words stay with us."""
    return UpstreamRateLimited() if "rate_limit" in str(error) else UpstreamError()


def _usage(counted: _Usage | None) -> Usage | None:
    if counted is None:
        return None
    details = counted.prompt_tokens_details
    return Usage(
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        total_tokens=counted.total_tokens,
        cached_tokens=(details.cached_tokens or 0) if details else 0,
    )
