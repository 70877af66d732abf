"""How an answer leaves: one JSON when it is whole."""

from flask import Response

from shared.auth import Caller
from shared.schemas import ChatRequest

from .limits import admitted
from .services import services
from .telemetry import request_id


# region: deliver
def deliver(chat: ChatRequest, who: Caller) -> Response:
    """Waits for the whole answer; a thread waits with it, and the client sees nothing until then."""
    held = services()
    with (
        held.slots.taken(),
        admitted(who),
        held.begin(chat, who, request_id(), "batch") as entry,
    ):
        reply = held.llm.complete(chat, request_id=request_id())
        body = reply.model_dump_json().encode()
        entry.tokens, entry.bytes = reply.tokens, len(body)
    return Response(body, content_type="application/json")
