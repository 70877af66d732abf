"""Which pages of other origins may read what we answer (the CORS protocol of the Fetch standard); pure.

Only origins that the settings list are ever named; no credentials, no `*`, no origin given back unseen.
"""

from collections.abc import Callable, Iterable

METHODS = ("GET", "POST", "DELETE")
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "X-Request-ID",
)
EXPOSED_HEADERS = ("X-Request-ID", "Retry-After")
MAX_AGE_S = 600
VARY = "Origin"  # on every answer: what a cache keeps for one origin must not be given to another
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def grants(origin: str | None, origins: Iterable[str]) -> dict[str, str]:
    """The headers of an answer; none for a page of an origin that is not listed."""
    if origin is None or not _listed(origin, origins):
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": ", ".join(EXPOSED_HEADERS),
    }


def preflight(
    method: str, header: Callable[[str], str | None], origins: Iterable[str]
) -> dict[str, str] | None:
    """The headers of the answer to a browser that asks what a page may send; None for any other request.

    Without any headers in the answer, the browser does not send the request that it asked for.
    """
    origin = header("Origin")
    if method != "OPTIONS" or origin is None or header("Access-Control-Request-Method") is None:
        return None
    if not _listed(origin, origins):
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": ", ".join(METHODS),
        "Access-Control-Allow-Headers": ", ".join(REQUEST_HEADERS),
        "Access-Control-Max-Age": str(MAX_AGE_S),
    }


def allowed_origin(origin: str | None, host: str, origins: tuple[str, ...]) -> bool:
    """Whether a WebSocket may be opened: by no page, by one of this host (the Host header), or by a listed one.

    A browser asks nobody before it opens a WebSocket, so the server has to look (RFC 6455, 10.2). The scheme
    of our own host is not compared: behind a proxy that ends TLS it is not known.
    """
    if origin is None:
        return True
    scheme, _, authority = origin.partition("://")
    ours = authority != "" and _serialised(f"{scheme}://{host}") == _serialised(origin)
    return ours or _listed(origin, origins)


def _listed(origin: str, origins: Iterable[str]) -> bool:
    return origin in map(_serialised, origins)


def _serialised(origin: str) -> str:
    """As browsers write it (RFC 6454, 6.2): small letters, and no port that the scheme implies."""
    lowered = origin.lower()
    return lowered.removesuffix(_DEFAULT_PORTS.get(lowered.partition("://")[0], ""))
