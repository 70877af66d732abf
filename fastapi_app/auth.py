"""Headers to Caller."""

from starlette.requests import HTTPConnection

from shared.auth import Caller

from .services import services


# region: caller
async def caller(request: HTTPConnection) -> Caller:
    """Who sends this request, or opens this WebSocket; raises Unauthorized."""
    # A key that comes twice is none: WSGI joins the two, and no other server in between may choose one.
    authorization = ",".join(request.headers.getlist("Authorization"))
    return services(request).keys.identify(authorization, request.scope.get("server"))
