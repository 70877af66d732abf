"""What came back for a probe, and the words for it; pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtests.client.reading import Answer, BatchReading, StreamReading, StreamRules
from loadtests.sse_reader import ServerEvent, SseReader
from loadtests.targets import Targets

EVENTS = "text/event-stream"
PROXIES = ("nginx", "openresty", "envoy", "cloudflare", "cloudfront", "awselb", "caddy", "varnish")
"""What stands first in the Server header of those that answer for others."""


@dataclass(frozen=True, slots=True)
class Read:
    """What one read of the socket brought, and when, in monotonic nanoseconds."""

    at_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; the names of headers are lower case, `trouble` says what kept it from being whole.

    `sent_ns` and `ended_ns` are monotonic nanoseconds; `closes` when the server ends the connection with it.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[Read, ...] = ()
    sent_ns: int = 0
    ended_ns: int = 0
    closes: bool = False
    trouble: str = ""

    @property
    def body(self) -> bytes:
        return b"".join(read.data for read in self.reads)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def streams(self) -> bool:
        """Whether it answers with events."""
        media_type = self.content_type.partition(";")[0].strip().lower()
        return self.status == 200 and media_type == EVENTS

    @property
    def proxy(self) -> str:
        """The header that tells of a proxy: `Via` (RFC 9110, 7.6.3) or `Server`; empty without."""
        via, server = self.headers.get("via"), self.headers.get("server", "")
        if via is not None:
            return f"Via: {via}"
        return f"Server: {server}" if server.lower().startswith(PROXIES) else ""

    @property
    def error(self) -> dict[str, Any] | None:
        """The one error body, where it has one."""
        value = self.json() if self.status >= 400 else None
        error = value.get("error") if isinstance(value, dict) else None
        return error if isinstance(error, dict) else None

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Reader:
    """Reads replies by the description of two targets."""

    def __init__(self, targets: Targets) -> None:
        self._batch = BatchReading(targets.legacy.answer)
        self._rules = StreamRules(targets.streaming.events)
        paths = targets.streaming.events
        self._ends = {name for name in (paths.done_event, paths.failure_event) if name}
        self._done_data = paths.done_data

    def answer(self, reply: Reply) -> Answer:
        """The answer in a JSON body, or folded from a stream with the stamps of its chunks."""
        if not reply.streams:
            return self._batch.read(reply.body)
        reading = StreamReading(self._rules)
        for read in reply.reads:
            if reading.feed(read.data, read.at_ns):
                break
        return reading.answer

    def form(self, reply: Reply) -> str:
        """A reply in a few words: status and code, or status and kind of body; and how a stream ends."""
        if not reply.status:
            return reply.trouble
        words = [f"{reply.status} {_kind(reply)}"]
        if reply.streams:
            words += self._ending(reply)
        return ", ".join([*words, reply.trouble] if reply.trouble else words)

    def _ending(self, reply: Reply) -> list[str]:
        """Nothing for a stream that ends as it should: with one `done`, and nothing behind it."""
        answer, sse = self.answer(reply), SseReader()
        events = [event for read in reply.reads for event in sse.feed(read.data, read.at_ns)]
        ends = [number for number, event in enumerate(events, 1) if self._is_end(event)]
        words = [answer.error.replace(":", " ")] if answer.error else []
        if len(ends) > 1:
            words.append(f"{len(ends)} terminal events")
        if ends and (ends[0] < len(events) or sse.flush() or _comment_last(reply.body)):
            words.append("more after its end")
        return words

    def _is_end(self, event: ServerEvent) -> bool:
        return event.name in self._ends or event.data == self._done_data


def _kind(reply: Reply) -> str:
    error = reply.error
    return str(error["code"]) if error and "code" in error else reply.content_type or "untyped"


def _comment_last(body: bytes) -> bool:
    return body.replace(b"\r\n", b"\n").rstrip(b"\n").rpartition(b"\n\n")[2].startswith(b":")
