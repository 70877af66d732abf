"""A bug of ours is a 500 with the one error body: logged for us, with nothing of it for the client."""

from collections.abc import Iterator

import pytest

from tests.apps.exchange import Answer, frames, post, send
from tests.apps.failing import MIDWAY, SECRET
from tests.conftest import APPS
from tests.servers import Server, free_port, serving

SERVE = {
    "legacy_flask": ["gunicorn", "tests.apps.failing:flask_app()", "--no-control-socket", "--bind"],
    "fastapi_app": ["uvicorn", "--factory", "tests.apps.failing:asgi_app", "--no-access-log"],
}


@pytest.fixture(scope="module", params=APPS)
def broken(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    port = free_port()
    where = [f"127.0.0.1:{port}"] if request.param == "legacy_flask" else ["--port", str(port)]
    arguments = [*SERVE[request.param], *where]
    with serving(request.param, arguments, port, tmp_path_factory.mktemp("broken")) as server:
        yield server


def _asked(server: Server) -> list[Answer]:
    return [
        post(server.url, {"prompt": "hi"}, {"X-Request-ID": "the-bug"}),
        post(server.url, {"prompt": "hi", "stream": True}, {"X-Request-ID": "the-bug"}),
        send(server.url, "GET", "/chat?prompt=hi", headers={"X-Request-ID": "the-bug"}),
    ]


def test_it_is_a_500_with_the_one_error_body(broken: Server) -> None:
    for answer in _asked(broken):
        assert answer.status == 500
        assert answer.json() == {
            "error": {
                "code": "internal",
                "message": "The service failed.",
                "request_id": "the-bug",
                "details": [],
            }
        }
        assert answer.request_id == "the-bug"
        assert SECRET not in answer.body.decode()


def test_it_is_logged_with_its_traceback_and_its_request(broken: Server) -> None:
    post(broken.url, {"prompt": "hi"}, {"X-Request-ID": "logged-bug"})
    log = broken.logs("Traceback", SECRET)
    assert "logged-bug" in log


def test_the_next_request_is_served(broken: Server) -> None:
    _asked(broken)
    assert send(broken.url, "GET", "/healthz").status == 200


def test_a_bug_midway_ends_the_stream_with_a_failure(
    broken: Server, request: pytest.FixtureRequest
) -> None:
    if broken.name == "legacy_flask":
        answer = post(broken.url, {"prompt": "hi", "model": MIDWAY})
        assert answer.status == 500
        return
    answer = post(broken.url, {"prompt": "hi", "model": MIDWAY, "stream": True})
    *deltas, (name, failure) = frames(answer.body)
    assert (answer.status, name, failure["code"]) == (200, "failure", "internal")
    assert "".join(data["text"] for _, data in deltas) == "onetwo"
    assert SECRET not in answer.body.decode()
