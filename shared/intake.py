"""From the bytes of an HTTP request to a ChatRequest, or to the error that both stacks answer."""

from collections import Counter
from urllib.parse import parse_qsl

from pydantic import ValidationError

from shared.errors import Detail, InvalidJson, InvalidRequest, UnsupportedMediaType
from shared.schemas import ChatRequest
from shared.settings import Settings

MAX_DETAILS = 20
MAX_FIELD_CHARS = 80


def chat_from_json(body: bytes, content_type: str | None, settings: Settings) -> ChatRequest:
    """Raises UnsupportedMediaType, InvalidJson or InvalidRequest."""
    if (content_type or "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        refused = _refusal(error)
    else:
        return _within(request, settings)
    raise refused


def chat_from_query(query: bytes, settings: Settings) -> ChatRequest:
    """The query string of `GET /chat`; raises InvalidRequest, for a doubled parameter too."""
    pairs = parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True)
    times = Counter(name for name, _ in pairs)
    if doubled := sorted(name for name in times if times[name] > 1):
        raise InvalidRequest(
            details=tuple(
                Detail(_short(name), "doubled", "given more than once")
                for name in doubled[:MAX_DETAILS]
            )
        )
    if "messages" in times:
        raise InvalidRequest(details=(Detail("messages", "body_only", "can only be sent by POST"),))
    try:
        request = ChatRequest.model_validate_strings(dict(pairs))
    except ValidationError as error:
        refused = _refusal(error)
    else:
        return _within(request, settings)
    raise refused


def _refusal(error: ValidationError) -> InvalidRequest | InvalidJson:
    items = error.errors(include_url=False, include_context=False, include_input=False)
    if items[0]["type"] == "json_invalid":
        return InvalidJson()
    return InvalidRequest(
        details=tuple(
            Detail(
                _short(".".join(map(str, item["loc"]))),
                item["type"],
                item["msg"].removeprefix("Value error, "),
            )
            for item in items[:MAX_DETAILS]
        )
    )


def _within(request: ChatRequest, settings: Settings) -> ChatRequest:
    messages = request.messages or ()
    chars = len(request.prompt or "") + sum(len(message.content) for message in messages)
    sizes = (
        (
            "prompt" if request.prompt else "messages",
            chars,
            settings.max_prompt_chars,
            "characters",
        ),
        ("messages", len(messages), settings.max_messages, "messages"),
        ("max_tokens", request.max_tokens or 0, settings.max_answer_tokens, "tokens"),
    )
    if over := [
        Detail(field, "too_large", f"at most {most} {unit}")
        for field, size, most, unit in sizes
        if size > most
    ]:
        raise InvalidRequest(details=tuple(over))
    return request


def _short(field: str) -> str:
    return field[:MAX_FIELD_CHARS]
