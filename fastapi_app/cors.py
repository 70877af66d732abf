"""CORS: which pages of other origins may read the answers."""

from fastapi import FastAPI, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.cors import VARY, grants, preflight

from .services import services


# region: cors
def install(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Opens the app to pages of these origins; with none nothing is installed, and browsers let no page in."""
    if origins:
        app.add_middleware(_Cors)


def grant(request: Request, headers: MutableHeaders) -> None:
    """Says on an answer whether the page that asked may read it."""
    if origins := services(request).settings.cors_origins:
        headers.add_vary_header(VARY)
        headers.update(grants(request.headers.get("Origin"), origins))


# region: preflight
class _Cors:
    """Answers a preflight before any route or key is looked at: browsers send neither body nor key with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)

        async def send_granted(message: Message) -> None:
            if message["type"] == "http.response.start":
                grant(request, MutableHeaders(scope=message))
            await send(message)

        origins = services(request).settings.cors_origins
        granted = preflight(request.method, request.headers.get, origins)
        app = self._app if granted is None else Response(status_code=204, headers=granted)
        await app(scope, receive, send_granted)
