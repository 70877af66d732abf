"""What the answers of both examples say, whole and broken."""

import json
from typing import Any

import pytest

from loadtests.client.reading import Answer, BatchReading, StreamReading, StreamRules, refusal_code
from loadtests.json_path import JsonPath
from loadtests.targets import ErrorPaths, load_targets
from tests.loadtests.test_targets import KEY, OPENAI

OURS = load_targets(environment={})
THEIRS = load_targets(OPENAI, KEY)
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
DONE = {"id": "c-1", "model": "m", "finish_reason": "stop", "usage": USAGE}


def frame(data: object, name: str | None = None) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def chunk(content: str | None, reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": content} if content else {}, "finish_reason": reason}
    return frame({"id": "c-1", "model": "m", "choices": [choice], **more})


def streamed(rules: StreamRules, *reads: bytes) -> Answer:
    reading = StreamReading(rules)
    over = [reading.feed(read, 100 * number) for number, read in enumerate(reads, start=1)]
    assert not any(over[:-1])
    assert over[-1] == (reading.answer.error != "unfinished")
    return reading.answer


def test_our_own_stream() -> None:
    rules = StreamRules(OURS.streaming.events)
    first = frame({"text": "Hé"}, "delta")
    answer = streamed(
        rules, b": ping\n\n", first, frame({"text": "llo"}, "delta") * 2, frame(DONE, "done")
    )
    assert answer == Answer(["Hé", "llo", "llo"], "stop", USAGE, "c-1", "m", None, [200, 300, 300])
    assert answer.completion_tokens == 2


def test_an_openai_stream() -> None:
    rules = StreamRules(THEIRS.streaming.events)
    billed = frame({"id": "c-1", "model": "m", "choices": [], "usage": USAGE})
    answer = streamed(
        rules, chunk(None) + chunk("a"), chunk("b"), chunk(None, "stop") + billed, frame("[DONE]")
    )
    assert answer == Answer(["a", "b"], "stop", USAGE, "c-1", "m", None, [100, 200])


def test_both_batch_forms() -> None:
    ours = BatchReading(OURS.legacy.answer).read(json.dumps({**DONE, "text": "ab"}).encode())
    message = {"message": {"content": "ab"}, "finish_reason": "stop"}
    body = {"id": "c-1", "model": "m", "choices": [message], "usage": USAGE}
    theirs = BatchReading(THEIRS.legacy.answer).read(json.dumps(body).encode())
    assert ours == theirs == Answer(["ab"], "stop", USAGE, "c-1", "m")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "not_json"),
        (b"<html>", "not_json"),
        (b'{"text": "\xff"}', "not_json"),
        (b"[]", "no_text"),
        (b'{"text": null}', "no_text"),
    ],
)
def test_a_broken_batch_answer(body: bytes, error: str) -> None:
    assert BatchReading(OURS.legacy.answer).read(body).error == error


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (b"", "unfinished"),
        (frame({"code": "draining", "message": "x"}, "failure"), "failure:draining"),
        (frame("{", "delta"), "bad_event"),
        (frame("[DONE]"), "bad_event"),
    ],
)
def test_our_stream_without_a_good_end_keeps_its_text(end: bytes, error: str) -> None:
    answer = streamed(StreamRules(OURS.streaming.events), frame({"text": "a"}, "delta"), end)
    assert (answer.text, answer.error) == (["a"], error)


def test_an_error_object_inside_an_openai_stream() -> None:
    broken = frame({"error": {"message": "x", "code": "overloaded"}})
    rules = StreamRules(THEIRS.streaming.events)
    assert streamed(rules, chunk("a"), broken).error == "failure:overloaded"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error": {"code": "invalid_json"}}', "http_400:invalid_json"),
        (b'{"error": {"code": null}}', "http_400"),
        (b"<html>", "http_400"),
    ],
)
def test_the_code_of_a_refusal(body: bytes, code: str) -> None:
    assert refusal_code(400, body, ErrorPaths("error.code")) == code
    assert refusal_code(400, body, None) == "http_400"


@pytest.mark.parametrize(
    ("path", "found"),
    [("a.1.b", 2), ("a.0.b", None), ("a.2.b", None), ("a.b", None), ("a.-1.b", None), ("c", None)],
)
def test_paths(path: str, found: int | None) -> None:
    assert JsonPath(path).find({"a": [{}, {"b": 2}]}) == found
