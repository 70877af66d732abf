"""Valid requests: one reply, whichever stack and whichever way it was asked for."""

from urllib.parse import urlencode

import pytest

from tests.apps.exchange import JSON, Json, frames, post, send
from tests.conftest import Stack

PROMPTS = [
    "hello",
    "two\nlines\r\nand a third\u2028one",
    "日本語 العربية 🙂 e\u0301",
    'quotes " and \\ and data: [DONE]\n\n',
    " ",
]
REPLY = ["id", "model", "text", "finish_reason", "usage"]
USAGE = ["prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens"]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_is_answered(stack: Stack, prompt: str) -> None:
    answer = post(stack.url, {"prompt": prompt})
    reply = answer.json()
    assert answer.status == 200
    assert answer.headers.get_content_type() == "application/json"
    assert list(reply) == REPLY
    assert list(reply["usage"]) == USAGE
    assert reply["text"]
    assert reply["finish_reason"] == "stop"
    assert reply["usage"]["completion_tokens"] == 500


def test_messages_are_answered(stack: Stack) -> None:
    roles = ("system", "user", "assistant", "user")
    messages = [{"role": role, "content": f"{role} says é\n"} for role in roles]
    assert post(stack.url, {"messages": messages}).status == 200


def test_a_prompt_is_one_user_message(stack: Stack) -> None:
    headers = {"X-Request-ID": f"same-{stack.name}"}
    asked: list[Json] = [{"prompt": "hello"}, {"messages": [{"role": "user", "content": "hello"}]}]
    first, second = (post(stack.url, request, headers).json() for request in asked)
    assert first == second


@pytest.mark.parametrize("tokens", [1, 7, 499])
def test_max_tokens_cuts_the_answer(stack: Stack, tokens: int) -> None:
    reply = post(stack.url, {"prompt": "hello", "max_tokens": tokens}).json()
    assert reply["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == tokens


def test_every_field_is_taken(stack: Stack) -> None:
    request = {"prompt": "hi", "model": "sim", "max_tokens": 3, "temperature": 0, "stream": False}
    assert post(stack.url, request).json()["model"] == "sim"


@pytest.mark.parametrize(
    "content_type", ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8"]
)
def test_json_is_json_however_it_is_written(stack: Stack, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    assert send(stack.url, "POST", "/chat", b'{"prompt":"hi"}', headers).status == 200


def test_a_chunked_body_is_read(stack: Stack) -> None:
    parts = (b'{"pro', b'mpt":"h', b'i"}')
    assert send(stack.url, "POST", "/chat", parts, JSON).status == 200


@pytest.mark.parametrize("prompt", PROMPTS)
def test_both_stacks_give_the_same_answer(stacks: dict[str, Stack], prompt: str) -> None:
    headers = {"X-Request-ID": f"parity-{PROMPTS.index(prompt)}"}
    asked = {"prompt": prompt, "max_tokens": 50}
    replies = [post(stack.url, asked, headers).json() for stack in stacks.values()]
    query = urlencode(asked)
    batch = send(stacks["legacy_flask"].url, "GET", f"/chat?{query}", headers=headers).json()
    stream = send(stacks["fastapi_app"].url, "GET", f"/chat?{query}", headers=headers).body
    assert [*replies, batch] == [folded(stream)] * 3


@pytest.mark.parametrize("space", ["%20", "+"])
def test_a_query_is_decoded_alike(stacks: dict[str, Stack], space: str) -> None:
    path = f"/chat?prompt=a{space}b%26c%3Dd%E2%82%AC&max_tokens=9"
    headers = {"X-Request-ID": f"query-{ord(space[0])}"}
    expected = post(
        stacks["legacy_flask"].url, {"prompt": "a b&c=d€", "max_tokens": 9}, headers
    ).json()
    batch = send(stacks["legacy_flask"].url, "GET", path, headers=headers).json()
    stream = send(stacks["fastapi_app"].url, "GET", path, headers=headers).body
    assert batch == folded(stream) == expected


def test_the_batch_stack_answers_a_stream_request_whole(stacks: dict[str, Stack]) -> None:
    request = {"prompt": "hello", "stream": True}
    answer = post(stacks["legacy_flask"].url, request, {"Accept": "text/event-stream"})
    assert answer.status == 200
    assert list(answer.json()) == REPLY


def folded(body: bytes) -> Json:
    """The reply that a stream amounts to, read without the project's own decoder."""
    *deltas, (last, done) = frames(body)
    assert last == "done"
    assert {name for name, _ in deltas} == {"delta"}
    text = "".join(data["text"] for _, data in deltas)
    return {**done, "text": text}
