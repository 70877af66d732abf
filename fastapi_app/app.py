"""The composition root: wiring only."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.lowlevel
from fastapi import FastAPI

from shared.settings import Settings

from . import cors, errors, page, telemetry, tickets, websocket
from .connection import REQUEST_TIMEOUT_S
from .routes import api
from .services import Services
from .sessions import open_sessions


# region: create-app
def create_app(settings: Settings, services: Services) -> FastAPI:
    """The FastAPI application around services that the caller opened and its lifespan closes."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, float]]:
        # anyio's backend and the executor are imported at their first use; a request may lack the descriptor.
        await anyio.lowlevel.checkpoint()
        await asyncio.to_thread(gc.collect)
        # What is imported by now never becomes garbage; looking through it would stall every stream.
        gc.freeze()
        app.state.sessions = sessions = open_sessions(services) if settings.resumable else None
        with services.drain.ahead_of_uvicorn():
            yield {REQUEST_TIMEOUT_S: settings.request_timeout_s}
        if sessions is not None:
            await sessions.close()
        await services.close()

    app = FastAPI(title="Chat", lifespan=lifespan, redirect_slashes=False)
    app.state.services = services
    # The middleware that is added last runs first.
    cors.install(app, settings.cors_origins)
    telemetry.install(app)
    errors.install(app)
    logging.getLogger("uvicorn.error").addFilter(websocket.without_query)
    browsers = (tickets.api, websocket.api, page.api) if settings.resumable else ()
    app.state.routers = (api, *browsers)
    for router in app.state.routers:
        app.include_router(router)
    return app
