"""The HTTP surface."""

from flask import Blueprint, Response, jsonify, request

from shared.errors import BodyTooLarge, MethodNotAllowed
from shared.intake import chat_from_json, chat_from_query
from shared.schemas import ChatRequest
from shared.telemetry import METRICS_TYPE

from . import telemetry
from .auth import caller
from .delivery import deliver
from .services import services

# region: surface
api = Blueprint("api", __name__)


# region: body
def chat_from_body() -> ChatRequest:
    """The JSON body as a ChatRequest; MAX_CONTENT_LENGTH bounds what is read of it."""
    settings = services().settings
    body = request.get_data()
    if len(body) > settings.max_body_bytes:
        raise BodyTooLarge
    return chat_from_json(body, request.headers.get("Content-Type"), settings)


# region: chat
@api.post("/chat")
def post_chat() -> Response:
    """Answers a ChatRequest."""
    who = caller()
    return deliver(chat_from_body(), who)


@api.get("/chat")
def get_chat() -> Response:
    """Answers a prompt given in the query string."""
    if request.method == "HEAD":  # Flask adds it to every GET; here it would buy an answer.
        raise MethodNotAllowed({"GET", "POST"})
    who = caller()
    return deliver(chat_from_query(request.query_string, services().settings), who)


# region: state
@api.get("/healthz")
def healthz() -> Response:
    """Says that the process lives."""
    return jsonify(status="ok")


@api.get("/readyz")
def readyz() -> Response:
    """Says that the process takes requests."""
    return jsonify(status="ready")


@api.get("/metrics")
def metrics() -> Response:
    """What this process holds and does now, for Prometheus."""
    return Response(telemetry.exposition(services()), content_type=METRICS_TYPE)
