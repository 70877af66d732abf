"""Fixtures shared by all suites: the simulated provider, and each app in front of it."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from hypothesis import settings

from tests.servers import Server, Simulator, app, simulator

APPS = ("legacy_flask", "fastapi_app")
MAX_BODY_BYTES = 64 * 1024
TAIL_LINES = 40
settings.register_profile("few", max_examples=3)


@dataclass(frozen=True)
class Stack:
    """One app and the provider behind it."""

    name: str
    app: Server
    simulator: Simulator

    @property
    def url(self) -> str:
        return self.app.url


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("upstream")) as running:
        yield running


@pytest.fixture(scope="session")
def stacks(
    upstream: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Stack]]:
    """Both apps at once, with no retries, so that a fault of the provider is seen at once."""
    settings = {"CHAT_UPSTREAM_RETRIES": "0", "CHAT_MAX_BODY_BYTES": str(MAX_BODY_BYTES)}
    with ExitStack() as opened:
        running = {
            name: opened.enter_context(
                app(name, tmp_path_factory.mktemp(name), upstream.base_url, settings)
            )
            for name in APPS
        }
        yield {name: Stack(name, server, upstream) for name, server in running.items()}


@pytest.fixture(params=APPS)
def stack(request: pytest.FixtureRequest, stacks: dict[str, Stack]) -> Stack:
    """Each app in its turn."""
    return stacks[request.param]


@pytest.fixture
def streaming(stacks: dict[str, Stack]) -> Stack:
    """The app that streams."""
    return stacks["fastapi_app"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-skips", action="store_true", help="a skipped test fails the run")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the end of the log of each server that a failed test used."""
    report = yield
    if report.failed:
        servers = {server.log: server for server in _servers(getattr(item, "funcargs", {}))}
        for server in servers.values():
            tail = "\n".join(server.logged().splitlines()[-TAIL_LINES:])
            report.sections.append((f"log of {server.name}", tail))
    return report


def _servers(arguments: dict[str, object]) -> Iterator[Server]:
    for value in arguments.values():
        if isinstance(value, Server):
            yield value
        elif isinstance(value, Stack):
            yield from (value.app, value.simulator)
        elif isinstance(value, dict):
            yield from _servers(value)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--forbid-skips"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("\nFAILED: a test was skipped, and --forbid-skips was given", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
