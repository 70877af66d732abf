"""The page that shows both stacks: three files, read once and kept, since StaticFiles is not to be had here."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import AnyHttpUrl

from .services import services

# region: surface
api = APIRouter(include_in_schema=False)

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src {connect}; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    etag: str


# region: files
@api.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """The page."""
    return _file(request, "index.html")


@api.api_route("/page.js", methods=["GET", "HEAD"])
async def script(request: Request) -> Response:
    """All of its code."""
    return _file(request, "page.js")


@api.api_route("/page.css", methods=["GET", "HEAD"])
async def style(request: Request) -> Response:
    """All of its style."""
    return _file(request, "page.css")


# region: settings
@api.api_route("/page.json", methods=["GET", "HEAD"])
async def page_settings(request: Request) -> Response:
    """Where the batch stack is."""
    legacy_url = services(request).settings.legacy_url
    body = msgspec.json.encode({"legacy_url": legacy_url and str(legacy_url).removesuffix("/")})
    return Response(body, headers=_headers(request), media_type="application/json")


# region: answers
def _file(request: Request, name: str) -> Response:
    found = _read(name)
    headers = _headers(request) | {"ETag": found.etag}
    if _is_held(found.etag, request.headers.get("If-None-Match", "")):
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.media_type)


def _headers(request: Request) -> dict[str, str]:
    return {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _policy(services(request).settings.legacy_url),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


@cache
def _read(name: str) -> _File:
    body = files(__package__).joinpath("page", name).read_bytes()
    return _File(body, _TYPES[name], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


@cache
def _policy(legacy_url: AnyHttpUrl | None) -> str:
    """The page connects to its own origin, WebSockets included (CSP 3, 6.7.2.8), and to the batch stack."""
    legacy = f" {legacy_url.scheme}://{legacy_url.host}:{legacy_url.port}" if legacy_url else ""
    return _POLICY.format(connect=f"'self'{legacy}")


def _is_held(etag: str, if_none_match: str) -> bool:
    """Whether the client's copy is this one (RFC 9110, 13.1.2)."""
    held = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in held or held == ["*"]
