"""CORS: closed unless origins are listed; then every answer says who may read it, and browsers abide by it."""

import http.server
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.apps.exchange import JSON, Answer, frames, post, send
from tests.apps.failing import MIDWAY
from tests.apps.test_unforeseen import SERVE
from tests.chromium import NAMES
from tests.conftest import APPS, Stack
from tests.servers import Server, free_port, serving

PAGE, STRANGER = "https://chat.example", "https://evil.example"
KEY = {"Authorization": "Bearer key-of-ada"}
PROMPT = b'{"prompt": "hi"}'
GRANTED = {
    "access-control-allow-origin": PAGE,
    "access-control-expose-headers": "X-Request-ID, Retry-After",
}
WANTED = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}
Request = tuple[str, str, bytes | None, dict[str, str]]


class _Blank(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """A blank page has nothing to say."""


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    """The port of a site with a blank page; by its address it is listed, by the name `localhost` it is not."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Blank) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module", params=APPS)
def opened(
    request: pytest.FixtureRequest, site: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Each app with listed origins, and a bug in every answer."""
    port = free_port()
    where = [f"127.0.0.1:{port}"] if request.param == "legacy_flask" else ["--port", str(port)]
    settings = {
        "CHAT_CORS_ORIGINS": f"http://127.0.0.1:{site},{PAGE}",
        "CHAT_MAX_BODY_BYTES": "1000",
    }
    arguments = [*SERVE[request.param], *where]
    directory = tmp_path_factory.mktemp("opened")
    with serving(request.param, arguments, port, directory, settings) as server:
        yield server


def _sent(server: Server, request: Request, headers: Mapping[str, str]) -> Answer:
    method, path, body, own = request
    return send(server.url, method, path, body, own | dict(headers))


def _granted(answer: Answer) -> dict[str, str]:
    fields = [(name.lower(), value) for name, value in answer.headers.items()]
    assert len(fields) == len(dict(fields)), "a header comes twice"
    return {name: value for name, value in fields if name.startswith("access-control-")}


ANSWERS: dict[int, Request] = {
    200: ("GET", "/healthz", None, {}),
    404: ("GET", "/nothing", None, {}),
    405: ("PUT", "/chat", PROMPT, JSON),
    413: ("POST", "/chat", PROMPT + b" " * 1000, JSON),
    415: ("POST", "/chat", PROMPT, {}),
    422: ("POST", "/chat", b"{}", JSON),
    500: ("POST", "/chat", PROMPT, JSON),
}


@pytest.mark.parametrize("status", ANSWERS)
def test_every_answer_may_be_read_by_a_listed_page(opened: Server, status: int) -> None:
    answer = _sent(opened, ANSWERS[status], {"Origin": PAGE})
    assert answer.status == status
    assert _granted(answer) == GRANTED
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("headers", [{"Origin": STRANGER}, {"Origin": "null"}, {}], ids=str)
@pytest.mark.parametrize("status", ANSWERS)
def test_no_answer_may_be_read_by_another(
    opened: Server, status: int, headers: dict[str, str]
) -> None:
    answer = _sent(opened, ANSWERS[status], headers)
    assert answer.status == status
    assert _granted(answer) == {}
    assert answer.headers["Vary"] == "Origin"


def test_a_stream_may_be_read_by_a_listed_page(opened: Server) -> None:
    request = {"prompt": "hi", "model": MIDWAY, "stream": True}
    answer = post(opened.url, request, {"Origin": PAGE})
    assert answer.status == (200 if opened.name == "fastapi_app" else 500)
    assert _granted(answer) == GRANTED
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("path", ["/chat", "/chat/sessions/a", "/healthz", "/nothing"])
def test_a_preflight_needs_no_route(opened: Server, path: str) -> None:
    answer = send(opened.url, "OPTIONS", path, headers=WANTED | {"Origin": PAGE})
    assert (answer.status, answer.body) == (204, b"")
    assert _granted(answer) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": (
            "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-ID"
        ),
        "access-control-max-age": "600",
        "access-control-expose-headers": "X-Request-ID, Retry-After",
    }
    assert answer.headers["Vary"] == "Origin"
    assert answer.request_id
    assert not {"Content-Type", "Content-Length"} & set(answer.headers)


def test_a_preflight_of_another_page_is_granted_nothing(opened: Server) -> None:
    answer = send(opened.url, "OPTIONS", "/chat", headers=WANTED | {"Origin": STRANGER})
    assert (answer.status, answer.body, _granted(answer)) == (204, b"", {})
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("headers", [{"Origin": PAGE}, WANTED, {}], ids=str)
def test_any_other_options_is_refused_as_before(opened: Server, headers: dict[str, str]) -> None:
    answer = send(opened.url, "OPTIONS", "/chat", headers=headers)
    assert (answer.status, answer.code) == (405, "method_not_allowed")


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/chat"])
def test_without_the_setting_nothing_is_said(stack: Stack, method: str, path: str) -> None:
    answer = send(stack.url, method, path, headers=WANTED | {"Origin": PAGE})
    assert _granted(answer) == {}
    assert "Vary" not in answer.headers
    assert answer.status == send(stack.url, method, path).status


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("a browser's CORS check needs Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


FETCH = """async ([url, headers, body]) => {
  try {
    const answer = await fetch(url, {method: "POST", headers, body});
    return [answer.status, answer.headers.get("X-Request-ID"), await answer.text()];
  } catch (error) {
    return error.name;
  }
}"""
LISTEN = """url => new Promise(resolve => {
  const source = new EventSource(url);
  let text = "";
  source.addEventListener("delta", event => { text += JSON.parse(event.data).text; });
  for (const name of ["done", "failure", "error"])
    source.addEventListener(name, () => { resolve([name, text, source.readyState]); source.close(); });
})"""
OPEN, CLOSED = 1, 2  # EventSource.readyState


def _fetched(page: Page, server: Server, request_id: str) -> Any:
    headers = KEY | JSON | {"X-Request-ID": request_id, "Idempotency-Key": "k"}
    body = json.dumps({"prompt": "hi", "model": MIDWAY, "stream": True})
    return page.evaluate(FETCH, [f"{server.url}/chat", headers, body])


def test_a_listed_page_fetches_a_stream_or_an_error(page: Page, site: int, opened: Server) -> None:
    page.goto(f"http://127.0.0.1:{site}/")
    status, request_id, body = _fetched(page, opened, "listed")
    assert request_id == "listed"
    if opened.name == "legacy_flask":
        assert (status, json.loads(body)["error"]["code"]) == (500, "internal")
    else:
        names = [name for name, _ in frames(body.encode())]
        assert (status, {*names[:-1]}, names[-1]) == (200, {"delta"}, "failure")


def test_a_fetch_of_another_page_is_not_even_sent(page: Page, site: int, opened: Server) -> None:
    page.goto(f"http://localhost:{site}/")
    assert _fetched(page, opened, "stranger") == "TypeError"
    page.goto(f"http://127.0.0.1:{site}/")
    _fetched(page, opened, "after-it")
    assert "stranger" not in opened.logs("after-it")


def test_only_a_listed_page_listens_to_a_stream(page: Page, site: int, opened: Server) -> None:
    url = f"{opened.url}/chat?prompt=hi&model={MIDWAY}"
    heard = ["failure", "onetwo", OPEN] if opened.name == "fastapi_app" else ["error", "", CLOSED]
    page.goto(f"http://127.0.0.1:{site}/")
    assert page.evaluate(LISTEN, url) == heard
    page.goto(f"http://localhost:{site}/")
    assert page.evaluate(LISTEN, url) == ["error", "", CLOSED]
