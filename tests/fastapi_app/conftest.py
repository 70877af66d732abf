"""One server for all tests of sessions, and the two users who have keys."""

from collections.abc import Iterator

import pytest

from tests.fastapi_app.session_client import (
    Site,
)
from tests.fastapi_app.session_server import ANN, BOB, GRACE_S, KEYS
from tests.servers import Server, Simulator, app


@pytest.fixture(scope="package")
def server(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "CHAT_API_KEYS": KEYS,
        "CHAT_UPSTREAM_RETRIES": "0",
        "CHAT_RESUME_GRACE_S": str(GRACE_S),
    }
    directory = tmp_path_factory.mktemp("sessions")
    with app("fastapi_app", directory, upstream.base_url, settings) as running:
        yield running


@pytest.fixture
def ann(server: Server) -> Site:
    return Site(server.url, ANN)


@pytest.fixture
def bob(server: Server) -> Site:
    return Site(server.url, BOB)
