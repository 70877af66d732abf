"""The provider of bytes, and each adapter in front of it."""

from collections.abc import Iterator

import pytest

from tests.shared.llm.drivers import (
    Driver,
    Opener,
    async_openai,
    settings,
    sync_openai,
)
from tests.shared.llm.upstream import Upstream, serving


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module", params=[sync_openai, async_openai], ids=["sync", "async"])
def opener(request: pytest.FixtureRequest) -> Opener:
    chosen: Opener = request.param
    return chosen


@pytest.fixture(scope="module")
def driver(opener: Opener, upstream: Upstream) -> Iterator[Driver]:
    with opener(settings(upstream.url)) as opened:
        yield opened
