"""What is observed: a request's id, and what the process holds now."""

from typing import cast

from flask import Flask, Response, g, request

from shared import telemetry
from shared.telemetry import REQUEST_ID_HEADER, choose_request_id

from .services import Services


# region: request-id
def install(app: Flask) -> None:
    """Gives every request an id and every response its header."""
    app.before_request(_begin)
    app.after_request(_end)


def request_id() -> str:
    """The id of the current request."""
    return cast(str, g.request_id)


# region: gauges
def exposition(held: Services) -> bytes:
    """The gauges of this process, in Prometheus's text format."""
    return telemetry.exposition({telemetry.IN_FLIGHT: held.slots.in_use})


# region: middleware
def _begin() -> None:
    g.request_id = choose_request_id(request.headers.get(REQUEST_ID_HEADER))


def _end(response: Response) -> Response:
    response.headers[REQUEST_ID_HEADER] = request_id()
    return response
