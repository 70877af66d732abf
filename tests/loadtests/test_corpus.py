"""The seeded corpus, and a team's own."""

from pathlib import Path

import pytest

from loadtests.corpus import (
    CorpusError,
    FileCorpus,
    SeededCorpus,
    check_corpus,
    generate,
    open_corpus,
    stream_corpus,
)
from shared.schemas import ChatRequest


@pytest.fixture(scope="module")
def corpus() -> list[ChatRequest]:
    return list(generate(seed=7))


def said(chat: ChatRequest) -> str:
    return chat.prompt or "\n".join(message.content for message in chat.messages or ())


def test_ten_thousand_requests_and_no_two_alike(corpus: list[ChatRequest]) -> None:
    assert len(corpus) == 10_000
    assert len({chat.model_dump_json() for chat in corpus}) == 10_000


def test_prompts_conversations_and_scripts_are_mixed(corpus: list[ChatRequest]) -> None:
    conversations = sum(chat.messages is not None for chat in corpus)
    assert 2_000 < conversations < 3_000
    assert sum(not said(chat).isascii() for chat in corpus) > 4_000
    assert sum("\n" in said(chat) for chat in corpus) > 5_000
    assert any(any(ord(char) > 0xFFFF for char in said(chat)) for chat in corpus)


def test_lengths_vary_with_a_long_tail(corpus: list[ChatRequest]) -> None:
    lengths = sorted(len(said(chat)) for chat in corpus)
    assert lengths[100] < 60
    assert lengths[-100] > 10 * lengths[5_000]


def test_no_request_limits_the_answer(corpus: list[ChatRequest]) -> None:
    """The replay is of the model's own lengths; a plan can set a limit for all."""
    assert all(chat.max_tokens is None and chat.model is None for chat in corpus)


def test_a_seed_gives_the_same_requests_in_any_order() -> None:
    whole = list(generate(seed=3, count=20))
    assert [SeededCorpus(3).request(index) for index in reversed(range(20))] == whole[::-1]
    assert list(generate(seed=3, count=5, first=10)) == whole[10:15]
    assert list(generate(seed=4, count=20)) != whole


def test_a_file_of_requests_begins_again_after_its_end(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"prompt": "one"}\n\n{"messages": [{"role": "user", "content": "zwölf"}]}\n')
    own = open_corpus(path, seed=1)
    assert isinstance(own, FileCorpus)
    assert len(own) == check_corpus(path) == 2
    assert [said(own.request(index)) for index in range(3)] == ["one", "zwölf", "one"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "Invalid JSON"),
        (b"{}", "give exactly one of prompt and messages"),
        (b'{"prompt": 1}', "prompt: Input should be a valid string"),
        (b'{"prompt": "a", "promt": "b"}', "promt: Extra inputs are not permitted"),
        (b"\xff", "Invalid JSON"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(b'{"prompt": "fine"}\n' + line + b"\n")
    with pytest.raises(CorpusError) as raised:
        check_corpus(path)
    assert str(raised.value).startswith(f"{path}:2: {message}")
    assert "\n" not in str(raised.value)


def test_lines_before_a_malformed_one_are_read_first(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"prompt": "fine"}\nnot fine\n')
    lines = stream_corpus(path)
    assert next(lines).prompt == "fine"
    with pytest.raises(CorpusError):
        next(lines)


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="there is no request in it"):
        check_corpus(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="No such file"):
        check_corpus(tmp_path / "none.jsonl")
