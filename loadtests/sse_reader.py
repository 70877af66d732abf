"""A decoder of server-sent events by the WHATWG HTML standard, section 9.2.6; pure: no clock, no socket."""

from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = (b"\n", b"\r")


@dataclass(slots=True)
class ServerEvent:
    """An event; `at_ns` is the `now_ns` of the feed that completed it, `id` the last event id then."""

    name: str
    data: str
    at_ns: int
    id: str = ""


class SseReader:
    """Takes the bytes of a stream as they come; lines end with CR, LF or CRLF, wherever the bytes were cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._name = b""
        self._id = b""
        self._started = False
        self._after_cr = False
        self.retry_ms: int | None = None

    def feed(self, chunk: bytes, now_ns: int) -> list[ServerEvent]:
        """The events that these bytes complete, in order."""
        if not chunk:
            return []
        if not self._started:
            chunk = self._opened(chunk)
        elif self._after_cr:
            # The CR has ended its line already; an LF that follows belongs to it.
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        lines = self._lines(chunk)
        events: list[ServerEvent] = []
        for line in lines:
            if line:
                self._field(line)
            elif (event := self._dispatched(now_ns)) is not None:
                events.append(event)
        return events

    def flush(self) -> bool:
        """Ends the stream: true when it broke off inside an event, which the standard drops."""
        broken_off = bool(self._data or self._rest)
        self._rest, self._name = b"", b""
        self._data.clear()
        return broken_off

    def _opened(self, chunk: bytes) -> bytes:
        """Holds the start back until it is known whether it is a byte order mark."""
        start = self._rest + chunk
        self._rest = b""
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._rest = start
            return b""
        self._started = True
        return start.removeprefix(_BOM)

    def _lines(self, chunk: bytes) -> list[bytes]:
        """Whole lines, without their ends; what follows the last end is kept."""
        if not self._started or not chunk:
            return []
        whole = self._rest + chunk if self._rest else chunk
        self._after_cr = whole.endswith(b"\r")
        # bytes.splitlines splits on CR, LF and CRLF and, unlike str.splitlines, on nothing else.
        lines = whole.splitlines()
        self._rest = b"" if whole.endswith(_LINE_ENDS) else lines.pop()
        return lines

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value
        elif name == b"id" and b"\0" not in value:
            self._id = value
        elif name == b"retry" and value.isdigit():
            self.retry_ms = int(value)

    def _dispatched(self, now_ns: int) -> ServerEvent | None:
        name, self._name = self._name, b""
        if not self._data:
            return None
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        return ServerEvent(
            name.decode(errors="replace") or "message",
            data.decode(errors="replace"),
            now_ns,
            self._id.decode(errors="replace"),
        )
