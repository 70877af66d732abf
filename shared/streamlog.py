"""One record an answer, written off the request path: each place has a queue and a thread of its own."""

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Self

from shared.record import Kind, Outcome, Record, storable
from shared.sinks import Lines, Rows

QUEUE_RECORDS = 65_536
RETRY_S = 1.0  # between two tries of a place that failed
CLOSE_S = 1.5  # a place that hangs holds up no exit for longer
_log = logging.getLogger(__name__)


_Queue = SimpleQueue[Record | None]  # None: the end


class StreamLog:
    """Takes records from any thread; nothing is opened or started before the first of them.

    `path` is a file, `-` for stdout, or empty for none; processes may share it, and the database `sqlite`.
    Records wait for a place that fails, QUEUE_RECORDS beside the batch in hand; more are dropped and counted.
    """

    def __init__(self, stack: str, path: str = "-", sqlite: Path | None = None) -> None:
        self.stack = stack
        self._path, self._sqlite = path, sqlite
        self._writers: dict[int, tuple[_Writer, ...]] = {}

    def begin(self, *, request_id: str, user: str, model: str, kind: Kind) -> "Entry":
        """The record of an answer that begins now."""
        return Entry(self, request_id, user, model, kind)

    def write(self, record: Record) -> None:
        """Leaves the record to the writer: never waits for it, never raises."""
        writers = self._writers.get(os.getpid())
        for writer in self._new_writers() if writers is None else writers:
            writer.put(record)

    def close(self) -> None:
        """Writes what waits, within CLOSE_S; a later record starts the writers again."""
        deadline = time.monotonic() + CLOSE_S
        writers = self._writers.get(os.getpid(), ())
        for thread in [thread for writer in writers if (thread := writer.finish())]:
            thread.join(max(0, deadline - time.monotonic()))
            if thread.is_alive():
                _log.error("%s: not all was written within %g s", thread.name, CLOSE_S)

    def _new_writers(self) -> "tuple[_Writer, ...]":
        """This process's own: a fork copies the locks and queues of its parent, but not their threads."""
        places: list[Callable[[], Lines | Rows]] = []
        if self._path:
            places.append(partial(Lines, self._path))
        if self._sqlite and set(self._writers) - {os.getpid()}:
            # SQLite's locks are known to the library, whose memory a fork copies, and to the kernel, which
            # gives the child none: the child may not even open what its parent had open.
            _log.error("forked behind the first record: this process writes no rows")
        elif self._sqlite:
            places.append(partial(Rows, self._sqlite))
        atexit.register(self.close)
        return self._writers.setdefault(os.getpid(), tuple(map(_Writer, places)))


class Entry:
    """One answer under way; the first `end` writes its record. As a context, it ends with its block."""

    __slots__ = (
        "_at_s",
        "_first_s",
        "_log",
        "_open",
        "_start_s",
        "_who",
        "bytes",
        "request_id",
        "tokens",
    )

    def __init__(self, log: StreamLog, request_id: str, user: str, model: str, kind: Kind) -> None:
        self._log = log
        self.request_id = request_id
        self._who: tuple[str, str, Kind] = (user, model, kind)
        self._at_s, self._start_s = time.time(), time.monotonic()
        self._first_s: float | None = None
        self._open = True
        self.tokens = 0
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.end("finished")
        elif isinstance(error, Exception):
            self.end(getattr(error, "outcome", "failed"), getattr(error, "code", "internal"))
        else:
            self.end("cancelled")

    def first_token(self) -> None:
        """Stamps the first token; later ones change nothing."""
        if self._first_s is None:
            self._first_s = time.monotonic()

    def end(self, outcome: Outcome, code: str | None = None) -> None:
        """Writes the record; only the first call counts."""
        if not self._open:
            return
        self._open = False
        user, model, kind = self._who
        self._log.write(
            Record(
                _rfc_3339(self._at_s),
                self.request_id,
                self._log.stack,
                user,
                model,
                kind,
                outcome,
                code,
                self.tokens,
                None if self._first_s is None else self._ms(self._first_s),
                self._ms(time.monotonic()),
                self.bytes,
            )
        )

    def _ms(self, at_s: float) -> float:
        return round((at_s - self._start_s) * 1000, 3)


def _rfc_3339(at_s: float) -> str:
    at = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
    return at.isoformat(timespec="milliseconds") + "Z"


class _Writer:
    """The queue of one place in one process, and the thread that empties it: no place waits for the other."""

    def __init__(self, place: Callable[[], Lines | Rows]) -> None:
        self._place = place
        # Re-entrant: a signal handler or a finaliser that interrupts put() may end an answer, too.
        self._lock = threading.RLock()
        self._queue: _Queue = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._dropped = 0

    def put(self, record: Record) -> None:
        with self._lock:
            if self._queue.qsize() < QUEUE_RECORDS:
                self._queue.put(record)
            else:
                self._dropped += 1
            if self._thread is None:
                self._start()

    def finish(self) -> threading.Thread | None:
        """The thread, which ends once it has written what waits; a record put from now on starts another."""
        with self._lock:
            thread = self._thread
            if thread is not None:
                self._queue.put(None)
                self._closing.set()
                self._thread, self._queue, self._closing = None, SimpleQueue(), threading.Event()
            return thread

    def _start(self) -> None:
        place = self._place()
        self._thread = threading.Thread(
            target=self._run,
            args=(place, self._queue, self._closing),
            name=f"streamlog {place.name}",
            daemon=True,
        )
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None  # the next record asks again
            if self._queue.qsize() == 1:
                _log.error("%s: records wait, there is no thread to be had", place.name)

    def _run(self, place: Lines | Rows, queue: _Queue, closing: threading.Event) -> None:
        going = True
        while going:
            batch = [queue.get(), *(queue.get_nowait() for _ in range(queue.qsize()))]
            waiting = deque(storable(record) for record in batch if record is not None)
            going = len(waiting) == len(batch)
            if not _deliver(waiting, place, closing):
                _log.error("%s: %d records lost", place.name, len(waiting) + queue.qsize() - going)
                going = False
            self._tell_dropped(place.name)
        place.close()

    def _tell_dropped(self, name: str) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            _log.error("%s: %d records dropped, %d waited already", name, dropped, QUEUE_RECORDS)


def _deliver(waiting: deque[Record], place: Lines | Rows, closing: threading.Event) -> bool:
    """Tries until all is written, or in vain once `closing` was set; logs a failure once, and its end."""
    failed = False
    while waiting:
        last = closing.is_set()
        try:
            place.write(waiting)
        except Exception as error:  # noqa: BLE001  # no failure of a place may end the thread
            if not failed:
                _log.error("%s: records wait: %s: %s", place.name, type(error).__name__, error)
            failed = True
            if last:
                return False
            closing.wait(RETRY_S)
        else:
            if failed:
                _log.warning("%s: records are written again", place.name)
    return True
