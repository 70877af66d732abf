"""Whatever goes wrong, the client gets the one error body."""

import logging

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from shared.errors import InternalError, ServiceError, from_status
from shared.telemetry import REQUEST_ID_HEADER

from .cors import grant
from .telemetry import request_id

_log = logging.getLogger(__name__)


# region: handlers
def install(app: FastAPI) -> None:
    """Routes our errors, the framework's own and the unforeseen to the one error body."""
    app.add_exception_handler(ServiceError, respond)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unforeseen)


# region: error-body
async def respond(request: Request, error: Exception) -> Response:
    """The one error body, with the error's own status and headers."""
    assert isinstance(error, ServiceError)
    # Starlette answers the unforeseen outside every middleware, so the id is set here too.
    headers = error.headers | {REQUEST_ID_HEADER: request_id(request)}
    body = error.body(request_id(request))
    return Response(body, error.status, headers, media_type="application/json")


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # Starlette's own Allow names the methods of the first route at the path only.
    allow = {
        method
        for router in request.app.state.routers
        for route in router.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", ())
    }
    return await respond(request, from_status(error.status_code, allow))


async def _unforeseen(request: Request, error: Exception) -> Response:
    # The server logs the traceback, but does not know the request's id.
    _log.error("request %s failed", request_id(request))
    response = await respond(request, InternalError())
    # Starlette sends it past every middleware.
    grant(request, response.headers)
    return response
