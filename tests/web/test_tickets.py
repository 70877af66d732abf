"""Tickets that open nothing, to whoever asks over plain HTTP and to a page that is cut off meanwhile."""

import time
from urllib.parse import quote

from tests.apps.exchange import JSON, Answer, send
from tests.web.brisk import said
from tests.web.rig import KEY, MODEL, TICKET_S, Rig, streamed
from tests.web.visit import Visiting

PROMPT = "How long is a ticket good?"
SESSIONS = "/chat/sessions"
BODY = b'{"prompt": "Wait for me."}'


def issued(
    url: str, idempotency_key: str | None = None, api_key: str | None = None
) -> dict[str, str]:
    """A session, or another ticket of the one that this key has."""
    headers = dict(JSON)
    if idempotency_key:
        headers["Idempotency-Key"] = idempotency_key
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    answer = send(url, "POST", SESSIONS, BODY, headers)
    assert answer.status in (200, 201), answer.body
    made: dict[str, str] = answer.json()
    return made


def opened(url: str, session_id: str, ticket: str | None) -> Answer:
    query = "" if ticket is None else f"?ticket={quote(ticket)}"
    return send(url, "GET", f"{SESSIONS}/{quote(session_id)}/events{query}")


def test_tickets_that_open_nothing_are_told_apart_by_nobody(rig: Rig) -> None:
    url, keyed = rig.front.url, rig.keyed.url
    short = issued(keyed, api_key=KEY)
    expires_at = time.monotonic() + TICKET_S
    first = issued(url, "twice")
    second = issued(url, "twice")
    other = issued(url)
    assert second["session_id"] == first["session_id"]
    session_id = first["session_id"]
    refused = {
        "replaced": opened(url, session_id, first["ticket"]),
        "of another session": opened(url, session_id, other["ticket"]),
        "of another service": opened(url, session_id, short["ticket"]),
        "of an unknown session": opened(url, "A" * 22, second["ticket"]),
        "none": opened(url, session_id, None),
    }
    for text in ("", "x", second["ticket"][:-1], second["ticket"] + "A", "\0", "é🙂", "A" * 5000):
        refused[f"malformed: {text[:8]!r}"] = opened(url, session_id, text)
    # The one thing to wait for is time itself.
    time.sleep(max(0, expires_at + 0.05 - time.monotonic()))
    refused["expired"] = opened(keyed, short["session_id"], short["ticket"])
    same = refused["none"].but_for_the_id()
    assert same["error"]["code"] == "ticket_refused"
    assert {name: answer.status for name, answer in refused.items()} == dict.fromkeys(refused, 403)
    assert {name: answer.but_for_the_id() for name, answer in refused.items()} == dict.fromkeys(
        refused, same
    )
    assert all(
        answer.headers.keys() == refused["none"].headers.keys() for answer in refused.values()
    )


def test_a_page_that_is_asked_for_a_key_and_loses_its_ticket_recovers(
    rig: Rig, visit: Visiting
) -> None:
    page = visit(rig.keyed.url)
    page.ask(PROMPT)
    page.comes_to("stream", "failed")
    page.photograph("key-asked-for")
    page.part("key").fill(KEY)
    page.part("send").click()
    page.shows("stream", 40)
    rig.keyed.refuse()
    rig.keyed.cut()
    page.page.wait_for_timeout(TICKET_S * 1000)
    page.photograph("ticket-expires")
    rig.keyed.refuse(False)
    phase = page.comes_to("stream", "done", "failed")
    assert (phase, page.text("stream")) == ("done", said(MODEL, page.request_id(), PROMPT))
    assert len(streamed(rig.provider, page.request_id())) == 1
    assert 403 in page.statuses("/events")
