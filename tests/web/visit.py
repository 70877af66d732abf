"""The page as its user has it, and what the browser noticed meanwhile."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    ViewportSize,
    WebSocket,
    expect,
)

MOST_MS = 30_000
SESSIONS = "/chat/sessions"
EVENTS = "/events"
SIZE: ViewportSize = {"width": 1280, "height": 800}
LOOKS = Path(__file__).with_name("looks.js")


class Visit:
    """One page; the names of its parts are their test ids.

    `complaints` has what the console and uncaught errors said, `asked` every request that left the page, and
    `answered` every response to one.
    """

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[Request] = []
        self.answered: list[Response] = []
        self.sockets: list[WebSocket] = []
        self._folder = folder
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda one: self.asked.append(one))
        page.on("response", lambda one: self.answered.append(one))
        page.on("websocket", lambda one: self.sockets.append(one))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} {message.location.get('url', '')}")

    def part(self, name: str) -> Locator:
        return self.page.get_by_test_id(name)

    def ask(self, prompt: str) -> None:
        self.part("prompt").fill(prompt)
        self.part("send").click()

    def text(self, pane: str) -> str:
        return self.part(f"{pane}-answer").text_content() or ""

    def phase(self, pane: str) -> str:
        return self.part(f"{pane}-state").get_attribute("data-state") or ""

    def comes_to(self, pane: str, *phases: str) -> str:
        """Waits until the pane is in one of these phases, and says in which."""
        state = self.part(f"{pane}-state")
        known = re.compile("|".join(phases))
        expect(state).to_have_attribute("data-state", known, timeout=MOST_MS)
        return self.phase(pane)

    def shows(self, pane: str, characters: int) -> None:
        """Waits until this much of the answer is there."""
        at_least = re.compile(rf"[\s\S]{{{characters},}}")
        expect(self.part(f"{pane}-answer")).to_have_text(at_least, timeout=MOST_MS)

    def figure(self, name: str) -> float:
        """What a clock shows, in its unit."""
        shown = self.part(name).text_content() or ""
        found = re.search(r"\d+\.\d+", shown)
        assert found, f"{name} shows {shown!r}"
        return float(found[0])

    def request_id(self) -> str:
        """Of the session that was made first, which is the id of its answer upstream."""
        made = (one for one in self.answered if one.status == 201 and one.url.endswith(SESSIONS))
        return str(next(made).headers["x-request-id"])

    def statuses(self, ends_in: str) -> list[int]:
        """Of the responses whose path ends like this."""
        return [one.status for one in self.answered if one.url.partition("?")[0].endswith(ends_in)]

    def read_by(self) -> set[str]:
        """The ways in which the page has read its stream."""
        ways = {
            one.resource_type for one in self.asked if one.url.partition("?")[0].endswith(EVENTS)
        }
        return ways | {"websocket" for _ in self.sockets}

    def photograph(self, name: str) -> None:
        self.page.screenshot(path=self._folder / f"{name}.png", full_page=True)


class Visiting(Protocol):
    """Opens the page at an address, with this script in place of the page's."""

    def __call__(self, url: str, script: Path | None = None) -> Visit: ...


@contextmanager
def visiting(
    browser: Browser, url: str, folder: Path, script: Path | None = None
) -> Iterator[Visit]:
    """The page at this address, in a profile of its own; with this script in place of the page's."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(MOST_MS)
    try:
        context.add_init_script(LOOKS.read_text("utf-8"))
        if script:
            context.route("**/page.js", lambda route: route.fulfill(path=script))
        visit = Visit(context.new_page(), folder)
        visit.page.goto(url)
        yield visit
    finally:
        context.close()
