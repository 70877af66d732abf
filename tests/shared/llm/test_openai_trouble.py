"""Trouble at the provider, over real sockets: each kind is its own error, in both adapters and both modes."""

import json
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import errors
from shared.errors import UpstreamError
from shared.llm.openai import MAX_RETRY_AFTER_S, retry_after
from shared.schemas import Delta
from tests.shared.llm import bodies
from tests.shared.llm.bodies import chunk, chunks, completion, data_lines
from tests.shared.llm.drivers import (
    MODES,
    REPLY,
    REQUEST_ID,
    Driver,
    Opener,
    ask,
    good,
    settings,
    sync_openai,
)
from tests.shared.llm.upstream import Ending, Reply, Upstream, answer, event_stream, head

SECRET = "the words of the provider"
SHORT = {"first_token_timeout_s": 0.2, "token_timeout_s": 0.2, "answer_timeout_s": 0.2}


@contextmanager
def deaf() -> Iterator[str]:
    """The URL of a listener whose queue is full: the kernel answers no further handshake."""
    with ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            queued = held.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def refused(driver: Driver, mode: str, kind: type[UpstreamError]) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        ask(driver, mode)
    return unveiled(raised.value, kind)


def unveiled(error: UpstreamError, kind: type[UpstreamError]) -> UpstreamError:
    """The error, of exactly this kind, with no trace of what the SDK or the provider said."""
    assert type(error) is kind
    assert SECRET not in "".join(traceback.format_exception(error))
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert SECRET.encode() not in error.body("r")
    return error


def first_half(ending: Ending) -> Reply:
    """The head of an answer and a part of its body."""
    return Reply(answer(completion("onetwo")).cut([250]).writes[:1], ending)


def failing(status: str, **headers: str) -> Reply:
    body = json.dumps({"error": {"message": SECRET, "type": "t", "code": "c"}}).encode()
    return answer(body, status, **headers)


def tokens_then(driver: Driver, kind: type[UpstreamError]) -> None:
    """The token before the trouble is handed out, then exactly this error."""
    stream = driver.stream()
    assert next(stream) == Delta(("one",))
    with pytest.raises(UpstreamError) as raised:
        next(stream)
    unveiled(raised.value, kind)


@MODES
def test_a_refused_connection(opener: Opener, mode: str) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        with opener(settings(url)) as driver:
            error = refused(driver, mode, errors.UpstreamUnreachable)
    assert error.retryable


@MODES
def test_an_unknown_host(opener: Opener, mode: str) -> None:
    with opener(settings("http://no-such-host.invalid/v1")) as driver:
        refused(driver, mode, errors.UpstreamUnreachable)


@MODES
@pytest.mark.parametrize("writes", [(), (b"HTTP/1.1 200 OK\r\nContent-Type: text/eve",)])
def test_silence(opener: Opener, upstream: Upstream, mode: str, writes: tuple[bytes, ...]) -> None:
    upstream.will(Reply(writes, "hold"))
    started = time.monotonic()
    with opener(settings(upstream.url, **SHORT)) as driver:
        late = errors.AnswerTimeout if mode == "complete" else errors.FirstTokenTimeout
        refused(driver, mode, late)
    assert 0.15 < time.monotonic() - started < 2
    assert upstream.left_after_s(started) < 2


def test_silence_midway(opener: Opener, upstream: Upstream) -> None:
    upstream.will(event_stream(bodies.half("one"), ending="hold"))
    with opener(settings(upstream.url, **SHORT)) as driver:
        tokens_then(driver, errors.TokenTimeout)
    assert upstream.left_after_s(time.monotonic()) < 1


def test_silence_in_the_middle_of_a_completion(opener: Opener, upstream: Upstream) -> None:
    upstream.will(first_half("hold"))
    with opener(settings(upstream.url, answer_timeout_s=0.2)) as driver:
        refused(driver, "complete", errors.AnswerTimeout)


def test_the_deadline_of_an_answer_is_not_given_again_to_a_retry(upstream: Upstream) -> None:
    upstream.will(*(Reply((), "hold") for _ in range(3)))
    started = time.monotonic()
    with sync_openai(settings(upstream.url, upstream_retries=2, answer_timeout_s=1.0)) as driver:
        refused(driver, "complete", errors.AnswerTimeout)
    # The waits of the SDK between its tries come on top.
    assert time.monotonic() - started < 4.5
    assert len(upstream.asked) == 1


@MODES
def test_a_provider_that_takes_no_connection(opener: Opener, mode: str) -> None:
    with deaf() as url, opener(settings(url, connect_timeout_s=0.2)) as driver:
        refused(driver, mode, errors.ConnectTimeout)


@MODES
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400 Bad Request", errors.UpstreamRejected),
        ("401 Unauthorized", errors.UpstreamUnauthorized),
        ("403 Forbidden", errors.UpstreamUnauthorized),
        ("404 Not Found", errors.UpstreamRejected),
        ("413 Too Large", errors.UpstreamRejected),
        ("418 Teapot", errors.UpstreamRejected),
        ("422 Unprocessable", errors.UpstreamRejected),
        ("500 Oops", errors.UpstreamUnavailable),
        ("502 Bad Gateway", errors.UpstreamUnavailable),
        ("529 Overloaded", errors.UpstreamUnavailable),
    ],
)
def test_a_status(
    driver: Driver, upstream: Upstream, mode: str, status: str, kind: type[UpstreamError]
) -> None:
    upstream.will(failing(status))
    assert refused(driver, mode, kind).headers == {}
    assert len(upstream.asked) == 1


@MODES
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400 Bad Request", errors.UpstreamRejected),
        ("401 Unauthorized", errors.UpstreamUnauthorized),
        ("404 Not Found", errors.UpstreamRejected),
    ],
)
def test_what_will_not_pass_is_not_retried(
    opener: Opener, upstream: Upstream, mode: str, status: str, kind: type[UpstreamError]
) -> None:
    upstream.will(failing(status))
    with opener(settings(upstream.url, upstream_retries=2)) as driver:
        refused(driver, mode, kind)
    assert len(upstream.asked) == 1


@MODES
@pytest.mark.parametrize(("status", "kind"), [
    ("429 Too Many Requests", errors.UpstreamRateLimited),
    ("503 Unavailable", errors.UpstreamUnavailable),
])  # fmt: skip
def test_a_long_retry_after_is_passed_on_and_not_waited_for(
    opener: Opener, upstream: Upstream, mode: str, status: str, kind: type[UpstreamError]
) -> None:
    upstream.will(failing(status, Retry_After="30"))
    started = time.monotonic()
    with opener(settings(upstream.url, upstream_retries=2)) as driver:
        assert refused(driver, mode, kind).headers == {"Retry-After": "30"}
    assert time.monotonic() - started < 1
    assert len(upstream.asked) == 1


@MODES
def test_a_short_retry_after_is_waited_for(opener: Opener, upstream: Upstream, mode: str) -> None:
    upstream.will(failing("429 Too Many Requests", Retry_After="1"), good(mode))
    started = time.monotonic()
    with opener(settings(upstream.url, upstream_retries=1)) as driver:
        assert ask(driver, mode) == REPLY
    assert time.monotonic() - started >= 1
    assert len(upstream.asked) == 2


@MODES
def test_a_rate_limit_without_a_time_names_one(
    driver: Driver, upstream: Upstream, mode: str
) -> None:
    upstream.will(failing("429 Too Many Requests"))
    error = refused(driver, mode, errors.UpstreamRateLimited)
    assert (error.status, error.headers) == (503, {"Retry-After": "1"})


@MODES
def test_a_failure_that_passes_is_retried(opener: Opener, upstream: Upstream, mode: str) -> None:
    upstream.will(failing("500 Oops"), good(mode))
    with opener(settings(upstream.url, upstream_retries=1)) as driver:
        assert ask(driver, mode) == REPLY
    assert [asked.headers["x-request-id"] for asked in upstream.asked] == [REQUEST_ID] * 2


@MODES
def test_a_failure_that_stays_is_retried_so_often_and_no_more(
    opener: Opener, upstream: Upstream, mode: str
) -> None:
    upstream.will(failing("500 Oops"))
    with opener(settings(upstream.url, upstream_retries=1)) as driver:
        refused(driver, mode, errors.UpstreamUnavailable)
    assert len(upstream.asked) == 2


@MODES
@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_connection_that_breaks_before_the_answer(
    driver: Driver, upstream: Upstream, mode: str, ending: Ending
) -> None:
    upstream.will(Reply((), ending))
    refused(driver, mode, errors.UpstreamUnreachable)


@MODES
@pytest.mark.parametrize("reply", [
    answer(b"<html>Log in</html>", kind="text/html"),
    answer(b"<html>Log in</html>", kind="application/json"),
    answer(b"", kind="text/plain"),
    answer(b"{}"),
    answer(b'{"choices":[{"delta":{"content":"x"}}]}'),
    Reply((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",)),
    Reply((b"HTTP/1.1 204 No Content\r\n\r\n",)),
    Reply((b"SSH-2.0-OpenSSH_9.2\r\n",), "close"),
], ids=["html", "html as json", "nothing", "no answer", "a chunk", "no type", "204", "ssh"])  # fmt: skip
def test_what_is_not_an_answer(driver: Driver, upstream: Upstream, mode: str, reply: Reply) -> None:
    upstream.will(reply)
    with pytest.raises(UpstreamError) as raised:
        ask(driver, mode)
    assert raised.value.code in ("upstream_protocol", "upstream_unreachable")
    if b"SSH" not in reply.writes[0]:
        refused(driver, mode, errors.UpstreamProtocolError)


@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/plain"])
def test_a_body_that_is_no_stream_is_not_read(
    driver: Driver, upstream: Upstream, kind: str
) -> None:
    raw = head("200 OK", {"Content-Type": kind, "Content-Length": "99999"})
    upstream.will(Reply((raw + bodies.stream(["one"]),), "hold"))
    started = time.monotonic()
    refused(driver, "stream", errors.UpstreamProtocolError)
    assert upstream.left_after_s(started) < 1


@pytest.mark.parametrize("reply", [
    answer(completion("onetwo")[:-5]),
    answer(completion("onetwo", choices=[])),
    answer(completion(None, choices=None)),
    first_half("close"),
    first_half("reset"),
], ids=["truncated", "empty choices", "no choices", "closed", "reset"])  # fmt: skip
def test_half_a_completion(driver: Driver, upstream: Upstream, reply: Reply) -> None:
    upstream.will(reply)
    refused(driver, "complete", errors.UpstreamProtocolError)


@pytest.mark.parametrize("error", [{"message": SECRET}, SECRET])
def test_an_error_object_for_a_completion(
    driver: Driver, upstream: Upstream, error: object
) -> None:
    upstream.will(answer(json.dumps({"error": error}).encode()))
    refused(driver, "complete", UpstreamError)


@pytest.mark.parametrize(("rest", "kind"), [
    (b'data: {"id":"x","choi\n\n', errors.UpstreamProtocolError),
    (b"data: <html>\n\n", errors.UpstreamProtocolError),
    (b"data: [DONE]\n\n", errors.UpstreamProtocolError),
    (b"", errors.UpstreamProtocolError),
    (b"".join(line + b"\n\n" for line in data_lines(chunks([]))[:-1]), errors.UpstreamProtocolError),
    (data_lines([{"error": {"message": SECRET}}])[0] + b"\n\n", UpstreamError),
    (b'data: {"error":{"code":"rate_limit_exceeded"}}\n\n', errors.UpstreamRateLimited),
], ids=["truncated", "html", "no reason", "cut off", "no done", "error", "rate limit"])  # fmt: skip
def test_trouble_midway(
    driver: Driver, upstream: Upstream, rest: bytes, kind: type[UpstreamError]
) -> None:
    for reply in (
        event_stream(bodies.half("one") + rest),
        event_stream(bodies.half("one"), rest or b":\n\n"),
    ):
        upstream.will(reply)
        tokens_then(driver, kind)


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_stream_that_breaks(driver: Driver, upstream: Upstream, ending: Ending) -> None:
    upstream.will(Reply(event_stream(bodies.half("one"), ending="hold").writes, ending))
    tokens_then(driver, errors.UpstreamProtocolError)


def test_chunks_without_choices_are_passed_over(driver: Driver, upstream: Upstream) -> None:
    empty = data_lines([chunk(), chunk(choices=None), chunk(usage=bodies.COUNTED)])[:-1]
    before = b"".join(line + b"\n\n" for line in empty)
    upstream.will(event_stream(before, bodies.stream(["one", "two"])))
    assert ask(driver, "stream") == REPLY


@MODES
def test_trouble_does_not_spoil_what_follows(driver: Driver, upstream: Upstream, mode: str) -> None:
    upstream.will(
        failing("500 Oops"),
        Reply((), "reset"),
        event_stream(bodies.half("a"), ending="close"),
        good(mode),
    )
    for _ in range(3):
        with pytest.raises(UpstreamError):
            ask(driver, mode)
    assert ask(driver, mode) == REPLY


NOW = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 7 ", 7),
        ("99999", MAX_RETRY_AFTER_S),
        ("9" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        (format_datetime(NOW, usegmt=True), 0),
        (formatdate(NOW.timestamp() + 90, usegmt=True), 90),
        (formatdate(NOW.timestamp() - 90, usegmt=True), 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
    ],
)
def test_retry_after(header: str | None, seconds: int | None) -> None:
    assert retry_after(header, NOW.timestamp()) == seconds


@given(
    st.text() | st.from_regex(r"\w{3}, \d{1,3} \w{3} \d{1,6} \d{1,3}:\d{1,3}:\d{1,3} [+-]?\w{1,6}")
)
def test_no_retry_after_causes_an_error(header: str) -> None:
    seconds = retry_after(header, NOW.timestamp())
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_S
