"""Parsers of server-sent events that know nothing of our encoder: each a function of a stream in chunks."""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from httpx_sse import EventSource

from loadtests.sse_reader import SseReader
from tests.fastapi_app.whatwg import Dispatched, parse
from tests.npm import installed

Reader = Callable[[Sequence[bytes]], list[Dispatched]]

SOURCE = Path(__file__).parent / "eventsource"
STOP_S = 5.0


def by_the_standard(chunks: Sequence[bytes]) -> list[Dispatched]:
    return parse(b"".join(chunks))


def by_sse_reader(chunks: Sequence[bytes]) -> list[Dispatched]:
    reader = SseReader()
    events = [event for chunk in chunks for event in reader.feed(chunk, 0)]
    assert not reader.flush()
    return [Dispatched(event.name, event.data, event.id) for event in events]


def by_httpx_sse(chunks: Sequence[bytes]) -> list[Dispatched]:
    """Without events that have no data: once there was an id, it makes one of every comment."""
    headers = {"Content-Type": "text/event-stream; charset=utf-8"}
    response = httpx.Response(200, headers=headers, content=iter(chunks))
    events = EventSource(response).iter_sse()
    return [Dispatched(event.event, event.data, event.id) for event in events if event.data]


@contextmanager
def eventsource_parser(node: str) -> Iterator[Reader]:
    """The npm package eventsource-parser, in a node that stays; raises NpmFailed."""
    with subprocess.Popen(
        [node, installed(SOURCE, "reader.mjs") / "reader.mjs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        requests, answers = child.stdin, child.stdout

        def read(chunks: Sequence[bytes]) -> list[Dispatched]:
            # The length 0 ends a stream, so an empty chunk is left out.
            parts = [*filter(None, chunks), b""]
            requests.write(b"".join(len(part).to_bytes(4, "big") + part for part in parts))
            requests.flush()
            return [Dispatched(*event) for event in json.loads(answers.readline())]

        try:
            yield read
        finally:
            requests.close()
            child.wait(STOP_S)
