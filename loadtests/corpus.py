"""The requests that are replayed: seeded and endless, or a team's own from a JSONL file."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from loadtests.corpus_text import CONTEXTS, QUESTIONS, REPLIES, SYSTEM_PROMPTS
from shared.schemas import ChatRequest, Message

DEFAULT_SIZE = 10_000
CONVERSATIONS = 0.25
"""The share of requests that come as messages."""
WITH_CONTEXT = 0.6
"""The share of prompts that bring documents along; their number, and so the length, has a long tail."""
LARGEST_CONTEXT = 24


class CorpusError(Exception):
    """A corpus file cannot be used; the message is one line that names the file and the line."""


class Corpus(Protocol):
    """Requests by their index; any worker can take any of them."""

    def request(self, index: int) -> ChatRequest: ...


class SeededCorpus:
    """Request `index` is a function of the seed and the index alone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def request(self, index: int) -> ChatRequest:
        """One request; about a quarter are conversations, the others a prompt with or without documents."""
        rng = random.Random(f"corpus {self._seed} {index}")
        temperature = rng.choice((None, None, 0.0, 0.7, 1.0))
        if rng.random() < CONVERSATIONS:
            return ChatRequest(messages=_conversation(rng), temperature=temperature)
        return ChatRequest(prompt=_prompt(rng), temperature=temperature)


class FileCorpus:
    """The lines of a JSONL file, each a ChatRequest; after the last one it begins again with the first."""

    def __init__(self, path: Path) -> None:
        """Reads the file; raises CorpusError."""
        self._requests = read_corpus(path)

    def __len__(self) -> int:
        return len(self._requests)

    def request(self, index: int) -> ChatRequest:
        return self._requests[index % len(self._requests)]


def generate(seed: int, count: int = DEFAULT_SIZE, first: int = 0) -> Iterator[ChatRequest]:
    """The seeded requests `first` to `first + count - 1`, one at a time."""
    corpus = SeededCorpus(seed)
    return (corpus.request(index) for index in range(first, first + count))


def open_corpus(path: Path | str | None, seed: int) -> Corpus:
    """A team's own corpus when there is a path, else the seeded one; raises CorpusError."""
    return FileCorpus(Path(path)) if path else SeededCorpus(seed)


def check_corpus(path: Path) -> int:
    """How many requests a file has; raises CorpusError for a line that is none, and for an empty file."""
    return sum(1 for _ in stream_corpus(path))


def read_corpus(path: Path) -> list[ChatRequest]:
    """All requests of a JSONL file; raises CorpusError."""
    return list(stream_corpus(path))


def stream_corpus(path: Path) -> Iterator[ChatRequest]:
    """The requests of a JSONL file, one at a time, blank lines left out; raises CorpusError on the way."""
    found = False
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    found = True
                    yield _request_in(line, f"{path}:{number}")
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}") from None
    if not found:
        raise CorpusError(f"{path}: there is no request in it")


def _request_in(line: bytes, place: str) -> ChatRequest:
    try:
        return ChatRequest.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    raise CorpusError(f"{place}: {where + ': ' if where else ''}{message}")


def _prompt(rng: random.Random) -> str:
    question = _question(rng)
    if rng.random() >= WITH_CONTEXT:
        return question
    count = min(LARGEST_CONTEXT, int(rng.paretovariate(1.1)))
    documents = "\n\n".join(rng.choice(CONTEXTS) for _ in range(count))
    return f"{documents}\n\n{question}"


def _conversation(rng: random.Random) -> tuple[Message, ...]:
    turns: list[Message] = []
    if rng.random() < 0.7:
        turns.append(Message(role="system", content=rng.choice(SYSTEM_PROMPTS)))
    for _ in range(rng.randint(0, 4)):
        turns.append(Message(role="user", content=_question(rng)))
        turns.append(Message(role="assistant", content=rng.choice(REPLIES)))
    turns.append(Message(role="user", content=_prompt(rng)))
    return tuple(turns)


def _question(rng: random.Random) -> str:
    """A question with its own reference, so that no two requests are the same by chance."""
    return rng.choice(QUESTIONS).format(
        reference=f"{rng.randrange(10**8):08d}", n=rng.randint(2, 9)
    )
