"""API keys: known by their hash only; without one, or with a wrong one, nothing is answered."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.apps.exchange import post, send
from tests.conftest import APPS
from tests.servers import Server, Simulator, app

KEYS = {"ada": "key-of-ada", "bob": "key-of-bob"}
RING = ",".join(f"{user}:{hashlib.sha256(key.encode()).hexdigest()}" for user, key in KEYS.items())


@pytest.fixture(scope="module")
def guarded(
    upstream: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Server]]:
    directory = tmp_path_factory.mktemp("guarded")
    settings = {"CHAT_API_KEYS": RING}
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
