"""A streamed answer: server-sent events, one a token, each at its deadline."""

import time
from array import array

from loadtests.simulation import faults, wire
from loadtests.simulation.answers import Answer, Call, Stage
from loadtests.simulation.connection import Connection
from loadtests.simulation.timeline import Entry

_HEAD = wire.head(
    200, {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}, None
)


class StreamAnswer(Answer):
    """Plays its script; tokens that are due at the same wake-up share a write.

    At `turn_at` tokens the stream turns into its end, or into its fault. The status line and the
    headers travel with the first token, so that trouble before it is trouble before the response.
    """

    def __init__(self, call: Call, entry: Entry, connection: Connection, stage: Stage) -> None:
        super().__init__(call, entry, connection, stage)
        self._frames = wire.Frames(call.answer_id, call.model)
        self._token = self._frames.token
        self._fault = call.fault
        self._turn_at = _turning_point(call.fault, len(call.script.pieces))
        self._stamps: list[int] = []
        self._excused: list[range] = []
        self._parked = self._silent = False

    def advance(self, now: int) -> int | None:
        if self._over:
            return None
        if self._connection.paused:
            self._parked = True
            return None
        # The ordinary case comes first and is written out, because it runs for every token: exactly one is due.
        stamps, offsets = self._stamps, self._script.offsets_ns
        following = len(stamps) + 1
        if 1 < following < self._turn_at and offsets[following] > now - self._start_ns:
            stamps.append(now)
            self._connection.write(self._token(self._script.pieces[following - 1]))
            return self._start_ns + offsets[following]
        return self._catch_up(now)

    def _catch_up(self, now: int) -> int | None:
        sent = len(self._stamps)
        due = min(self._script.due(now - self._start_ns, sent), self._turn_at)
        data = self._tokens(sent, due)
        self._stamps += [now] * (due - sent)
        if due == self._turn_at:
            return self._turn(now, data)
        self._write(data)
        return self._start_ns + self._script.offsets_ns[due]

    def resumed(self) -> None:
        # The reader held these tokens up: they are written late, and are no miss of the simulator.
        if self._parked:
            self._parked = False
            now = time.monotonic_ns()
            self._excused.append(
                range(len(self._stamps), self._script.due(now - self._start_ns, len(self._stamps)))
            )
            self._stage.pacer.add(now, self)

    def _first_due(self) -> int:
        return self._script.offsets_ns[0]

    def _left(self, due: int) -> None:
        unnoticed = not self._parked and not self._silent
        self.entry.tokens_after_disconnect = due - len(self._stamps) if unnoticed else 0
        self._close()

    def _tokens(self, start: int, stop: int) -> bytes:
        opening = _HEAD + self._frames.role() if stop and not start else b""
        return opening + b"".join(map(self._token, self._script.pieces[start:stop]))

    def _turn(self, now: int, data: bytes) -> int | None:
        match self._fault:
            case faults.STALL | faults.STALL_MID:
                self._silent = True
                self._write(data)
            case faults.TRICKLE | faults.TRICKLE_MID:
                return self._trickle(now, data)
            case faults.DROP | faults.DROP_MID:
                self._write(data)
                self._close()
                self._reset()
            case faults.MALFORMED:
                return self._go_on(data + self._frames.truncated())
            case faults.EMPTY_CHOICES:
                return self._go_on(data + self._frames.no_choices())
            case faults.ERROR_OBJECT:
                self._finish(data + wire.event(faults.SERVER_ERROR) + wire.END_OF_BODY)
            case _:
                self._finish(data + self._ending())
        return None

    def _go_on(self, data: bytes) -> int:
        self._connection.write(data)
        self._fault = faults.NONE
        self._turn_at = len(self._script.pieces)
        following = min(len(self._stamps), self._turn_at - 1)
        return self._start_ns + self._script.offsets_ns[following]

    def _trickle(self, now: int, data: bytes) -> int:
        """Writes what is no token: a comment and an event without text, and again."""
        if not self._stamps and not self._silent:
            data = _HEAD + self._frames.role()
        self._silent = True
        self._connection.write(data + wire.COMMENT + self._frames.no_choices())
        return now + faults.TRICKLE_NS

    def _ending(self) -> bytes:
        frames, call = self._frames, self._call
        parts = [frames.finish(self._script.finish_reason)]
        if call.include_usage:
            parts.append(frames.usage(call.usage))
        if self._fault != faults.NO_DONE:
            parts.append(wire.DONE)
        if self._fault != faults.OPEN_AFTER_DONE:
            parts.append(wire.END_OF_BODY)
        return b"".join(parts)

    def _write(self, data: bytes) -> None:
        if data:
            self._connection.write(data)

    def _finish(self, data: bytes) -> None:
        self._connection.write(data)
        if self._fault == faults.OPEN_AFTER_DONE:
            # It ends when the reader leaves, and says when that was.
            self._silent = True
            return
        self._close()
        self._connection.finished()

    def _close(self) -> None:
        entry, stamps, script = self.entry, self._stamps, self._script
        if stamps:
            entry.first_ns, entry.last_ns = stamps[0], stamps[-1]
        entry.tokens = len(stamps)
        entry.token_us = array("Q", [(stamp - entry.received_ns) // 1000 for stamp in stamps])
        entry.token_chars = bytes(map(len, script.pieces[: len(stamps)]))
        late = [
            stamp - self._start_ns - due
            for stamp, due in zip(stamps, script.offsets_ns, strict=False)
        ]
        for held_up in reversed(self._excused):
            del late[held_up.start : held_up.stop]
        self._end(late)


def _turning_point(fault: str, tokens: int) -> int:
    if fault in faults.AT_START:
        return 0
    return max(1, tokens // 2) if fault in faults.MIDWAY else tokens
