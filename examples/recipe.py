"""The articles' recipe, as they print it: what the streaming stack is compared with.

The SDK's typed stream on its default transport, one token a chunk, through StreamingResponse:
`uvicorn --factory examples.recipe:app`; `examples.recipe:queued` has the articles' bounded queue in between.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from httpx2 import Limits
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

QUEUED = 512

Tokens = AsyncIterator[str]


def app() -> FastAPI:
    return _serving(lambda tokens: tokens)


def queued() -> FastAPI:
    return _serving(_through_a_queue)


def _serving(between: Callable[[Tokens], Tokens]) -> FastAPI:
    recipe = FastAPI()
    # The SDK's own limit of connections would queue the streams, and flatter nobody.
    many = Limits(max_connections=2000, max_keepalive_connections=2000)
    client = AsyncOpenAI(http_client=DefaultAsyncHttpxClient(limits=many))

    async def tokens(prompt: str) -> Tokens:
        stream = await client.chat.completions.create(
            model="sim",
            messages=[{"role": "user", "content": prompt}],
            stream=True,
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield f"data: {json.dumps({'text': chunk.choices[0].delta.content})}\n\n"
        yield "data: [DONE]\n\n"

    @recipe.get("/chat")
    async def chat(prompt: str) -> StreamingResponse:
        return StreamingResponse(between(tokens(prompt)), media_type="text/event-stream")

    @recipe.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    return recipe


async def _through_a_queue(tokens: Tokens) -> Tokens:
    queue = asyncio.Queue[str | None](maxsize=QUEUED)

    async def produce() -> None:
        async for token in tokens:
            await queue.put(token)
        await queue.put(None)

    producing = asyncio.create_task(produce())
    try:
        while (token := await queue.get()) is not None:
            yield token
    finally:
        producing.cancel()
