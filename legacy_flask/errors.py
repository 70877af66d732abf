"""Whatever goes wrong, the client gets the one error body."""

from flask import Flask, Response, current_app
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from shared.errors import InternalError, ServiceError, from_status

from .telemetry import request_id


# region: handlers
def install(app: Flask) -> None:
    """Routes our errors, the framework's own and the unforeseen to the one error body."""
    app.register_error_handler(ServiceError, respond)
    app.register_error_handler(HTTPException, _framework)
    app.register_error_handler(Exception, _unforeseen)


# region: error-body
def respond(error: ServiceError) -> Response:
    """The one error body, with the error's own status and headers."""
    body = error.body(request_id())
    return Response(body, error.status, error.headers, content_type="application/json")


def _framework(error: HTTPException) -> Response:
    allow = set(error.valid_methods or ()) if isinstance(error, MethodNotAllowed) else None
    return respond(from_status(error.code or 500, allow))


def _unforeseen(error: Exception) -> Response:
    current_app.logger.error("request %s failed", request_id(), exc_info=error)
    return respond(InternalError())
