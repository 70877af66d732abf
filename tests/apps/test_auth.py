"""API keys: known by their hash only; without one, or with a wrong one, nothing is answered."""

import hashlib
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.apps.exchange import TIMEOUT_S, post, send
from tests.conftest import APPS
from tests.servers import Server, Simulator, app, free_port, serving

KEYS = {"ada": "key-of-ada", "bob": "key-of-bob"}
PAGE = "https://chat.example"
RING = ",".join(f"{user}:{hashlib.sha256(key.encode()).hexdigest()}" for user, key in KEYS.items())


@pytest.fixture(scope="module")
def guarded(
    upstream: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Server]]:
    directory = tmp_path_factory.mktemp("guarded")
    settings = {"CHAT_API_KEYS": RING, "CHAT_CORS_ORIGINS": PAGE}
    first, second = APPS
    with (
        app(first, directory, upstream.base_url, settings) as legacy,
        app(second, directory, upstream.base_url, settings) as streaming,
    ):
        yield {first: legacy, second: streaming}


REFUSED = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Basic key-of-ada"},
    {"Authorization": "key-of-ada"},
    {"Authorization": f"Bearer {hashlib.sha256(b'key-of-ada').hexdigest()}"},
]


@pytest.mark.parametrize("headers", REFUSED, ids=str)
def test_nobody_else_is_answered(guarded: dict[str, Server], headers: dict[str, str]) -> None:
    answers = [post(server.url, {"prompt": "hi"}, headers) for server in guarded.values()]
    answers += [
        send(server.url, "GET", "/chat?prompt=hi", headers=headers) for server in guarded.values()
    ]
    assert {(answer.status, answer.code) for answer in answers} == {(401, "unauthorized")}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}
    first, *rest = (answer.but_for_the_id() for answer in answers)
    assert all(body == first for body in rest)


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_known_key_is_answered(guarded: dict[str, Server], name: str, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} key-of-ada"}
    assert post(guarded[name].url, {"prompt": "hi"}, headers).status == 200


@pytest.mark.parametrize("name", APPS)
def test_the_key_is_asked_for_before_the_body_is_judged(
    guarded: dict[str, Server], name: str
) -> None:
    assert send(guarded[name].url, "POST", "/chat", b"{").status == 401


@pytest.mark.parametrize("name", APPS)
def test_probes_need_no_key(guarded: dict[str, Server], name: str) -> None:
    assert send(guarded[name].url, "GET", "/healthz").status == 200
    assert send(guarded[name].url, "GET", "/readyz").status == 200


@pytest.mark.parametrize("name", APPS)
def test_no_key_is_logged(guarded: dict[str, Server], name: str) -> None:
    post(guarded[name].url, {"prompt": "hi"}, {"Authorization": "Bearer key-of-ada"})
    post(guarded[name].url, {"prompt": "hi"}, {"Authorization": "Bearer key-of-nobody"})
    assert "key-of" not in guarded[name].logged()


@pytest.mark.parametrize("name", APPS)
def test_a_page_of_a_listed_origin_reads_the_refusal(guarded: dict[str, Server], name: str) -> None:
    answer = post(guarded[name].url, {"prompt": "hi"}, {"Origin": PAGE})
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (401, PAGE)


@pytest.mark.parametrize("name", APPS)
def test_a_preflight_which_has_no_key_needs_none(guarded: dict[str, Server], name: str) -> None:
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    answer = send(guarded[name].url, "OPTIONS", "/chat", headers=headers)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, PAGE)


@pytest.mark.parametrize("keys", [("key-of-ada", "key-of-bob"), ("wrong", "key-of-ada")])
def test_two_keys_are_none(guarded: dict[str, Server], keys: tuple[str, str]) -> None:
    """A proxy that adds its key to a client's must not leave the choice to us."""
    fields = "".join(f"Authorization: Bearer {key}\r\n" for key in keys)
    for server in guarded.values():
        request = f"GET /chat?prompt=hi HTTP/1.1\r\nHost: h\r\n{fields}Connection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as connection:
            connection.sendall(request.encode())
            assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 401 ")


BY_HAND = {
    "legacy_flask": ["gunicorn", "legacy_flask.__main__:app()", "--no-control-socket", "--bind"],
    "fastapi_app": ["uvicorn", "--factory", "fastapi_app.__main__:app", "--host", "0.0.0.0"],
}


OUTER = "192.0.2.9"  # for documentation (RFC 5737): nobody else has it


@pytest.fixture
def outer() -> Iterator[str]:
    """An address of this machine that is not loopback's; connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect((OUTER, 9))
        yield str(probe.getsockname()[0])
        return
    given = subprocess.run(["ip", "addr", "add", OUTER, "dev", "lo"], check=False)
    if given.returncode:
        pytest.skip("the machine has no address beyond loopback, and only root can give it one")
    yield OUTER
    subprocess.run(["ip", "addr", "del", f"{OUTER}/32", "dev", "lo"], check=True)


@pytest.mark.parametrize("name", APPS)
def test_a_server_started_by_hand_answers_nobody_beyond_loopback_without_keys(
    tmp_path: Path, name: str, outer: str
) -> None:
    port = free_port()
    where = [f"0.0.0.0:{port}"] if name == "legacy_flask" else ["--port", str(port)]
    with serving(name, [*BY_HAND[name], *where], port, tmp_path) as server:
        answers = [
            post(f"http://{outer}:{port}", {"prompt": "hi"}),
            send(f"http://{outer}:{port}", "GET", "/chat?prompt=hi", headers={"Host": "localhost"}),
        ]
        assert send(f"http://{outer}:{port}", "GET", "/readyz").status == 200
        log = server.logs("without CHAT_API_KEYS")
    assert {(answer.status, answer.code) for answer in answers} == {(401, "unauthorized")}
    assert log.count("without CHAT_API_KEYS") == 1
