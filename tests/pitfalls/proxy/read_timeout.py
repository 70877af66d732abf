"""The longest silence that nginx bears, scaled down sixty times: its 60 s are 1 s here."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import httpx2
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Ground
from tests.pitfalls.proxies import nginx

PITFALL = Pitfall(
    title="a model that says nothing for one and a half times proxy_read_timeout",
    article="a stack that waits for the whole answer only needs patient clients",
    flask="a batch answer is given up: 503",
    fastapi="a stream without heartbeats is cut",
    fixed="a stream with heartbeats is whole; under a longer timeout so is the batch answer",
    fix="a heartbeat well within the timeout; for a batch answer a timeout longer than the longest answer",
    guide="proxy",
    number=5,
)
SCALE = 60
TIMEOUT_S, HEARTBEAT_S, SILENCE_S = 60 / SCALE, 15 / SCALE, 90 / SCALE
SHORT = ("proxy_read_timeout 310s;", f"proxy_read_timeout {TIMEOUT_S * 1000:.0f}ms;")
PING, WORDS = ": ping\n\n", "data: an answer\n\n"


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended: its status, whether it was whole, after how many seconds, and its heartbeats."""

    status: int
    whole: bool
    took_s: float
    pings: int

    @property
    def words(self) -> str:
        if self.status != 200:
            return f"given up: {self.status}"
        return "whole" if self.whole else "cut"


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/answer")
    def answer() -> str:
        time.sleep(SILENCE_S)
        return WORDS

    return app


def fastapi_app(heartbeat_s: float = SILENCE_S) -> FastAPI:
    app = FastAPI()

    @app.get("/answer")
    async def answer() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            for _ in range(round(SILENCE_S / heartbeat_s)):
                yield PING
                await asyncio.sleep(heartbeat_s)
            yield WORDS

        return StreamingResponse(chunks(), media_type="text/event-stream")

    return app


def probe(url: str) -> Ending:
    started, text = time.monotonic(), ""
    try:
        with httpx2.stream("GET", f"{url}/answer", timeout=30) as answer:
            for part in answer.iter_text():
                text += part
    except httpx2.RemoteProtocolError:
        assert not text.endswith(WORDS)
    return Ending(
        answer.status_code, text.endswith(WORDS), time.monotonic() - started, text.count(PING)
    )


def observe(ground: Ground) -> Observation:
    with ExitStack() as opened, ThreadPoolExecutor() as threads:
        batch, silent, beating = (
            opened.enter_context(ground.serving(app))
            for app in (flask_app(), fastapi_app(), fastapi_app(HEARTBEAT_S))
        )
        proxies = [
            opened.enter_context(nginx(app, ground.folder, *changes)).url
            for app, *changes in ((batch, SHORT), (silent, SHORT), (beating, SHORT), (batch,))
        ]
        given_up, cut, whole, patient = threads.map(probe, proxies)
    evidence = (
        f"scaled {SCALE} times, {SILENCE_S:g} s of silence and a timeout of {TIMEOUT_S:g} s: batch"
        f" {given_up.status} after {given_up.took_s:.2f} s; silent stream broken off after {cut.took_s:.2f}"
        f" s; stream with a heartbeat every {HEARTBEAT_S:g} s whole after {whole.took_s:.2f} s and"
        f" {whole.pings} heartbeats; batch with the shipped 310 s {patient.status} after {patient.took_s:.2f} s"
    )
    return Observation(
        f"a batch answer is {given_up.words}",
        f"a stream without heartbeats is {cut.words}",
        f"a stream with heartbeats is {whole.words}; under a longer timeout"
        f" {'so is the batch answer' if patient.whole else f'the batch answer is {patient.words}'}",
        evidence,
    )
