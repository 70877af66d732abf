"""What the EventSource of a real browser, headless Chromium, hears at an address."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.chromium import NAMES, Browser, Stream, browsing
from tests.fastapi_app.whatwg import Dispatched
from tests.pitfalls.programs import path_of

PAGE = Path(__file__).with_name("eventsource.html")
Hearing = Callable[[str, int], list[Dispatched]]


@contextmanager
def event_source(folder: Path) -> Iterator[Hearing]:
    """Opens an EventSource at an address, and gives all it hears until it has lost the connection so often, or
    has given up; the address must allow other origins. Raises ProgramMissing."""
    program = path_of(*NAMES, package="chromium")
    with browsing(program, PAGE, folder) as browser:
        yield partial(_heard, browser)


def _heard(browser: Browser, url: str, losses: int) -> list[Dispatched]:
    # The page asks its own site for the address.
    return browser.read(lambda: Stream({}, [url.encode()]), ends=losses).events
