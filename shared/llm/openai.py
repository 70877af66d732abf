"""Any OpenAI-compatible server, through the official SDK, sync and async.

The SDK keeps authentication, timeouts, retries (with jitter, before the response only) and errors. The
stream is taken as raw bytes: the SDK's typed stream costs several times more a token.
"""

import contextlib
import email.utils
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextvars import ContextVar
from typing import Any

import httpx2
import openai

from shared import errors
from shared.llm import wire
from shared.llm.transport import WindowedTransport
from shared.schemas import ChatReply, ChatRequest, Delta, Done
from shared.settings import Settings
from shared.telemetry import REQUEST_ID_HEADER

MAX_RETRY_AFTER_S = 3600
_due: ContextVar[float | None] = ContextVar("due", default=None)


class OpenAILLM:
    """The sync adapter; one connection pool, safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        client = openai.DefaultHttpxClient(
            limits=_limits(settings),
            follow_redirects=False,
            event_hooks={"request": [_hasten], "response": [_patience(settings)]},
        )
        self._client = openai.OpenAI(**_options(settings), http_client=client)
        # Looked up now: the SDK imports this part of itself at its first use, in somebody's request.
        self._create = self._client.chat.completions.with_streaming_response.create

    def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply:
        call = self._call(request, request_id, stream=False)
        with (
            translated(errors.AnswerTimeout),
            _due_in(self._settings.answer_timeout_s) as due,
            call as response,
        ):
            body = bytearray()
            for data in response.http_response.iter_raw():
                body += data
                if time.monotonic() > due:
                    raise errors.AnswerTimeout
            return wire.reply(bytes(body))

    def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> Generator[Delta | Done, None, None]:
        decoder = wire.StreamDecoder()
        call = self._call(request, request_id, stream=True)
        with translated(decoder.late), call as response:
            check_stream(response.http_response)
            for data in response.http_response.iter_raw():
                if delta := decoder.feed(data):
                    yield delta
                if decoder.ended:
                    break
            yield decoder.flush()

    def close(self) -> None:
        self._client.close()

    def _call(self, request: ChatRequest, request_id: str, *, stream: bool) -> Any:
        return self._create(
            **wire.payload(request, self._settings.model, stream=stream),
            **_call_options(self._settings, request_id, stream=stream),
        )


class AsyncOpenAILLM:
    """The async adapter; its transport reads a stream once a window."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        patience = _patience(settings)

        async def patient(response: httpx2.Response) -> None:
            patience(response)

        transport = WindowedTransport(
            settings.upstream_connections, settings.coalesce_ms / 1000, settings.coalesce_tokens
        )
        client = httpx2.AsyncClient(transport=transport, event_hooks={"response": [patient]})
        self._client = openai.AsyncOpenAI(**_options(settings), http_client=client)
        self._create = self._client.chat.completions.with_streaming_response.create

    async def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply:
        call = self._call(request, request_id, stream=False)
        with translated(errors.AnswerTimeout):
            async with call as response:
                return wire.reply(await response.read())

    async def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> AsyncGenerator[Delta | Done, None]:
        decoder = wire.StreamDecoder()
        with translated(decoder.late):
            async with self._call(request, request_id, stream=True) as response:
                check_stream(response.http_response)
                async for data in response.http_response.aiter_raw():
                    if delta := decoder.feed(data):
                        yield delta
                    if decoder.ended:
                        break
                yield decoder.flush()

    async def close(self) -> None:
        await self._client.close()

    def _call(self, request: ChatRequest, request_id: str, *, stream: bool) -> Any:
        return self._create(
            **wire.payload(request, self._settings.model, stream=stream),
            **_call_options(self._settings, request_id, stream=stream),
        )


def _options(settings: Settings) -> dict[str, Any]:
    key, url = settings.openai_api_key, settings.openai_base_url
    return {
        # A self-hosted server often wants no key, the SDK always does.
        "api_key": key.get_secret_value() if key else "none",
        "base_url": str(url) if url else None,
        "max_retries": settings.upstream_retries,
    }


def _call_options(settings: Settings, request_id: str, *, stream: bool) -> dict[str, Any]:
    silence = max(settings.first_token_timeout_s, settings.token_timeout_s)
    connect = settings.connect_timeout_s
    return {
        "timeout": httpx2.Timeout(
            connect=connect,
            read=silence if stream else settings.answer_timeout_s,
            write=connect,
            pool=connect,
        ),
        # Bytes are decoded as they were read: compressed ones would have to be gathered first.
        "extra_headers": {REQUEST_ID_HEADER: request_id, "Accept-Encoding": "identity"},
    }


def _limits(settings: Settings) -> httpx2.Limits:
    most = settings.upstream_connections
    return httpx2.Limits(max_connections=most, max_keepalive_connections=most)


@contextlib.contextmanager
def _due_in(most_s: float) -> Iterator[float]:
    """When the answer of this thread is due, retries included; on the monotonic clock."""
    due = time.monotonic() + most_s
    token = _due.set(due)
    try:
        yield due
    finally:
        _due.reset(token)


def _hasten(request: httpx2.Request) -> None:
    """A request hook: the SDK would give every retry the whole of the deadline again."""
    if (due := _due.get()) is not None:
        left = due - time.monotonic()
        if left <= 0:
            raise httpx2.ReadTimeout("the answer is overdue", request=request)
        request.extensions["timeout"]["read"] = left


def _patience(settings: Settings) -> Any:
    """A response hook: the SDK would wait up to two minutes for a Retry-After while a person waits."""

    def patience(response: httpx2.Response) -> None:
        wait = retry_after(response.headers.get("Retry-After"), time.time())
        if wait is not None and wait > settings.upstream_retry_after_s:
            response.headers["x-should-retry"] = "false"

    return patience


def retry_after(header: str | None, now: float) -> int | None:
    """Seconds that a Retry-After asks for (RFC 9110, 10.2.3: seconds or a date), at most an hour."""
    if header is None:
        return None
    with contextlib.suppress(ValueError):
        if header.strip().isdigit():
            return min(int(header), MAX_RETRY_AFTER_S)
        wait = email.utils.parsedate_to_datetime(header).timestamp() - now
        return max(0, min(round(wait), MAX_RETRY_AFTER_S))
    return None


def check_stream(response: httpx2.Response) -> None:
    """Raises UpstreamProtocolError unless the response is an event stream (a login page, say, is not)."""
    if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
        raise errors.UpstreamProtocolError


@contextlib.contextmanager
def translated(late: Callable[[], errors.UpstreamTimeout]) -> Iterator[None]:
    """Raises what the SDK and its transport raise as the error tree's own, without their words.

    `late` makes the error of a provider that let us wait, once it had taken the connection.
    """
    try:
        yield
    except (openai.OpenAIError, httpx2.TransportError, httpx2.StreamError) as error:
        raise _translate(error, late) from None


def _translate(
    error: Exception, late: Callable[[], errors.UpstreamTimeout]
) -> errors.UpstreamError:
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        connecting = isinstance(error.__cause__ or error, httpx2.ConnectTimeout)
        return errors.ConnectTimeout() if connecting else late()
    if isinstance(error, openai.APIStatusError):
        return _from_status(error.response)
    if isinstance(error, openai.APIConnectionError):
        return errors.UpstreamUnreachable()
    if isinstance(error, httpx2.TransportError):
        return errors.UpstreamProtocolError()
    return errors.UpstreamError()


def _from_status(response: httpx2.Response) -> errors.UpstreamError:
    wait = retry_after(response.headers.get("Retry-After"), time.time())
    headers = {} if wait is None else {"Retry-After": str(wait)}
    status = response.status_code
    if status == 429:
        return errors.UpstreamRateLimited(headers=headers or {"Retry-After": "1"})
    if status in (401, 403):
        return errors.UpstreamUnauthorized()
    if status >= 500:
        return errors.UpstreamUnavailable(headers=headers)
    return errors.UpstreamRejected() if status >= 400 else errors.UpstreamProtocolError()
