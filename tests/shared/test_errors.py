"""The tree of errors: each class as the drawing has it, and the one body."""

import json
import re
from collections.abc import Iterator

import pytest

from shared import errors
from shared.errors import (
    Detail,
    InvalidRequest,
    MethodNotAllowed,
    RateLimited,
    ServiceError,
    from_status,
)

DRAWN = re.compile(r"^([│├└─ ]*)(\w+)(?: +(\d{3}) (\w+))?(?: +\(([\w-]+)\))?$")


def _tree(kind: type[ServiceError], depth: int = 0) -> Iterator[tuple[int, type[ServiceError]]]:
    yield depth, kind
    for child in kind.__subclasses__():
        yield from _tree(child, depth + 1)


def _drawing() -> list[tuple[int, str, str | None, str | None]]:
    """Depth, name, status and code of each line of the drawing."""
    lines = (errors.__doc__ or "").splitlines()[2:]
    rows = [match.groups() for line in lines if line and (match := DRAWN.match(line))]
    assert len(rows) == len([line for line in lines if line.strip()])
    return [(len(branch) // 4, name, status, code) for branch, name, status, code, _ in rows]


KINDS = [kind for _, kind in _tree(ServiceError)]
LEAVES = [kind for kind in KINDS if not kind.__subclasses__()]


def made(kind: type[ServiceError]) -> ServiceError:
    if kind is MethodNotAllowed:
        return MethodNotAllowed({"GET"})
    return RateLimited(7) if kind is RateLimited else kind()


def test_the_drawing_has_the_classes_that_exist_in_their_places() -> None:
    assert [(depth, name) for depth, name, *_ in _drawing()] == [
        (depth, kind.__name__) for depth, kind in _tree(ServiceError)
    ]


def test_the_drawing_has_their_statuses_and_codes() -> None:
    drawn = {name: (status, code) for _, name, status, code in _drawing() if status}
    exist = {kind.__name__: (str(kind.status), kind.code) for kind in KINDS}
    assert drawn == {name: exist[name] for name in drawn}
    assert {kind.__name__ for kind in LEAVES} <= set(drawn)


def test_no_two_share_a_code() -> None:
    codes = [
        kind.code for kind in KINDS if kind.__name__ in {row[1] for row in _drawing() if row[3]}
    ]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_body_has_its_shape(kind: type[ServiceError]) -> None:
    body = json.loads(made(kind).body("r-1"))
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message", "request_id", "details"]
    assert body["error"] == {
        "code": kind.code,
        "message": kind.message,
        "request_id": "r-1",
        "details": [],
    }
    assert kind.message.endswith((".", "takes.", "<key>."))
    assert 400 <= kind.status < 600


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_its_text_gives_nothing_away(kind: type[ServiceError]) -> None:
    assert str(made(kind)) == kind.code


def test_details_say_where_and_why() -> None:
    body = InvalidRequest(details=(Detail("prompt", "missing", "is missing"),)).body("r-1")
    assert json.loads(body)["error"]["details"] == [
        {"field": "prompt", "code": "missing", "message": "is missing"}
    ]


def test_only_what_may_pass_is_retryable() -> None:
    assert {kind.__name__ for kind in KINDS if kind.retryable} == {
        "UpstreamUnreachable",
        "UpstreamUnavailable",
        "UpstreamProtocolError",
        "UpstreamRateLimited",
        "UpstreamTimeout",
        "ConnectTimeout",
        "FirstTokenTimeout",
        "TokenTimeout",
        "AnswerTimeout",
        "Overloaded",
        "StoreUnavailable",
        "Draining",
        "RateLimited",
        "TooManyAnswers",
        "HistoryLost",
        "Abandoned",
    }


def test_headers_of_their_own() -> None:
    assert errors.Unauthorized().headers == {"WWW-Authenticate": "Bearer"}
    assert MethodNotAllowed({"POST", "HEAD", "GET"}).headers == {"Allow": "GET, POST"}
    assert errors.UpstreamRateLimited(headers={"Retry-After": "1"}).headers == {"Retry-After": "1"}
    assert RateLimited(7).headers == {"Retry-After": "7"}
    assert RateLimited(0).headers == errors.TooManyAnswers().headers == {"Retry-After": "1"}
    assert errors.NotFound().headers == {}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (404, errors.NotFound),
        (405, MethodNotAllowed),
        (413, errors.BodyTooLarge),
        (415, errors.UnsupportedMediaType),
        (418, errors.BadRequest),
        (500, errors.InternalError),
        (503, errors.InternalError),
        (302, errors.InternalError),
    ],
)
def test_a_status_of_a_framework_has_its_error(status: int, kind: type[ServiceError]) -> None:
    assert type(from_status(status)) is kind
    assert from_status(405, {"GET"}).headers == {"Allow": "GET"}
