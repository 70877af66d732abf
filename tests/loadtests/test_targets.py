"""Descriptions of endpoints: the two examples, what they ask, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadtests.targets import OUR_STACKS, Targets, TargetsError, load_targets, request_for
from shared.schemas import ChatRequest, Message

OPENAI = OUR_STACKS.with_name("openai_compatible.toml")
KEY = {"OPENAI_API_KEY": "sk-secret"}
SMALL = """
[legacy]
path = "/ask"
body = {{ q = "{{prompt}}" }}
{legacy}
[legacy.answer]
text = "a"
[streaming]
path = "/ask"
{streaming}
[streaming.events]
text = "t"
done_data = "[DONE]"
{events}
"""


def written(path: Path, legacy: str = "", streaming: str = "", events: str = "") -> Path:
    path = path / "targets.toml"
    path.write_text(SMALL.format(legacy=legacy, streaming=streaming, events=events))
    return path


def body_of(targets: Targets, chat: ChatRequest) -> Any:
    return json.loads(request_for(targets.legacy, chat, "r-1").body)


def test_our_stacks_are_asked_with_the_request_as_it_is() -> None:
    targets = load_targets()
    chat = ChatRequest(prompt="hi", max_tokens=5)
    legacy = request_for(targets.legacy, chat, "r-1")
    streaming = request_for(targets.streaming, chat, "r-1")
    assert targets.same_contract
    assert (legacy.method, legacy.target) == ("POST", "/chat")
    assert json.loads(legacy.body) == {"prompt": "hi", "max_tokens": 5}
    assert legacy.headers == {"X-Request-ID": "r-1", "Content-Type": "application/json"}
    assert streaming.headers == {**legacy.headers, "Accept": "text/event-stream"}
    assert streaming.body == legacy.body


def test_an_openai_compatible_server_is_asked_in_its_own_form() -> None:
    targets = load_targets(OPENAI, KEY)
    chat = ChatRequest(prompt="hi", model="m", temperature=0.5)
    legacy = request_for(targets.legacy, chat, "r-1")
    streaming = request_for(targets.streaming, chat, "r-1")
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}
    assert legacy.target == "/v1/chat/completions"
    assert legacy.headers["Authorization"] == "Bearer sk-secret"
    assert json.loads(legacy.body) == asked
    assert json.loads(streaming.body) == {
        **asked,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_placeholders_inside_text_and_in_a_query(tmp_path: Path) -> None:
    path = written(
        tmp_path, streaming='method = "GET"\nquery = { q = "Q: {prompt}", n = "{max_tokens}" }'
    )
    streaming = load_targets(path, {}).streaming
    asked = request_for(streaming, ChatRequest(prompt="a&b ü", max_tokens=3), "r-1")
    assert (asked.method, asked.target, asked.body) == ("GET", "/ask?q=Q%3A+a%26b+%C3%BC&n=3", b"")
    short = request_for(streaming, ChatRequest(prompt="x"), "r-1")
    assert short.target == "/ask?q=Q%3A+x"


def test_a_conversation_gives_its_last_question_where_a_prompt_is_wanted(tmp_path: Path) -> None:
    turns = [("user", "one"), ("assistant", "two"), ("user", "three")]
    messages = tuple(Message.model_validate({"role": r, "content": c}) for r, c in turns)
    targets = load_targets(written(tmp_path), {})
    assert body_of(targets, ChatRequest(messages=messages)) == {"q": "three"}


def test_a_default_stands_in_for_what_a_request_does_not_say(tmp_path: Path) -> None:
    path = written(tmp_path, streaming='body = { m = "{model|gpt}", n = "{max_tokens|500}" }')
    streaming = load_targets(path, {}).streaming
    bare, full = ChatRequest(prompt="x"), ChatRequest(prompt="x", model="m", max_tokens=1)
    assert json.loads(request_for(streaming, bare, "r-1").body) == {"m": "gpt", "n": 500}
    assert json.loads(request_for(streaming, full, "r-1").body) == {"m": "m", "n": 1}


def test_a_content_type_of_ones_own_stands(tmp_path: Path) -> None:
    path = written(tmp_path, legacy='headers = { content-type = "application/x-own" }')
    asked = request_for(load_targets(path, {}).legacy, ChatRequest(prompt="x"), "r-1")
    assert asked.headers == {"X-Request-ID": "r-1", "content-type": "application/x-own"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"legacy": 'metod = "GET"'}, "unknown field `metod`"),
        ({"legacy": 'method = "BREW"'}, "Invalid enum value 'BREW'"),
        ({"legacy": "headers = { A = 1 }"}, "Expected `str`, got `int`"),
        ({"legacy": 'headers = { "a b" = "c" }'}, "a header's name"),
        ({"legacy": 'headers = { A = "${NOT_SET}" }'}, "legacy.headers.A: the environment variable NOT_SET"),
        ({"legacy": 'headers = { A = "${EVIL}" }'}, "legacy.headers.A: a header value must be printable"),
        ({"legacy": 'headers = { A = "{prompt}" }'}, "legacy.headers.A: a header takes ${NAME}"),
        ({"streaming": 'body = { x = ["{promt}"] }'}, "streaming.body: unknown placeholder {promt}"),
        ({"streaming": 'query = { x = "{y}" }'}, "streaming.query: unknown placeholder {y}"),
        ({"streaming": 'method = "GET"\nbody = "{prompt}"'}, "a GET has no body"),
        ({"events": "text_event = 3"}, "Expected `str | null`, got `int`"),
        ({"events": "= 3"}, "Invalid statement"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_one_clear_line(
    tmp_path: Path, entries: dict[str, str], message: str
) -> None:
    path = written(tmp_path, **entries)
    with pytest.raises(TargetsError) as raised:
        load_targets(path, {"EVIL": "sk-secret\r\nX: y"})
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "sk-secret" not in str(raised.value)


def test_a_stream_without_an_end_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace('done_data = "[DONE]"', ""))
    with pytest.raises(TargetsError, match="done_event or done_data"):
        load_targets(path, {})


def test_a_missing_side_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    with pytest.raises(TargetsError, match="No such file"):
        load_targets(path, {})
    path.write_text("same_contract = true")
    with pytest.raises(TargetsError, match="missing required field `legacy`"):
        load_targets(path, {})


def test_the_key_is_asked_for_by_name() -> None:
    with pytest.raises(TargetsError, match="OPENAI_API_KEY is not set"):
        load_targets(OPENAI, {})
