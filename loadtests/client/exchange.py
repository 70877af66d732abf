"""One request and its answer over a connection, stamped at each socket read before anything is parsed."""

import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from geventhttpclient.response import HTTPParseError

from loadtests.client.greenlets import Timeout
from loadtests.client.http_pool import HttpPool, StreamedResponse
from loadtests.client.reading import Answer, BatchReading, StreamReading, StreamRules, refusal_code
from loadtests.scenarios import Kind
from loadtests.targets import LegacySide, Request, StreamingSide, Targets

LEFTOVER_S = 0.25
"""How long a body's end is waited for after a stream's last event, so that the connection can be used again."""
_SOCKET_ERRORS = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset"}


@dataclass(slots=True)
class Outcome:
    """What came of a request; times are monotonic nanoseconds, `body_ns` that of a batch body's last read."""

    start_ns: int
    headers_ns: int | None = None
    body_ns: int | None = None
    status: int = 0
    answer: Answer | None = None
    error: str | None = None


Reader = Callable[[StreamedResponse, Outcome], Answer]


class Exchanger:
    """Sends the requests of one side of the targets, and reads its answers."""

    def __init__(self, side: LegacySide | StreamingSide, pool: HttpPool, timeout_s: float) -> None:
        self.side = side
        self.pool = pool
        self._timeout_s = timeout_s
        self._read = _reader(side)

    def exchange(self, request: Request, wire: bytes) -> Outcome:
        """Sends `wire` now and reads the whole answer; whatever goes wrong is a code in `error`."""
        outcome = Outcome(time.monotonic_ns())
        limit = Timeout(self._timeout_s)
        try:
            with limit:
                self._perform(request, wire, outcome)
        except Timeout as passed:
            if passed is not limit:
                raise
            outcome.error = "timeout"
        except HTTPParseError:
            outcome.error = "broken_off" if outcome.headers_ns else "no_answer"
        except OSError as error:
            outcome.error = _code_of(error)
        return outcome

    def _perform(self, request: Request, wire: bytes, outcome: Outcome) -> None:
        response = self.pool.send(request.method, wire)
        outcome.headers_ns = time.monotonic_ns()
        outcome.status = response.get_code()
        if outcome.status == 200:
            outcome.answer = self._read(response, outcome)
            outcome.error = outcome.answer.error
        else:
            outcome.error = refusal_code(outcome.status, _body(response), self.side.error)


def _code_of(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, socket.gaierror):
        return "unknown_host"
    if isinstance(error, TimeoutError):
        return "connect_timeout"
    return _SOCKET_ERRORS.get(error.errno or 0, "network")


def side_of(targets: Targets, kind: Kind) -> LegacySide | StreamingSide:
    """The side of the targets that answers in this way."""
    return targets.legacy if kind == "batch" else targets.streaming


def _reader(side: LegacySide | StreamingSide) -> Reader:
    if isinstance(side, LegacySide):
        batch = BatchReading(side.answer)
        return lambda response, outcome: _read_batch(response, outcome, batch)
    rules = StreamRules(side.events)
    return lambda response, outcome: _read_stream(response, outcome, rules)


def _read_batch(response: StreamedResponse, outcome: Outcome, reading: BatchReading) -> Answer:
    body = _body(response)
    outcome.body_ns = time.monotonic_ns()
    return reading.read(body)


def _read_stream(response: StreamedResponse, outcome: Outcome, rules: StreamRules) -> Answer:
    reading = StreamReading(rules)
    # Kept also when the stream breaks off: what has come has come.
    outcome.answer = reading.answer
    stamp, read, feed = time.monotonic_ns, response.read_available, reading.feed
    while chunk := read():
        if feed(chunk, stamp()):
            _read_leftover(response)
            break
    return reading.answer


def _read_leftover(response: StreamedResponse) -> None:
    with contextlib.suppress(OSError, HTTPParseError), Timeout(LEFTOVER_S, False):
        while response.read_available():
            pass
    response.release()


def _body(response: StreamedResponse) -> bytes:
    return b"".join(iter(response.read_available, b""))
