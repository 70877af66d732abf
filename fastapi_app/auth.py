"""Headers to Caller."""

from fastapi import Request

from shared.auth import Caller

from .services import services


# region: caller
async def caller(request: Request) -> Caller:
    """Who sends this request; raises Unauthorized."""
    return services(request).keys.identify(request.headers.get("Authorization"))
