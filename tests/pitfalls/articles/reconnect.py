"""When an EventSource connects again by itself."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from fastapi import FastAPI, Header
from fastapi.exceptions import HTTPException
from fastapi.responses import Response
from flask import Flask, abort
from flask import Response as FlaskResponse

from tests.pitfalls.browsers import Hearing, event_source
from tests.pitfalls.catalogue import Observation, Pitfall, each
from tests.pitfalls.ground import Answering, Ground

PITFALL = Pitfall(
    title="a 503, and an answer that has come to its end; heard by Chromium's EventSource",
    article="EventSource connects again by itself after an error, and there is nothing to do",
    flask="a 503 is final, a finished answer is bought again",
    fastapi="a 503 is final, a finished answer is bought again",
    fixed="a 503 is final, a finished answer is bought once",
    fix="end with an event at which the page calls close(), answer a reconnect behind it with 204, and let the"
    " page itself try again after an error status",
    guide="stream-it",
    number=8,
)
HEADERS: Mapping[str, str] = {
    "Content-Type": "text/event-stream",
    "Access-Control-Allow-Origin": "*",  # the page is of another origin
}


def flask_app() -> Flask:
    app = Flask(__name__)
    bought = count(1)

    @app.get("/busy")
    def busy() -> FlaskResponse:
        abort(FlaskResponse(status=503, headers=HEADERS))

    @app.get("/chat")
    def chat() -> FlaskResponse:
        return FlaskResponse(f"retry: 20\ndata: answer {next(bought)}\n\n", headers=HEADERS)

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()
    bought = count(1)

    @app.get("/busy")
    async def busy() -> Response:
        raise HTTPException(503, headers=dict(HEADERS))

    @app.get("/chat")
    async def chat() -> Response:
        return Response(f"retry: 20\ndata: answer {next(bought)}\n\n", headers=HEADERS)

    return app


def fixed_app() -> FastAPI:
    app = FastAPI()
    bought = count(1)

    @app.get("/busy")
    async def busy() -> Response:
        raise HTTPException(503, headers=dict(HEADERS))

    @app.get("/chat")
    async def chat(last_event_id: str | None = Header(None)) -> Response:
        if last_event_id == "end":
            return Response(status_code=204, headers=HEADERS)
        end = "id: end\nevent: done\ndata: {}\n\n"
        return Response(f"retry: 20\ndata: answer {next(bought)}\n\n{end}", headers=HEADERS)

    return app


def probe(url: str, hear: Hearing) -> str:
    refused = [event.name for event in hear(f"{url}/busy", 2)]
    answers = [event.data for event in hear(f"{url}/chat", 2) if event.name == "message"]
    final = "final" if refused == ["error"] else "tried again"
    often = {("answer 1",): "once", ("answer 1", "answer 2"): "again"}[tuple(answers)]
    return f"a 503 is {final}, a finished answer is bought {often}"


def observe(ground: Ground) -> Observation:
    plain, ended = Answering(fastapi_app()), Answering(fixed_app())
    with event_source(ground.folder) as hear:
        seen = each(ground, lambda url: probe(url, hear), flask_app(), plain, ended)
    evidence = (
        f"requests of Chromium for one question: {answered(plain)}; with a last event and its id:"
        f" {answered(ended)}; behind a 503: {len(plain.statuses['/busy']) - 1} more"
    )
    return replace(seen, evidence=evidence)


def answered(app: Answering) -> str:
    statuses = app.statuses["/chat"]
    return f"{', '.join(map(str, statuses))} (the model is asked {statuses.count(200)}x)"
