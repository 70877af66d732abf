"""Headers to Caller."""

from flask import request

from shared.auth import Caller

from .services import services


# region: caller
def caller() -> Caller:
    """Who sends the current request; raises Unauthorized."""
    return services().keys.identify(request.headers.get("Authorization"), request.server)
