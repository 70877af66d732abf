"""Server-Sent Events: how an event looks on the wire, and how tokens join into chunks.

Pure: no clock, no socket. Source: WHATWG HTML standard, section 9.2. The data is one line of JSON, whose
encoding leaves no raw CR or LF, so no text can end a line or forge a field; the names of events are fixed,
and an id that could end its line is refused.
"""

import json
from typing import Any

import msgspec

from shared.errors import ServiceError
from shared.schemas import Delta, Done, Event, Failure

MEDIA_TYPE = "text/event-stream; charset=utf-8"
PING = b": ping\n\n"
_FRAME = {kind: f"event: {kind.event}\ndata: %b\n\n".encode() for kind in (Delta, Done, Failure)}
_UNSAFE = frozenset("\r\n\0")
_json = msgspec.json.Encoder()
_text = msgspec.json.Decoder(dict[str, str])
_any_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


# region: frames
def encode(event: Event) -> bytes:
    """One frame; a lone surrogate, which UTF-8 has no form for, becomes U+FFFD."""
    if isinstance(event, Delta):
        return frame(event.text)
    return _FRAME[type(event)] % _whole(event.model_dump())


def frame(text: str) -> bytes:
    """The frame of a delta with this text."""
    try:
        data = _json.encode({"text": text})
    except UnicodeEncodeError:
        data = _whole({"text": text})
    return _FRAME[Delta] % data


def failure(error: ServiceError, request_id: str) -> Failure:
    """The event that says this error."""
    return Failure(
        code=error.code,
        message=error.message,
        request_id=request_id,
        retryable=error.retryable,
    )


def identified(framed: bytes, event_id: str) -> bytes:
    """The frame with an id, from which a reader can resume; raises ValueError for one that it could not keep.

    CR and LF would end the line, NUL makes a browser ignore it, and a lone surrogate has no form in UTF-8.
    """
    if not _UNSAFE.isdisjoint(event_id):
        raise ValueError("an id with CR, LF or NUL cannot be written")
    return b"id: " + event_id.encode() + b"\n" + framed


def apart(chunk: bytes) -> list[bytes]:
    """The frames of a chunk; no frame has an empty line inside."""
    return [part + b"\n\n" for part in chunk.split(b"\n\n")[:-1]]


def text_of(framed: bytes) -> str:
    """The text that a delta's frame adds, with or without an id; empty for other frames."""
    _, found, data = framed.partition(b"event: delta\ndata: ")
    return _text.decode(data)["text"] if found else ""


def _whole(data: dict[str, Any]) -> bytes:
    """JSON of any data: msgspec refuses lone surrogates, and integers of more than 64 bits."""
    return (
        _any_json.encode(data)
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
        .encode()
    )


# region: coalescer
class Coalescer:
    """Joins tokens into chunks: the first at once, then up to `most` tokens, the end without waiting.

    The caller owns the clock: it flushes when `feed` says that a chunk is due, or when its window has
    passed since `feed` left something pending.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: list[str] = []
        self._tail = b""
        self._opened = False
        self.pending_bytes = 0

    @property
    def pending_items(self) -> int:
        return len(self._pieces)

    def feed(self, event: Event) -> bool:
        """Takes an event; true when a chunk is due now. Nothing may be fed after a terminal event."""
        if not isinstance(event, Delta):
            self._tail = encode(event)
            return True
        self._pieces += event.pieces
        self.pending_bytes += len(event.text.encode("utf-8", "surrogatepass"))
        return not self._opened or len(self._pieces) >= self._most

    def flush(self) -> bytes:
        """The chunk of all that is pending, with the terminal frame when there is one; may be empty."""
        chunk = frame("".join(self._pieces)) if self._pieces else b""
        self._opened = self._opened or bool(self._pieces)
        self._pieces.clear()
        self.pending_bytes = 0
        chunk, self._tail = chunk + self._tail, b""
        return chunk
