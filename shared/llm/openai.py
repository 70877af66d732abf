"""Any OpenAI-compatible server, through the official SDK, sync and async.

The SDK keeps authentication, timeouts, retries (with jitter, before the response only) and errors. The
stream is taken as raw bytes: the SDK's typed stream costs several times more a token.
"""

import contextlib
import email.utils
import time
from collections.abc import AsyncGenerator, Generator, Iterator
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


class OpenAILLM:
    """The sync adapter; one connection pool, safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        client = openai.DefaultHttpxClient(
            limits=_limits(settings),
            follow_redirects=False,
            event_hooks={"response": [_patience(settings)]},
        )
        self._client = openai.OpenAI(**_options(settings), http_client=client)

    def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply:
        call = self._call(request, request_id, stream=False)
        with translated(), call as response:
            return wire.reply(response.read())

    def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> Generator[Delta | Done, None, None]:
        decoder = wire.StreamDecoder()
        with translated(), self._call(request, request_id, stream=True) as response:
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
        return self._client.chat.completions.with_streaming_response.create(
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

    async def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply:
        call = self._call(request, request_id, stream=False)
        with translated():
            async with call as response:
                return wire.reply(await response.read())

    async def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> AsyncGenerator[Delta | Done, None]:
        decoder = wire.StreamDecoder()
        with translated():
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
        return self._client.chat.completions.with_streaming_response.create(
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
    silence = settings.token_timeout_s if stream else settings.answer_timeout_s
    connect = settings.connect_timeout_s
    return {
        "timeout": httpx2.Timeout(connect=connect, read=silence, write=connect, pool=connect),
        # Bytes are decoded as they were read: compressed ones would have to be gathered first.
        "extra_headers": {REQUEST_ID_HEADER: request_id, "Accept-Encoding": "identity"},
    }


def _limits(settings: Settings) -> httpx2.Limits:
    most = settings.upstream_connections
    return httpx2.Limits(max_connections=most, max_keepalive_connections=most)


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
def translated() -> Iterator[None]:
    """Raises what the SDK and its transport raise as the error tree's own, without their words."""
    try:
        yield
    except (openai.OpenAIError, httpx2.TransportError, httpx2.StreamError) as error:
        raise _translate(error) from None


def _translate(error: Exception) -> errors.UpstreamError:
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return errors.UpstreamTimeout()
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
