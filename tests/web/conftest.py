"""One browser and one set of servers for all tests of the page: they are up for less than a minute."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.chromium import NAMES
from tests.servers import Server
from tests.web.network import Network, missing, networked
from tests.web.rig import Rig, launched, screenshots, standing
from tests.web.visit import Visit, Visiting, visiting


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the tests of the browser where there is none, or no network for it: one line a file says so."""
    ours = [item for item in items if "rig" in getattr(item, "fixturenames", ())]
    if ours and (reason := _lacking()):
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))


def _lacking() -> str | None:
    if not any(map(shutil.which, NAMES)):
        return "the page needs Chromium; on Debian: apt-get install chromium"
    return missing()


@pytest.fixture(scope="package")
def chromium() -> str:
    return next(filter(None, map(shutil.which, NAMES)))


@pytest.fixture(scope="package")
def network() -> Iterator[Network]:
    with networked() as network:
        yield network


@pytest.fixture(scope="package")
def rig(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with standing(network, tmp_path_factory.mktemp("rig")) as rig:
        yield rig


@pytest.fixture(scope="package")
def servers(rig: Rig) -> dict[str, Server]:
    """By address, so that a test which fails shows what they logged."""
    return rig.servers


@pytest.fixture(scope="package")
def browser(
    network: Network, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright, chromium, network, tmp_path_factory.mktemp("chromium"))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go."""
    return screenshots(tmp_path_factory.mktemp("screenshots"))


@pytest.fixture
def visit(browser: Browser, servers: dict[str, Server], album: Path) -> Iterator[Visiting]:
    """Opens the page at an address; closed at the end of the test."""
    with ExitStack() as opened:

        def visit(url: str, script: Path | None = None) -> Visit:
            return opened.enter_context(visiting(browser, url, album, script))

        yield visit
