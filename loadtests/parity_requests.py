"""What parity asks: a few requests that must be answered alike, and a few that must be refused alike."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.corpus import generate
from loadtests.targets import Request
from shared.schemas import ChatRequest, Message

SHORT = 24
"""Tokens of most answers, so that parity is quick in front of a model that takes its time."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that both stacks must refuse with the same status and the same error."""

    name: str
    request: Request


def valid_requests() -> list[tuple[str, ChatRequest]]:
    """Named requests of many kinds; four of them let the model finish."""
    written = [
        ("a prompt", ChatRequest(prompt="Where is my order?")),
        ("a long prompt", ChatRequest(prompt="All that is known so far. " * 400)),
        ("one token", _short("Yes or no?", 1)),
        ("two tokens", _short("Yes or no?", 2)),
        ("five tokens", _short("Count to three.", 5)),
        ("more tokens than there are", _short("Say all of it.", 5000)),
        ("an emoji", _short("Why 👩‍💻🇦🇹 and not 🌙?")),
        ("many lines", _short("First\nsecond\r\nthird\n\n\tfourth\u2028fifth\n")),
        ("frames in the text", _short("data: {}\n\nevent: done\ndata: [DONE]\n\n")),
        ("quotes and backslashes", _short('C:\\temp\\"new" </script> &amp; \0 \x1f')),
        ("no Latin letter", _short("为什么?なぜ?почему?لماذا؟")),
        ("only spaces", _short("   ")),
        ("a temperature", ChatRequest(prompt="Surprise me.", temperature=1.5, max_tokens=SHORT)),
        ("a model", ChatRequest(prompt="Who are you?", model="gpt-4o", max_tokens=SHORT)),
        ("one message", _talk(("user", "Good morning!"))),
        ("a conversation", _talk(("system", "Be brief."), ("user", "Hi"), ("assistant", "Hm?"))),
        ("an empty message", _talk(("user", ""))),
    ]
    return written + [
        (f"number {index} of the corpus", chat.model_copy(update={"max_tokens": SHORT}))
        for index, chat in enumerate(generate(seed=7, count=6))
    ]


def refusals() -> list[Refusal]:
    """Requests of our own contract that are wrong, each in another way."""
    return [Refusal(name, request) for name, request in _wrong()]


def _wrong() -> Iterator[tuple[str, Request]]:
    message = {"role": "user", "content": "hi"}
    yield "half a JSON object", _post(b'{"prompt": "hi')
    yield "no body", _post(b"")
    yield "not UTF-8", _post(b'{"prompt": "\xff"}')
    yield "a list", _post_json([])
    yield "neither prompt nor messages", _post_json({})
    yield "both prompt and messages", _post_json({"prompt": "hi", "messages": [message]})
    yield "an unknown field", _post_json({"prompt": "hi", "promt": "hi"})
    yield "a number as prompt", _post_json({"prompt": 1})
    yield "an empty prompt", _post_json({"prompt": ""})
    yield "an unknown role", _post_json({"messages": [{**message, "role": "nobody"}]})
    yield "no token at all", _post_json({"prompt": "hi", "max_tokens": 0})
    yield "text as max_tokens", _post_json({"prompt": "hi", "max_tokens": "many"})
    yield "a temperature out of range", _post_json({"prompt": "hi", "temperature": 9})
    yield "plain text", _post(b'{"prompt": "hi"}', "text/plain")
    yield "no content type", _post(b'{"prompt": "hi"}', None)
    yield "no prompt in the query", Request("GET", "/chat", {}, b"")
    yield "an unknown parameter", Request("GET", "/chat?prompt=hi&promt=hi", {}, b"")
    yield "a wrong number in the query", Request("GET", "/chat?prompt=hi&max_tokens=x", {}, b"")
    yield "an unknown path", Request("GET", "/nothing", {}, b"")
    yield "a slash too many", Request("GET", "/chat/?prompt=hi", {}, b"")
    yield "PUT", Request("PUT", "/chat", {"Content-Type": "application/json"}, b"{}")
    yield "DELETE", Request("DELETE", "/chat", {}, b"")


def _short(prompt: str, max_tokens: int = SHORT) -> ChatRequest:
    return ChatRequest(prompt=prompt, max_tokens=max_tokens)


def _talk(*turns: tuple[str, str]) -> ChatRequest:
    messages = tuple(Message.model_validate({"role": r, "content": c}) for r, c in turns)
    return ChatRequest(messages=messages, max_tokens=SHORT)


def _post_json(value: object) -> Request:
    return _post(json.dumps(value).encode())


def _post(body: bytes, content_type: str | None = "application/json") -> Request:
    headers = {"Content-Type": content_type} if content_type else {}
    return Request("POST", "/chat", headers, body)
