"""How an answer leaves: one JSON when it is whole."""

from flask import Response

from shared.auth import Caller
from shared.schemas import ChatRequest

from .services import services
from .telemetry import request_id


def deliver(chat: ChatRequest, who: Caller) -> Response:
    """Waits for the whole answer; a thread waits with it, and the client sees nothing until then."""
    reply = services().llm.complete(chat, request_id=request_id())
    return Response(reply.model_dump_json(), content_type="application/json")
