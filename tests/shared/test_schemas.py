"""What goes in and what comes out: the request, the reply, the events and their fold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.schemas import (
    ChatReply,
    ChatRequest,
    Delta,
    Done,
    Event,
    Failure,
    Message,
    Unfinished,
    Usage,
    fold,
)

USAGE = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
DONE = Done(id="a", model="m", finish_reason="stop", usage=USAGE)
FAILURE = Failure(code="upstream_timeout", message="m", request_id="r", retryable=True)
MESSAGE = {"role": "user", "content": "hi"}
pieces = st.lists(st.text(), max_size=5).map(tuple)


@given(st.lists(pieces))
def test_the_fold_is_the_text_in_order(reads: list[tuple[str, ...]]) -> None:
    events: list[Event] = [*map(Delta, reads), DONE]
    text = "".join("".join(read) for read in reads)
    assert fold(events) == ChatReply(
        id="a", model="m", text=text, finish_reason="stop", usage=USAGE
    )
    assert "".join(Delta(read).text for read in reads) == text


@given(st.lists(pieces), st.integers(0))
def test_the_fold_is_the_same_however_tokens_were_read(
    reads: list[tuple[str, ...]], place: int
) -> None:
    whole = Delta(tuple(piece for read in reads for piece in read))
    cut = place % (len(whole.pieces) + 1)
    halves = [Delta(whole.pieces[:cut]), Delta(whole.pieces[cut:])]
    assert fold([*map(Delta, reads), DONE]) == fold([whole, DONE]) == fold([*halves, DONE])


def test_nothing_behind_the_end_is_folded() -> None:
    assert fold([Delta(("a",)), DONE, Delta(("b",)), FAILURE]).text == "a"


@pytest.mark.parametrize(("end", "failure"), [([], None), ([FAILURE, DONE], FAILURE)])
def test_a_stream_without_done_is_no_reply(end: list[Event], failure: Failure | None) -> None:
    with pytest.raises(Unfinished) as raised:
        fold([Delta(("a",)), *end])
    assert raised.value.failure == failure
    assert str(raised.value) == (failure.code if failure else "no terminal event")


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"prompt": None},
        {"prompt": "a", "messages": [MESSAGE]},
        {"prompt": ""},
        {"messages": []},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{**MESSAGE, "name": "x"}]},
        {"prompt": "a", "model": ""},
        {"prompt": "a", "model": "m" * 129},
        {"prompt": "a", "max_tokens": 0},
        {"prompt": "a", "temperature": -0.1},
        {"prompt": "a", "temperature": float("nan")},
        {"prompt": "a", "top_p": 1},
    ],
    ids=str,
)
def test_a_request_is_refused(request_: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ChatRequest.model_validate(request_)


def test_a_conversation_is_what_providers_take() -> None:
    assert ChatRequest(prompt="hi").conversation() == [MESSAGE]
    messages = (Message(role="system", content="be brief"), Message(role="user", content="hi"))
    assert ChatRequest(messages=messages).conversation() == [
        {"role": "system", "content": "be brief"},
        MESSAGE,
    ]


@pytest.mark.parametrize("value", [ChatRequest(prompt="a"), USAGE, DONE, FAILURE])
def test_values_are_frozen(value: ChatRequest | Usage | Done | Failure) -> None:
    for name in type(value).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, name, None)


def test_fields_stand_in_the_order_of_the_contract() -> None:
    reply = ChatReply(id="a", model="m", text="é", finish_reason="stop")
    assert reply.model_dump_json() == (
        '{"id":"a","model":"m","text":"é","finish_reason":"stop","usage":null}'
    )
    assert list(USAGE.model_dump()) == [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cached_tokens",
    ]
    assert list(DONE.model_dump()) == ["id", "model", "finish_reason", "usage"]
    assert list(FAILURE.model_dump()) == ["code", "message", "request_id", "retryable"]
