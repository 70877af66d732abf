"""Bad input is refused by both stacks alike: the same status, the same body, a message that helps."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from tests.apps.exchange import JSON, Answer, post, send
from tests.conftest import MAX_BODY_BYTES, Stack

SECRET = "the-prompt-nobody-may-see"


@dataclass(frozen=True)
class Bad:
    """A request, and the error that both stacks owe for it."""

    name: str
    status: int
    code: str
    method: str = "POST"
    path: str = "/chat"
    body: bytes | tuple[bytes, ...] | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    fields: tuple[str, ...] = ()
    allow: str | None = None

    def sent_to(self, stack: Stack) -> Answer:
        body: bytes | Iterable[bytes] | None = self.body
        return send(stack.url, self.method, self.path, body, self.headers)


def _json(name: str, body: bytes) -> Bad:
    return Bad(name, 400, "invalid_json", body=body)


def _field(name: str, request: object, *fields: str) -> Bad:
    body = json.dumps(request).encode()
    return Bad(name, 422, "invalid_request", body=body, fields=fields)


def _large(name: str, *parts: bytes) -> Bad:
    body = parts if len(parts) > 1 else parts[0]
    return Bad(name, 413, "body_too_large", body=body)


def _type(name: str, headers: Mapping[str, str]) -> Bad:
    return Bad(name, 415, "unsupported_media_type", body=b'{"prompt":"hi"}', headers=headers)


def _query(name: str, query: str, *fields: str) -> Bad:
    path = f"/chat{query}"
    return Bad(name, 422, "invalid_request", method="GET", path=path, headers={}, fields=fields)


def _path(name: str, method: str, path: str) -> Bad:
    return Bad(name, 404, "not_found", method=method, path=path, headers={})


def _method(method: str, path: str, allow: str) -> Bad:
    name = f"{method} {path}"
    return Bad(name, 405, "method_not_allowed", method, path, headers={}, allow=allow)


HUGE = b'{"prompt":"' + b"a" * MAX_BODY_BYTES + b'"}'
MESSAGE = {"role": "user", "content": SECRET}
CASES = [
    _json("no body", b""),
    _json("half an object", b'{"prompt": "hi'),
    _json("no JSON at all", b"prompt=hi"),
    _json("a comma too many", b'{"prompt": "hi",}'),
    _json("not UTF-8", b'{"prompt": "\xff"}'),
    _json("a lone surrogate", b'{"prompt": "\\ud800"}'),
    _json("deep nesting", b"[" * 10_000),
    _field("a list", [], ""),
    _field("null", None, ""),
    _field("neither prompt nor messages", {}, ""),
    _field("both prompt and messages", {"prompt": SECRET, "messages": [MESSAGE]}, ""),
    _field("unknown field", {"prompt": SECRET, "promt": 1}, "promt"),
    _field("unknown field in a message", {"messages": [{**MESSAGE, "x": 1}]}, "messages.0.x"),
    _field("prompt is a number", {"prompt": 1}, "prompt"),
    _field("prompt is a list", {"prompt": [SECRET]}, "prompt"),
    _field("prompt is empty", {"prompt": ""}, "prompt"),
    _field("no messages", {"messages": []}, "messages"),
    _field("messages is text", {"messages": SECRET}, "messages"),
    _field("unknown role", {"messages": [{"role": "me", "content": SECRET}]}, "messages.0.role"),
    _field("no content", {"messages": [{"role": "user"}]}, "messages.0.content"),
    _field("model is a number", {"prompt": SECRET, "model": 4}, "model"),
    _field("max_tokens is text", {"prompt": SECRET, "max_tokens": "many"}, "max_tokens"),
    _field("max_tokens is half", {"prompt": SECRET, "max_tokens": 1.5}, "max_tokens"),
    _field("max_tokens is zero", {"prompt": SECRET, "max_tokens": 0}, "max_tokens"),
    _field("max_tokens is vast", {"prompt": SECRET, "max_tokens": 10**9}, "max_tokens"),
    _field("temperature is text", {"prompt": SECRET, "temperature": "hot"}, "temperature"),
    _field("temperature is high", {"prompt": SECRET, "temperature": 2.1}, "temperature"),
    _field("temperature is NaN", {"prompt": SECRET, "temperature": float("nan")}, "temperature"),
    _field("stream is text", {"prompt": SECRET, "stream": "please"}, "stream"),
    _field("two wrong fields", {"prompt": 1, "model": 2, "stream": False}, "prompt", "model"),
    _large("one byte too many", HUGE[: MAX_BODY_BYTES - 1] + b'"}'),
    _large("much too large", HUGE * 40),
    _large("too large, in chunks", HUGE[:MAX_BODY_BYTES], HUGE[MAX_BODY_BYTES:]),
    _large("much too large, in chunks", *[HUGE] * 40),
    _type("no content type", {}),
    _type("plain text", {"Content-Type": "text/plain"}),
    _type("a form", {"Content-Type": "application/x-www-form-urlencoded"}),
    _type("multipart", {"Content-Type": "multipart/form-data; boundary=x"}),
    _type("almost JSON", {"Content-Type": "application/jsonp"}),
    _query("no query", "", ""),
    _query("no prompt", "?model=sim", ""),
    _query("empty prompt", "?prompt=", "prompt"),
    _query("unknown parameter", f"?prompt={SECRET}&promt=1", "promt"),
    _query("doubled parameter", f"?prompt={SECRET}&prompt=again", "prompt"),
    _query("messages in a query", f"?messages={SECRET}", "messages"),
    _query("wrong number", f"?prompt={SECRET}&max_tokens=many", "max_tokens"),
    _query("number out of range", f"?prompt={SECRET}&temperature=3", "temperature"),
    _path("unknown path", "GET", "/nothing"),
    _path("unknown path by POST", "POST", "/nothing"),
    _path("a page of the root", "GET", "/index.html"),
    _path("slash at the end", "GET", f"/chat/?prompt={SECRET}"),
    _path("static files", "GET", "/static/app.js"),
    _path("climbing", "GET", "/static/../../etc/passwd"),
    _method("PUT", "/chat", "GET, POST"),
    _method("PATCH", "/chat", "GET, POST"),
    _method("DELETE", "/chat", "GET, POST"),
    _method("OPTIONS", "/chat", "GET, POST"),
    _method("HEAD", f"/chat?prompt={SECRET}", "GET, POST"),
    _method("POST", "/healthz", "GET"),
    _method("DELETE", "/readyz", "GET"),
    _method("OPTIONS", "/healthz", "GET"),
]


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_both_stacks_refuse_alike(stacks: dict[str, Stack], bad: Bad) -> None:
    answers = {name: bad.sent_to(stack) for name, stack in stacks.items()}
    legacy, streaming = answers["legacy_flask"], answers["fastapi_app"]
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(
        answers, bad.status
    )
    assert [answer.headers["Allow"] for answer in answers.values()] == [bad.allow] * 2
    if bad.method == "HEAD":
        assert legacy.body == streaming.body == b""
        return
    assert legacy.code == bad.code
    assert legacy.but_for_the_id() == streaming.but_for_the_id()


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_the_error_body_has_its_shape(stack: Stack, bad: Bad) -> None:
    if bad.method == "HEAD":
        bad = Bad("its GET twin", 404, "not_found", "GET", "/nothing", headers={})
    answer = bad.sent_to(stack)
    error = answer.json().pop("error")
    assert answer.headers.get_content_type() == "application/json"
    assert list(answer.json()) == ["error"]
    assert list(error) == ["code", "message", "request_id", "details"]
    assert error["request_id"] == answer.request_id
    assert error["message"].endswith(".")
    assert [detail["field"] for detail in error["details"]] == list(bad.fields)
    assert all(list(detail) == ["field", "code", "message"] for detail in error["details"])
    assert SECRET not in answer.body.decode()


def test_a_body_of_exactly_the_limit_is_read(stack: Stack) -> None:
    body = b'{"prompt":"' + b"a" * (MAX_BODY_BYTES - 13) + b'"}'
    assert len(body) == MAX_BODY_BYTES
    assert send(stack.url, "POST", "/chat", body, JSON).status == 200


def test_a_refused_body_leaves_the_service_well(stack: Stack) -> None:
    assert send(stack.url, "POST", "/chat", HUGE * 40, JSON).status == 413
    assert post(stack.url, {"prompt": "hello"}).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_take_get_and_head(stack: Stack, path: str) -> None:
    answer, head = (send(stack.url, method, path) for method in ("GET", "HEAD"))
    assert (answer.status, head.status) == (200, 200)
    assert set(answer.json()) == {"status"}
    assert head.body == b""
    assert answer.request_id != head.request_id
