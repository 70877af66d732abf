"""A batch endpoint as many teams have it: `flask --app examples/own_endpoints/flask_app.py run`."""

from uuid import uuid4

from flask import Flask, Response, abort, request
from openai import OpenAI
from openai.types.chat import ChatCompletion

MODEL = "gpt-4o-mini"


def create_app() -> Flask:
    """POST /ask takes {"question": "..."} and answers {"answer": "...", "stop": "..."}."""
    app = Flask(__name__)
    client = OpenAI()

    @app.before_request
    def guard() -> None:
        if request.path == "/ask" and request.headers.get("X-Team") != "support":
            abort(403)

    @app.post("/ask")
    def ask() -> dict[str, str | None] | Response:
        question = str(request.get_json()["question"])
        completion: ChatCompletion = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": question}],
            # One id on both sides of the model: what lets a replay join its requests with the provider's.
            extra_headers={"X-Request-ID": request.headers.get("X-Request-ID", uuid4().hex)},
        )
        choice = completion.choices[0]
        return {"answer": choice.message.content, "stop": choice.finish_reason}

    @app.get("/up")
    def up() -> str:
        return "yes"

    return app
