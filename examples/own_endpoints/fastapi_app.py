"""The same endpoint, streamed: `uvicorn --factory examples.own_endpoints.fastapi_app:create_app`."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import uuid4

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI, OpenAIError
from pydantic import BaseModel

MODEL = "gpt-4o-mini"


class Question(BaseModel):
    question: str


async def guard(x_team: Annotated[str | None, Header()] = None) -> None:
    if x_team != "support":
        raise HTTPException(403)


def create_app() -> FastAPI:
    """POST /ask/stream takes {"question": "..."} and streams `data: {"t": "..."}` lines, then `data: [END]`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncOpenAI() as app.state.client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/ask/stream", dependencies=[Depends(guard)])
    async def ask(question: Question, request: Request) -> StreamingResponse:
        request_id = request.headers.get("X-Request-ID", uuid4().hex)
        events = _events(request.app.state.client, question.question, request_id)
        return StreamingResponse(events, media_type="text/event-stream")

    @app.get("/up")
    async def up() -> str:
        return "yes"

    return app


async def _events(client: AsyncOpenAI, question: str, request_id: str) -> AsyncIterator[str]:
    try:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": question}],
            extra_headers={"X-Request-ID": request_id},
            stream=True,
        )
        async with stream:
            async for chunk in stream:
                for choice in chunk.choices:
                    yield _event({"t": choice.delta.content or "", "stop": choice.finish_reason})
    except OpenAIError:
        yield _event({"error": "upstream"})
        return
    yield "data: [END]\n\n"


def _event(data: dict[str, str | None]) -> str:
    return f"data: {json.dumps(data)}\n\n"
