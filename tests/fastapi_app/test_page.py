"""The page's files, as the streaming stack serves them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.exchange import Answer, send
from tests.conftest import Stack
from tests.servers import Server, app

PAGE = Path(__file__).parents[2] / "fastapi_app/page"
TYPES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A streaming stack that knows where the batch stack is."""
    settings = {"CHAT_LEGACY_URL": "https://batch.example.com/v1/"}
    with app("fastapi_app", tmp_path_factory.mktemp("beside"), None, settings) as running:
        yield running


def policy(answer: Answer) -> dict[str, str]:
    directives = answer.headers["Content-Security-Policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


@pytest.mark.parametrize("path", TYPES)
def test_a_file_is_served_as_it_is(streaming: Stack, path: str) -> None:
    name, media_type = TYPES[path]
    answer = send(streaming.url, "GET", path)
    assert answer.status == 200
    assert answer.body == (PAGE / name).read_bytes()
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", [*TYPES, "/page.json"])
def test_head_has_the_headers_of_get(streaming: Stack, path: str) -> None:
    get, head = (send(streaming.url, method, path) for method in ("GET", "HEAD"))
    assert head.status == 200
    assert head.body == b""
    names = ("Content-Type", "Content-Length", "ETag", "Content-Security-Policy")
    assert [head.headers[name] for name in names] == [get.headers[name] for name in names]


@pytest.mark.parametrize("path", TYPES)
def test_a_copy_that_is_still_right_is_not_sent_again(streaming: Stack, path: str) -> None:
    etag = send(streaming.url, "GET", path).headers["ETag"]
    for held in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = send(streaming.url, "GET", path, headers={"If-None-Match": held})
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["ETag"] == etag
        assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("held", ['"other"', "", "page"])
def test_another_copy_is_replaced(streaming: Stack, held: str) -> None:
    assert send(streaming.url, "GET", "/", headers={"If-None-Match": held}).status == 200


def test_each_file_has_a_tag_of_its_own(streaming: Stack) -> None:
    assert len({send(streaming.url, "GET", path).headers["ETag"] for path in TYPES}) == len(TYPES)


def test_the_page_connects_to_its_own_stack_alone(streaming: Stack) -> None:
    answer = send(streaming.url, "GET", "/")
    assert policy(answer) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert json.loads(send(streaming.url, "GET", "/page.json").body) == {"legacy_url": None}


def test_and_to_the_batch_stack_where_there_is_one(beside: Server) -> None:
    answer = send(beside.url, "GET", "/page.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert json.loads(answer.body) == {"legacy_url": "https://batch.example.com/v1"}
    connect = policy(send(beside.url, "GET", "/"))["connect-src"]
    assert connect == "'self' https://batch.example.com:443"


def test_a_file_takes_no_post(streaming: Stack) -> None:
    answer = send(streaming.url, "POST", "/page.js", b"{}")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET"
