"""Templates of a request: JSON values and headers with placeholders, checked when they are read."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from shared.schemas import ChatRequest

_PLACEHOLDER = re.compile(r"\{([^{}|]*)(?:\|([^{}]*))?\}")
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")


class TemplateError(Exception):
    """A template cannot be used; says what in it and what is allowed."""


class _Nothing:
    """What a placeholder without a value renders to: its field is left out."""


NOTHING = _Nothing()
Values = Mapping[str, Any]

_READERS: dict[str, Callable[[ChatRequest], Any]] = {
    "request": lambda chat: chat.model_dump(mode="json", exclude_defaults=True),
    "prompt": lambda chat: chat.prompt if chat.prompt is not None else _last_of_user(chat),
    "messages": lambda chat: chat.conversation(),
    "model": lambda chat: chat.model,
    "max_tokens": lambda chat: chat.max_tokens,
    "temperature": lambda chat: chat.temperature,
}


def check(template: Any) -> None:
    """Raises TemplateError for a placeholder that does not exist, anywhere in a template."""
    for text in _texts(template):
        for name, _default in _PLACEHOLDER.findall(text):
            if name not in _READERS:
                allowed = ", ".join(f"{{{known}}}" for known in _READERS)
                raise TemplateError(f"unknown placeholder {{{name}}}; there are {allowed}")


def render(template: Any, chat: ChatRequest) -> Any:
    """The JSON value of a template for one request; fields without a value are left out.

    A string that is one placeholder becomes the value itself, of whatever type; a placeholder inside a longer
    string becomes text. `{model|gpt-4o-mini}` has a default for requests without a value.
    """
    if isinstance(template, str):
        return _rendered_text(template, chat)
    if isinstance(template, dict):
        rendered = {key: render(value, chat) for key, value in template.items()}
        return {key: value for key, value in rendered.items() if value is not NOTHING}
    if isinstance(template, list):
        items = (render(item, chat) for item in template)
        return [item for item in items if item is not NOTHING]
    return template


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """Replaces each ${NAME} by the environment's value; raises TemplateError, which never shows a value."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if not environment.get(name):
            raise TemplateError(f"the environment variable {name} is not set")
        return environment[name]

    if _PLACEHOLDER.search(_VARIABLE.sub("", text)):
        raise TemplateError("a header takes ${NAME} from the environment, and no {placeholder}")
    resolved = _VARIABLE.sub(value, text)
    if not (resolved.isascii() and resolved.isprintable()):
        raise TemplateError("a header value must be printable ASCII on one line")
    return resolved


def _rendered_text(template: str, chat: ChatRequest) -> Any:
    whole = _PLACEHOLDER.fullmatch(template)
    if whole:
        value = _value(whole, chat)
        return NOTHING if value is None else value
    return _PLACEHOLDER.sub(lambda found: _as_text(_value(found, chat)), template)


def _value(found: re.Match[str], chat: ChatRequest) -> Any:
    """The request's own value, or the default behind the bar: a JSON value, or else text."""
    value = _READERS[found[1]](chat)
    if value is not None or found[2] is None:
        return value
    try:
        return json.loads(found[2])
    except ValueError:
        return found[2]


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)


def _last_of_user(chat: ChatRequest) -> str:
    spoken = [message.content for message in chat.messages or () if message.role == "user"]
    return spoken[-1] if spoken else ""


def _texts(template: Any) -> list[str]:
    if isinstance(template, str):
        return [template]
    if isinstance(template, dict):
        return [text for value in template.values() for text in _texts(value)]
    if isinstance(template, list):
        return [text for item in template for text in _texts(item)]
    return []
