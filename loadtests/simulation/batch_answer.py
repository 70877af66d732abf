"""An answer that is not streamed: the same script, and one JSON at its end."""

from loadtests.simulation import faults, wire
from loadtests.simulation.answers import Answer

_JSON = {"Content-Type": "application/json"}
_TRICKLE = frozenset({faults.TRICKLE, faults.TRICKLE_MID})


class BatchAnswer(Answer):
    """Says nothing until the deadline of its last token."""

    _trickling = False

    def advance(self, now: int) -> int | None:
        if self._over or self._call.fault == faults.STALL:
            return None
        if self._call.fault in _TRICKLE:
            return self._trickle(now)
        self._speak(now)
        return None

    def resumed(self) -> None:
        """Nothing waits: the reply went to the transport as a whole."""

    def _first_due(self) -> int:
        return self._script.offsets_ns[0 if self._call.fault == faults.DROP else -1]

    def _left(self, due: int) -> None:
        self.entry.tokens = due
        self._end()

    def _speak(self, now: int) -> None:
        body = self._body()
        reply = wire.head(200, _JSON, len(body)) + body
        match self._call.fault:
            case faults.DROP:
                self._close(now, b"")
                self._reset()
            case faults.DROP_MID:
                self._close(now, reply[: -len(body) // 2])
                self._reset()
            case faults.STALL_MID:
                self._connection.write(reply[: -len(body) // 2])
            case _:
                self._close(now, reply)
                self._connection.finished()

    def _trickle(self, now: int) -> int:
        """White space, which is no answer yet."""
        head = b"" if self._trickling else wire.head(200, _JSON, None)
        self._trickling = True
        self._connection.write(head + wire.chunk(b" "))
        return now + faults.TRICKLE_NS

    def _body(self) -> bytes:
        call, script = self._call, self._script
        if call.fault == faults.ERROR_OBJECT:
            return wire.encode(faults.SERVER_ERROR)
        value = wire.completion(
            call.answer_id, call.model, script.text, script.finish_reason, call.usage
        )
        if call.fault == faults.EMPTY_CHOICES:
            value["choices"] = []
        body = wire.encode(value)
        return body[: len(body) // 2] if call.fault == faults.MALFORMED else body

    def _close(self, now: int, reply: bytes) -> None:
        entry, script = self.entry, self._script
        if reply:
            entry.first_ns, entry.last_ns = self._start_ns + script.offsets_ns[0], now
            entry.tokens = len(script.pieces)
            self._connection.write(reply)
        self._end([now - self._start_ns - self._first_due()])
