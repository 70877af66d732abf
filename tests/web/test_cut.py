"""The network is taken away in mid-stream, for real: no character is lost or doubled, however it is read."""

from pathlib import Path
from urllib.parse import urlencode

from tests.web.brisk import said
from tests.web.rig import MODEL, Rig, streamed
from tests.web.visit import Visit, Visiting

PROMPT = "What is left of an answer whose reader goes away?"
TRANSPORTS = ("eventsource", "fetch", "websocket")
NAIVE = Path(__file__).parent / "pages/naive.js"
BEGUN = 40  # characters
OFFLINE_MS = 3000


def begun(rig: Rig, visit: Visiting) -> tuple[list[Visit], Visit]:
    """A page for each transport, and one that has no more than an EventSource; all of them in mid-stream."""
    visits = [visit(f"{rig.front.url}/?{urlencode({'transport': name})}") for name in TRANSPORTS]
    for one in visits:
        one.ask(PROMPT)
    naive = visit(f"{rig.front.url}/?{urlencode({'prompt': PROMPT})}", NAIVE)
    for one in (*visits, naive):
        one.shows("stream", BEGUN)
    return visits, naive


def whole(one: Visit) -> str:
    return said(MODEL, one.request_id(), PROMPT)


def assert_complete(rig: Rig, *visits: Visit) -> None:
    for one in visits:
        phase = one.comes_to("stream", "done", "failed")
        assert (phase, one.text("stream")) == ("done", whole(one))
        assert len(streamed(rig.provider, one.request_id())) == 1


def test_offline_for_three_seconds_and_then_on_another_network(rig: Rig, visit: Visiting) -> None:
    visits, naive = begun(rig, visit)
    rig.network.pull()
    for one in visits:
        one.page.wait_for_function("!navigator.onLine")
    held = [one.text("stream") for one in visits]
    naive.page.wait_for_timeout(OFFLINE_MS)
    visits[0].photograph("offline")
    assert [one.text("stream") for one in visits] == held
    rig.network.plug(elsewhere=True)
    assert_complete(rig, *visits)
    # Its connection is dead, and nothing has told the browser.
    assert BEGUN <= len(naive.text("stream")) < len(whole(naive))


def test_a_reset_of_all_connections(rig: Rig, visit: Visiting) -> None:
    visits, naive = begun(rig, visit)
    assert rig.front.cut() > len(visits)
    visits[0].comes_to("stream", "reconnecting")
    visits[0].photograph("reconnecting")
    assert_complete(rig, *visits, naive)
    assert [one.read_by() for one in visits] == [{name} for name in TRANSPORTS]
