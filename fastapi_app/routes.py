"""The HTTP surface."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from shared.auth import Caller
from shared.errors import BadRequest, BodyTooLarge, RequestTimeout
from shared.intake import chat_from_json, chat_from_query
from shared.schemas import ChatRequest
from shared.settings import Settings
from shared.telemetry import METRICS_TYPE

from . import telemetry
from .auth import caller
from .delivery import deliver
from .services import services

# region: surface
api = APIRouter()

_Who = Annotated[Caller, Depends(caller)]
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": ChatRequest.model_json_schema()}},
    }
}


# region: body
async def chat_from_body(request: Request) -> ChatRequest:
    """The JSON body as a ChatRequest; its size is bounded here, since no ASGI server bounds it."""
    settings = services(request).settings
    body = await _read(request, settings)
    return chat_from_json(body, request.headers.get("Content-Type"), settings)


async def _read(request: Request, settings: Settings) -> bytes:
    try:
        async with asyncio.timeout(settings.request_timeout_s):
            return await _bytes(request, settings.max_body_bytes)
    except TimeoutError:
        raise RequestTimeout from None


async def _bytes(request: Request, most: int) -> bytes:
    announced = request.headers.get("Content-Length", "0")
    if announced.isdigit() and int(announced) > most:
        raise BodyTooLarge
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise BodyTooLarge
    except ClientDisconnect:
        raise BadRequest from None
    return bytes(body)


# region: chat
@api.post("/chat", openapi_extra=_BODY)
async def post_chat(request: Request, who: _Who) -> Response:
    """Answers a ChatRequest."""
    chat = await chat_from_body(request)
    return await deliver(chat, who, request)


@api.get("/chat")
async def get_chat(request: Request, who: _Who) -> Response:
    """Answers a prompt given in the query string."""
    chat = chat_from_query(request.scope["query_string"], services(request).settings)
    return await deliver(chat, who, request)


# region: state
@api.api_route("/healthz", methods=["GET", "HEAD"])
async def healthz() -> dict[str, str]:
    """Says that the process lives."""
    return {"status": "ok"}


@api.api_route("/readyz", methods=["GET", "HEAD"])
async def readyz(request: Request) -> dict[str, str]:
    """Says that the process takes requests; 503 as soon as a drain begins."""
    services(request).drain.check()
    return {"status": "ready"}


@api.api_route("/metrics", methods=["GET", "HEAD"])
async def metrics(request: Request) -> Response:
    """What this process holds and does now, for Prometheus."""
    return Response(telemetry.exposition(services(request)), media_type=METRICS_TYPE)
