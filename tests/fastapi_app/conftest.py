"""What several suites share: a server of sessions and the two users who have keys, and a parser from npm."""

import shutil
from collections.abc import Iterator

import pytest

from tests.fastapi_app.readers import Reader, eventsource_parser
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


@pytest.fixture(scope="module")
def npm() -> Iterator[Reader]:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip("eventsource-parser needs node and npm; on Debian: apt-get install nodejs npm")
    with eventsource_parser(node) as reader:
        yield reader
