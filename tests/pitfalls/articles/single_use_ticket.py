"""A ticket in the address of an EventSource that is good for one use."""

import secrets
from collections.abc import Mapping
from dataclasses import replace

import httpx2
from fastapi import FastAPI, Header
from fastapi.exceptions import HTTPException
from fastapi.responses import Response
from flask import Flask, abort, request
from flask import Response as FlaskResponse

from tests.pitfalls.browsers import Hearing, event_source
from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Answering, Ground

PITFALL = Pitfall(
    title="the connection is lost after the first of two tokens; heard by Chromium's EventSource",
    article="the ticket in the EventSource's address is deleted at its first use",
    flask="one, then given up",
    fastapi="one, then given up",
    fixed="one, two",
    fix="bind the ticket to one stream for a short time, reconnects included, and go on behind Last-Event-ID",
    guide="auth-and-limits",
    number=7,
)
HEADERS: Mapping[str, str] = {
    "Content-Type": "text/event-stream",
    "Access-Control-Allow-Origin": "*",  # the page is of another origin
}
FRAMES = ("retry: 20\nid: 1\ndata: one\n\n", "retry: 20\nid: 2\ndata: two\n\n")


def flask_app() -> Flask:
    app = Flask(__name__)
    tickets: set[str] = set()

    @app.post("/tickets")
    def issue() -> str:
        tickets.add(ticket := secrets.token_urlsafe())
        return ticket

    @app.get("/events")
    def events() -> FlaskResponse:
        if (ticket := request.args["ticket"]) not in tickets:
            abort(FlaskResponse(status=401, headers=HEADERS))
        tickets.remove(ticket)
        return FlaskResponse(after(request.headers.get("Last-Event-ID")), headers=HEADERS)

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()
    tickets: set[str] = set()

    @app.post("/tickets")
    async def issue() -> Response:
        tickets.add(ticket := secrets.token_urlsafe())
        return Response(ticket)

    @app.get("/events")
    async def events(ticket: str, last_event_id: str | None = Header(None)) -> Response:
        if ticket not in tickets:
            raise HTTPException(401, headers=dict(HEADERS))
        tickets.remove(ticket)
        return Response(after(last_event_id), headers=HEADERS)

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()
    tickets: set[str] = set()

    @app.post("/tickets")
    async def issue() -> Response:
        tickets.add(ticket := secrets.token_urlsafe())
        return Response(ticket)

    @app.get("/events")
    async def events(ticket: str, last_event_id: str | None = Header(None)) -> Response:
        if ticket not in tickets:
            raise HTTPException(401, headers=dict(HEADERS))
        if last_event_id == str(len(FRAMES)):
            tickets.remove(ticket)
            return Response(status_code=204, headers=HEADERS)
        return Response(after(last_event_id), headers=HEADERS)

    return app


def after(last_event_id: str | None) -> str:
    """The next token; the connection is lost behind each."""
    return FRAMES[int(last_event_id or 0)]


def observe(ground: Ground) -> Observation:
    once, bound = Answering(fastapi_app()), Answering(fixed_app())
    with event_source(ground.folder) as hear:
        seen = each(ground, lambda url: probe(url, hear), flask_app(), once, bound)
    evidence = (
        f"one address, asked for again by Chromium: {answered(once)}, after which it asked no more;"
        f" with a ticket bound to its stream: {answered(bound)}"
    )
    return replace(seen, evidence=evidence)


def answered(app: Answering) -> str:
    statuses = app.statuses["/events"]
    return f"{', '.join(map(str, statuses))} ({statuses.count(200)} of {len(FRAMES)} tokens)"


def probe(url: str, hear: Hearing) -> str:
    ticket = httpx2.post(f"{url}/tickets").text
    heard = hear(f"{url}/events?ticket={ticket}", 3)
    words = [event.data for event in heard if event.name == "message"]
    return ", ".join(words if len(words) == len(FRAMES) else [*words, "then given up"])
