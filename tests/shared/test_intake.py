"""From the bytes of a request to a ChatRequest or an error: nothing else comes out, whatever goes in."""

import json
import time
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ClientError, InvalidJson, InvalidRequest, UnsupportedMediaType
from shared.intake import MAX_DETAILS, MAX_FIELD_CHARS, chat_from_json, chat_from_query
from shared.schemas import ChatRequest, Message
from shared.settings import Settings

SETTINGS = Settings.model_validate(
    {"max_prompt_chars": 50, "max_messages": 3, "max_answer_tokens": 99}
)
JSON = "application/json"
SECRET = "the-prompt-nobody-may-see"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(list(ChatRequest.model_fields)) | st.text(), inner)
    ),
    max_leaves=12,
)


def from_json(value: object) -> ChatRequest:
    return chat_from_json(json.dumps(value).encode(), JSON, SETTINGS)


def refused(value: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as raised:
        from_json(value)
    assert SECRET.encode() not in raised.value.body("r1")
    return [(detail.field, detail.message) for detail in raised.value.details]


@given(st.text(min_size=1, max_size=50))
def test_a_prompt_comes_through_both_ways(prompt: str) -> None:
    chat = ChatRequest(prompt=prompt)
    assert from_json({"prompt": prompt}) == chat
    assert chat_from_query(urlencode({"prompt": prompt}).encode(), SETTINGS) == chat
    assert chat_from_query(b"prompt=" + quote(prompt, safe="").encode(), SETTINGS) == chat


def test_every_field_comes_through() -> None:
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": "é"}]
    rest = {"model": "m", "max_tokens": 99, "temperature": 2, "stream": True}
    chat = from_json({"messages": messages, **rest})
    assert chat.messages == (Message(role="system", content=""), Message(role="user", content="é"))
    assert chat.model_dump(exclude={"messages", "prompt"}) == rest
    query = b"prompt=a&model=m&max_tokens=99&temperature=2&stream=true"
    assert chat_from_query(query, SETTINGS) == ChatRequest.model_validate({"prompt": "a", **rest})


def test_a_query_of_raw_utf_8_is_read_as_such() -> None:
    assert chat_from_query("prompt=é🙂".encode(), SETTINGS).prompt == "é🙂"


@pytest.mark.parametrize("kind", [JSON, "Application/JSON", "application/json; charset=utf-8"])
def test_json_is_taken(kind: str) -> None:
    assert chat_from_json(b'{"prompt":"a"}', kind, SETTINGS).prompt == "a"


@pytest.mark.parametrize("kind", [None, "", "text/json", "application/json-seq", "a/b; " + JSON])
def test_anything_else_is_refused(kind: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        chat_from_json(b'{"prompt":"a"}', kind, SETTINGS)


@pytest.mark.parametrize("body", [b"", b"{", b"prompt=a", b'{"prompt":"\xff"}', b"[" * 9999])
def test_what_is_no_json_says_so(body: bytes) -> None:
    with pytest.raises(InvalidJson) as raised:
        chat_from_json(body, JSON, SETTINGS)
    assert raised.value.__cause__ is raised.value.__context__ is None


def outcome(read: Callable[[], ChatRequest]) -> object:
    """What was read, or the error body, as JSON; other exceptions pass."""
    try:
        said: str | bytes = read().model_dump_json()
    except ClientError as error:
        said = error.body("r1")
    return json.loads(said)


@given(st.binary())
def test_no_bytes_cause_another_error(body: bytes) -> None:
    assert isinstance(outcome(lambda: chat_from_json(body, JSON, SETTINGS)), dict)
    assert isinstance(outcome(lambda: chat_from_query(body, SETTINGS)), dict)


@given(json_values)
def test_no_json_value_causes_another_error(value: object) -> None:
    assert isinstance(outcome(lambda: from_json(value)), dict)


def test_sizes_are_bounded() -> None:
    message = {"role": "user", "content": "x" * 20}
    assert from_json({"prompt": "x" * 50}).prompt == "x" * 50
    assert refused({"prompt": "x" * 51}) == [("prompt", "at most 50 characters")]
    assert refused({"prompt": "a", "max_tokens": 100}) == [("max_tokens", "at most 99 tokens")]
    assert refused({"messages": [message] * 4}) == [
        ("messages", "at most 50 characters"),
        ("messages", "at most 3 messages"),
    ]


def test_a_refusal_names_the_fields_and_never_their_values() -> None:
    fields = [field for field, _ in refused({"prompt": [SECRET], "model": {"a": SECRET}, "x": 1})]
    assert fields == ["prompt", "model", "x"]
    assert refused({"prompt": SECRET, "messages": []}) == [
        ("messages", "at least one message is needed")
    ]


def test_a_refusal_is_short_whatever_was_sent() -> None:
    unknown = {"f" * 500 + str(number): 1 for number in range(100)}
    fields = [field for field, _ in refused({"prompt": "a", **unknown})]
    assert fields == ["f" * MAX_FIELD_CHARS] * MAX_DETAILS


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (b"prompt=a&prompt=b", ["prompt"]),
        (b"prompt=a&x=1&model=&model=&x=", ["model", "x"]),
        (b"messages=a", ["messages"]),
        (b"prompt=" + SECRET.encode() + b"&y=1", ["y"]),
        (b"", [""]),
    ],
)
def test_a_query_is_refused_by_name(query: bytes, fields: list[str]) -> None:
    with pytest.raises(InvalidRequest) as raised:
        chat_from_query(query, SETTINGS)
    assert [detail.field for detail in raised.value.details] == fields
    assert SECRET.encode() not in raised.value.body("r1")


@pytest.mark.parametrize("names", [50_000, 25_000], ids=["once each", "twice each"])
def test_a_query_of_very_many_names_costs_little(names: int) -> None:
    query = b"&".join(b"a%d=" % (number % names) for number in range(50_000))
    started = time.process_time()
    with pytest.raises(InvalidRequest) as raised:
        chat_from_query(query, SETTINGS)
    assert time.process_time() - started < 2
    assert len(raised.value.details) == MAX_DETAILS
