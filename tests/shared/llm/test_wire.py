"""The decoder of provider bytes: any text, cut in any way, and everything that is not an answer."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import UpstreamError, UpstreamProtocolError, UpstreamRateLimited
from shared.llm.wire import MAX_EVENT_BYTES, StreamDecoder, payload, reply
from shared.schemas import ChatRequest, Delta, Done, Event, Usage, fold
from tests.shared.llm import bodies
from tests.shared.llm.bodies import END, ID, MODEL, Json, chunk, chunks, completion, data_lines

USAGE = Usage(prompt_tokens=11, completion_tokens=5, total_tokens=16, cached_tokens=3)
DONE = Done(id=ID, model=MODEL, finish_reason="stop", usage=USAGE)
NEWLINES = st.sampled_from([b"\n", b"\r\n"])
PLACES = st.lists(st.integers(0, 10_000), max_size=12)
BROKEN = pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>Log in</html>",
        completion("hi")[:-9],
        completion("hi", choices=[]),
        completion("hi", choices=None),
        completion("hi", usage={"prompt_tokens": "many"}),
        completion("\ud83d")[:-9],
        completion("\ud83d", usage={"prompt_tokens": "many"}),
        completion("hi").replace(b"hi", b"\xff"),
        completion("hi").replace(b"hi", b"\xed\xa0\xbd"),
        completion("hi").replace(b'"stop"', b"null"),
        completion("hi").replace(b'"message"', b'"delta"'),
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x":"\\ud83d","y":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: repr(body[:12]) + str(len(body)),
)


def decoded(*reads: bytes) -> list[Event]:
    decoder = StreamDecoder()
    deltas = [delta for read in reads if (delta := decoder.feed(read))]
    return [*deltas, decoder.flush()]


def tokens(events: list[Event]) -> list[str]:
    return [piece for event in events if isinstance(event, Delta) for piece in event.pieces]


def body(*lines: bytes) -> bytes:
    return b"".join(line + b"\n\n" for line in lines)


def data(value: Json) -> bytes:
    return b"data: " + json.dumps(value).encode()


def answer(*between: bytes) -> bytes:
    """An answer of the tokens "one" and "two" with these lines between them."""
    opening, one, two, *rest = data_lines(chunks(["one", "two"]))
    return body(opening, one, *between, two, *rest)


@given(bodies.contents, NEWLINES, PLACES)
@example(["\u2028\u2029\x85\x0b\x0c", "\r\n\r\n", "data: [DONE]\n\n", "\ufeff", "\0"], b"\r\n", [])
def test_tokens_arrive_as_they_were_sent_however_the_bytes_are_cut(
    sent: list[str], newline: bytes, places: list[int]
) -> None:
    events = decoded(*bodies.cut(bodies.stream(sent, newline), places))
    assert tokens(events) == [token for token in sent if token]
    assert events[-1] == DONE


@given(bodies.contents)
def test_tokens_arrive_byte_by_byte(sent: list[str]) -> None:
    stream = bodies.stream(sent)
    events = decoded(*(stream[at : at + 1] for at in range(len(stream))))
    assert tokens(events) == [token for token in sent if token]


@given(bodies.contents, PLACES)
def test_tokens_may_be_raw_utf_8(sent: list[str], places: list[int]) -> None:
    stream = body(*data_lines(chunks(sent), ascii_only=False))
    assert tokens(decoded(*bodies.cut(stream, places))) == [token for token in sent if token]


def test_one_read_is_one_delta() -> None:
    reads = [bodies.stream(["a", "b", "c"]), b""]
    assert decoded(*reads) == [Delta(("a", "b", "c")), DONE]


@given(bodies.broken_text, PLACES, PLACES, NEWLINES)
@example("\ud83d\ude00", [1], [], b"\n")
@example("a\ud83d", [], [], b"\n")
@example("\ud83d\ud83d\ude00\ude00", [1, 2, 3], [], b"\n")
def test_surrogate_pairs_are_joined_across_chunks_and_halves_replaced(
    sent: str, token_places: list[int], byte_places: list[int], newline: bytes
) -> None:
    stream = bodies.stream(bodies.cut(sent, token_places), newline)
    folded = fold(decoded(*bodies.cut(stream, byte_places)))
    assert folded.text == bodies.whole(sent)
    assert folded == reply(completion(sent))


def test_a_cut_pair_is_one_token_although_other_chunks_come_between() -> None:
    between = [chunk({"content": None}), chunk(), chunk({}), chunk({"content": ""})]
    values = [chunk({"content": "a\ud83d"}), *between, chunk({"content": "\ude00b"})]
    lines = data_lines([*values, chunk({}, "stop")])
    assert tokens(decoded(body(*lines))) == ["a", "\U0001f600b"]


def test_a_half_is_given_up_when_a_plain_token_follows() -> None:
    assert tokens(decoded(bodies.stream(["a\ud83d", "b", "c"]))) == ["a", "\ufffdb", "c"]


def test_a_half_at_the_end_is_not_lost() -> None:
    assert tokens(decoded(bodies.stream(["a", "\ud83d"]))) == ["a", "\ufffd"]


def test_halves_outside_the_text_are_replaced_too() -> None:
    broken = {"id": "i\ud83d", "model": "m\ude00", "system_fingerprint": "\ud83d"}
    folded = fold(decoded(body(data(chunk({"content": "x"}, "stop", **broken)), END)))
    assert (folded.id, folded.model) == ("i\ufffd", "m\ufffd")
    assert reply(completion("x", **broken)).model_dump_json()
    assert folded.model_dump_json()


def test_only_a_half_takes_the_slow_path() -> None:
    whole, halved = (body(data(chunk({"content": text}))) for text in ("\U0001f600", "\ud83d"))

    def cost_s(line: bytes) -> float:
        decoder = StreamDecoder()
        started = time.perf_counter()
        for _ in range(500):
            decoder.feed(line)
        return time.perf_counter() - started

    assert min(cost_s(whole) for _ in range(5)) < min(cost_s(halved) for _ in range(5)) / 2


@pytest.mark.parametrize("ignored", [
    b": a comment",
    b":",
    b"event: message",
    b"id: 7",
    b"retry: 100",
    b"data",
    b"database: x",
    b"",
    data(chunk()),
    data(chunk(choices=None)),
    data(chunk({})),
    data(chunk({"content": None})),
    data(chunk({"content": "", "tool_calls": []})),
    data(chunk({"reasoning_content": "hmm"})),
    data(chunk({"content": "not the first choice"}) | {"choices": [{"index": 1, "delta": {"content": "x"}}]}),
    data(chunk(error=None)),
])  # fmt: skip
def test_what_brings_no_token_is_passed_over(ignored: bytes) -> None:
    assert decoded(answer(ignored)) == [Delta(("one", "two")), DONE]


def test_a_first_chunk_without_a_name_does_not_name_the_answer() -> None:
    nameless = chunk(id="", model="", prompt_filter_results=[])
    assert decoded(body(data(nameless)) + bodies.stream(["a"])) == [Delta(("a",)), DONE]


def test_the_first_name_is_the_name() -> None:
    renamed = [value | {"id": "another", "model": "another"} for value in chunks([])]
    lines = data_lines([chunk({"content": "a"}), *renamed])
    assert decoded(body(*lines)) == [Delta(("a",)), DONE]


def test_a_provider_may_not_count() -> None:
    lines = data_lines([chunk({"content": "a"}, "length")])
    assert decoded(body(*lines))[-1] == Done(id=ID, model=MODEL, finish_reason="length")


@pytest.mark.parametrize("details", [None, {}, {"cached_tokens": None}])
def test_a_provider_may_not_count_the_cache(details: Json | None) -> None:
    counted = bodies.COUNTED | {"prompt_tokens_details": details}
    folded = reply(completion("a", usage=counted))
    assert folded.usage == Usage(prompt_tokens=11, completion_tokens=5, total_tokens=16)
    assert fold(decoded(body(*data_lines([chunk({"content": "a"}, "stop", usage=counted)])))) == (
        folded
    )


@given(st.binary(max_size=60), PLACES)
def test_nothing_after_the_end_is_read(garbage: bytes, places: list[int]) -> None:
    stream = bodies.stream(["a"]) + b"data: " + garbage + b"\n\ndata: {\n\n"
    assert decoded(*bodies.cut(stream, places))[-1] == DONE


@given(st.integers(0), bodies.contents)
def test_half_a_stream_is_no_answer(length: int, sent: list[str]) -> None:
    stream = bodies.stream(sent)
    half = stream[: length % (len(stream) - len(b"\n\n"))]
    with pytest.raises(UpstreamProtocolError):
        decoded(half)


def test_a_stream_that_says_no_reason_is_no_answer() -> None:
    with pytest.raises(UpstreamProtocolError):
        decoded(body(*data_lines([chunk({"content": "a"})])))


@BROKEN
def test_what_is_not_a_completion_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError) as raised:
        reply(body)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@pytest.mark.parametrize("broken", [
    b"data: {",
    b"data:",
    b"data: []",
    b"data: null",
    b"data: <html>",
    b"data: [DONE",
    data(chunk({"content": 7})),
    data(chunk({"content": "\ud83d"}))[:-2],
    data(chunk({"content": "hi"})).replace(b"hi", b"\xff"),
    data(chunk({"content": "\ud83dhi"})).replace(b"hi", b"\xff"),
    b'data: {"x":' + b"[" * 100_000,
    b'data: {"error":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
], ids=lambda line: repr(line[:20]) + str(len(line)))  # fmt: skip
def test_what_is_not_a_chunk_ends_the_stream_after_the_tokens_before_it(broken: bytes) -> None:
    _fails_after_one(answer(broken), UpstreamProtocolError)


@pytest.mark.parametrize(("error", "kind"), [
    ({"message": "the secret words", "type": "server_error", "code": None}, UpstreamError),
    ({"message": "the secret words", "code": "rate_limit_exceeded"}, UpstreamRateLimited),
    ({"message": "the secret words \ud83d", "type": "rate_limit_error"}, UpstreamRateLimited),
    ("the secret words", UpstreamError),
])  # fmt: skip
def test_an_error_object_is_an_error(error: Any, kind: type[UpstreamError]) -> None:
    for stated in ({"error": error}, chunk({"content": "x"}, error=error)):
        raised = _fails_after_one(answer(data(stated)), kind)
        assert b"secret" not in raised.body("r1")
        with pytest.raises(UpstreamError) as refused:
            reply(json.dumps(stated).encode())
        assert type(refused.value) is kind


def _fails_after_one(stream: bytes, kind: type[UpstreamError]) -> UpstreamError:
    """However the bytes are cut, the token before the failure is handed out, and none behind it."""
    for reads in ([stream], bodies.cut(stream, range(0, 400, 7)), bodies.cut(stream, [350])):
        decoder = StreamDecoder()
        deltas = [delta for read in reads if (delta := decoder.feed(read))]
        assert tokens([*deltas]) == ["one"]
        assert decoder.ended
        with pytest.raises(UpstreamError) as raised:
            decoder.flush()
        assert type(raised.value) is kind
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None
    return raised.value


def test_an_event_without_end_is_not_gathered() -> None:
    decoder = StreamDecoder()
    reads = 0
    while not decoder.ended and reads < 99:
        decoder.feed(b"data: " + b"x" * 65_536)
        reads += 1
    assert reads * 65_536 <= MAX_EVENT_BYTES + 2 * 65_536
    with pytest.raises(UpstreamProtocolError):
        decoder.flush()


def test_the_end_is_known_before_the_connection_is_closed() -> None:
    decoder = StreamDecoder()
    ended = []
    for read in (bodies.stream(["a"]).removesuffix(b"\n\n"), b"\n"):
        decoder.feed(read)
        ended.append(decoder.ended)
    assert ended == [False, True]
    assert decoder.flush() == DONE


def test_the_payload_holds_what_the_client_sent_and_no_more() -> None:
    bare = ChatRequest(prompt="hi")
    full = ChatRequest(prompt="hi", model="m", max_tokens=3, temperature=0.0)
    messages = [{"role": "user", "content": "hi"}]
    assert payload(bare, "default", stream=False) == {"model": "default", "messages": messages}
    assert payload(full, "default", stream=True) == {
        "model": "m",
        "messages": messages,
        "max_tokens": 3,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
