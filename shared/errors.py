"""One tree of errors; each knows its HTTP status, its code and what a client may read.

ServiceError
├── ClientError
│   ├── BadRequest                400 bad_request
│   │   └── InvalidJson           400 invalid_json
│   ├── Unauthorized              401 unauthorized
│   ├── TicketRefused             403 ticket_refused
│   ├── NotFound                  404 not_found
│   ├── MethodNotAllowed          405 method_not_allowed     (Allow)
│   ├── RequestTimeout            408 request_timeout
│   ├── BodyTooLarge              413 body_too_large
│   ├── UnsupportedMediaType      415 unsupported_media_type
│   ├── InvalidRequest            422 invalid_request        (details)
│   ├── KeyReused                 422 key_reused
│   └── RateLimited               429 rate_limited           (Retry-After)
│       └── TooManyAnswers        429 too_many_answers       (Retry-After)
├── UpstreamError                 502 upstream_error
│   ├── UpstreamRejected          400 upstream_rejected
│   ├── UpstreamUnauthorized      502 upstream_unauthorized
│   ├── UpstreamUnreachable       502 upstream_unreachable
│   ├── UpstreamUnavailable       502 upstream_unavailable   (Retry-After)
│   ├── UpstreamProtocolError     502 upstream_protocol
│   ├── UpstreamRateLimited       503 upstream_rate_limited  (Retry-After)
│   └── UpstreamTimeout           504 upstream_timeout
│       ├── ConnectTimeout        504 connect_timeout
│       ├── FirstTokenTimeout     504 first_token_timeout
│       ├── TokenTimeout          504 token_timeout
│       └── AnswerTimeout         504 answer_timeout
├── Overloaded                    503 overloaded             (Retry-After)
├── StoreUnavailable              503 store_unavailable      (Retry-After)
├── Draining                      503 draining               (Retry-After)
├── HistoryLost                   410 gap
├── ReaderLost                    499 client_closed
│   ├── SlowReader                499 slow_reader
│   ├── Stopped                   499 stopped
│   └── Abandoned                 499 abandoned
└── InternalError                 500 internal
"""

from typing import ClassVar

import msgspec

from shared.record import Outcome


class Detail(msgspec.Struct, frozen=True):
    """One field of a request that was refused; never the value that was sent."""

    field: str
    code: str
    message: str


class ServiceError(Exception):
    """The parent of every error that a client may see; `message` is fixed text, never an exception's."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    outcome: ClassVar[Outcome] = "failed"
    message: str = "The service failed."

    def __init__(
        self,
        message: str | None = None,
        *,
        details: tuple[Detail, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        self.message = message or type(self).message
        self.details = details
        self.headers = headers or {}
        super().__init__(self.code)

    def body(self, request_id: str) -> bytes:
        """The one error body, as JSON."""
        error = {
            "code": self.code,
            "message": self.message,
            "request_id": request_id,
            "details": self.details,
        }
        return msgspec.json.encode({"error": error})


class ClientError(ServiceError):
    status = 400


class BadRequest(ClientError):
    code = "bad_request"
    message = "The request could not be read."


class InvalidJson(BadRequest):
    code = "invalid_json"
    message = "The body is not valid JSON."


class Unauthorized(ClientError):
    status = 401
    code = "unauthorized"
    message = "A valid API key is required: Authorization: Bearer <key>."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"})


class TicketRefused(ClientError):
    """One refusal for every ticket that opens nothing: wrong, expired, replaced, or of another session."""

    status = 403
    code = "ticket_refused"
    message = "This ticket does not open this stream; ask for a new one."


class NotFound(ClientError):
    status = 404
    code = "not_found"
    message = "There is nothing at this path."


class MethodNotAllowed(ClientError):
    status = 405
    code = "method_not_allowed"
    message = "This path does not take this method; the Allow header names those it takes."

    def __init__(self, allow: set[str]) -> None:
        # HEAD goes without saying where GET is cheap, and is refused where GET buys an answer.
        super().__init__(headers={"Allow": ", ".join(sorted(allow - {"HEAD"}))})


class RequestTimeout(ClientError):
    status = 408
    code = "request_timeout"
    message = "The body did not arrive in time."

    def __init__(self) -> None:
        # What else may come of the body is not read: the connection cannot be used again.
        super().__init__(headers={"Connection": "close"})


class BodyTooLarge(ClientError):
    status = 413
    code = "body_too_large"
    message = "The body is larger than this service takes."


class UnsupportedMediaType(ClientError):
    status = 415
    code = "unsupported_media_type"
    message = "The body must be sent as Content-Type: application/json."


class InvalidRequest(ClientError):
    status = 422
    code = "invalid_request"
    message = "The request has fields that are missing, unknown or out of range."


class KeyReused(ClientError):
    status = 422
    code = "key_reused"
    message = "This Idempotency-Key belongs to another request."


class RateLimited(ClientError):
    status = 429
    code = "rate_limited"
    retryable = True
    message = "This user has asked too often; Retry-After says when to ask again."

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(headers={"Retry-After": str(max(1, retry_after_s))})


class TooManyAnswers(RateLimited):
    code = "too_many_answers"
    message = "This user has as many answers under way as are allowed."

    def __init__(self) -> None:
        super().__init__(1)


class UpstreamError(ServiceError):
    status = 502
    code = "upstream_error"
    message = "The model provider failed."


class UpstreamRejected(UpstreamError):
    status = 400
    code = "upstream_rejected"
    message = "The model provider refused this request."


class UpstreamUnauthorized(UpstreamError):
    code = "upstream_unauthorized"
    message = "The model provider does not accept this service's credentials."


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"
    retryable = True
    message = "The model provider cannot be reached."


class UpstreamUnavailable(UpstreamError):
    code = "upstream_unavailable"
    retryable = True
    message = "The model provider is not available."


class UpstreamProtocolError(UpstreamError):
    code = "upstream_protocol"
    retryable = True
    message = "The model provider sent an answer that cannot be read."


class UpstreamRateLimited(UpstreamError):
    status = 503
    code = "upstream_rate_limited"
    retryable = True
    message = "The model provider asks this service to slow down."


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"
    retryable = True
    outcome = "timed_out"
    message = "The model provider did not answer in time."


class ConnectTimeout(UpstreamTimeout):
    code = "connect_timeout"
    message = "The model provider took no connection in time."


class FirstTokenTimeout(UpstreamTimeout):
    code = "first_token_timeout"
    message = "The model provider did not begin its answer in time."


class TokenTimeout(UpstreamTimeout):
    code = "token_timeout"
    message = "The model provider fell silent in the middle of its answer."


class AnswerTimeout(UpstreamTimeout):
    code = "answer_timeout"
    message = "The answer took longer than this service waits."


class Overloaded(ServiceError):
    status = 503
    code = "overloaded"
    retryable = True
    message = "This service has as many answers in flight as it takes."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class StoreUnavailable(ServiceError):
    status = 503
    code = "store_unavailable"
    retryable = True
    message = "Streams that can be resumed are not available at the moment."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class Draining(ServiceError):
    status = 503
    code = "draining"
    retryable = True
    outcome = "drained"
    message = "This server is about to stop; another one will answer."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class HistoryLost(ServiceError):
    """A stream cannot go on where its client left off; the client begins anew."""

    status = 410
    code = "gap"
    retryable = True
    message = "A part of this answer is lost; ask for it from the beginning."


class ReaderLost(ServiceError):
    """The client left; its status is nginx's own for this, and only a log sees it."""

    status = 499
    code = "client_closed"
    outcome: ClassVar[Outcome] = "cancelled"
    message = "The client closed the connection."


class SlowReader(ReaderLost):
    code = "slow_reader"
    outcome = "slow_reader"
    message = "The client took nothing for too long."


class Stopped(ReaderLost):
    code = "stopped"
    message = "The answer was stopped by its user."


class Abandoned(ReaderLost):
    code = "abandoned"
    retryable = True
    message = "Nobody came back for this answer in time."


class InternalError(ServiceError):
    """Anything that nobody foresaw."""


def from_status(status: int, allow: set[str] | None = None) -> ServiceError:
    """The error for a status that a framework answered by itself (a 404 of its router, say)."""
    if status == MethodNotAllowed.status:
        return MethodNotAllowed(allow or set())
    known = {kind.status: kind for kind in (NotFound, BodyTooLarge, UnsupportedMediaType)}
    if kind := known.get(status):
        return kind()
    return BadRequest() if 400 <= status < 500 else InternalError()
