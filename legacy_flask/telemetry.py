"""What is observed of a request: its id."""

from typing import cast

from flask import Flask, Response, g, request

from shared.telemetry import REQUEST_ID_HEADER, choose_request_id


def install(app: Flask) -> None:
    """Gives every request an id and every response its header."""
    app.before_request(_begin)
    app.after_request(_end)


def request_id() -> str:
    """The id of the current request."""
    return cast(str, g.request_id)


def _begin() -> None:
    g.request_id = choose_request_id(request.headers.get(REQUEST_ID_HEADER))


def _end(response: Response) -> Response:
    response.headers[REQUEST_ID_HEADER] = request_id()
    return response
