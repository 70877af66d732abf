"""CORS: which pages of other origins may read the answers."""

from flask import Flask, Response, request

from shared.cors import VARY, grants, preflight

from .services import services


# region: cors
def install(app: Flask, origins: tuple[str, ...]) -> None:
    """Opens the app to pages of these origins; with none nothing is installed, and browsers let no page in."""
    if origins:
        app.before_request(_preflight)
        app.after_request(grant)


def grant(response: Response) -> Response:
    """Says on an answer whether the page that asked may read it."""
    origins = services().settings.cors_origins
    response.vary.add(VARY)
    response.headers.update(grants(request.headers.get("Origin"), origins))
    return response


# region: preflight
def _preflight() -> Response | None:
    """Answers before any route or key is looked at: browsers send neither body nor key with it."""
    origins = services().settings.cors_origins
    granted = preflight(request.method, request.headers.get, origins)
    if granted is None:
        return None
    response = Response(status=204, headers=granted)
    response.headers.remove("Content-Type")
    return response
