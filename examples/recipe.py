"""The articles' recipe, as they print it: what `make bench` compares the streaming stack with.

The SDK's typed stream on its default transport, one token a chunk, through StreamingResponse:
`uvicorn --factory examples.recipe:app`.
"""

import json
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from httpx2 import Limits
from openai import AsyncOpenAI, DefaultAsyncHttpxClient


def app() -> FastAPI:
    recipe = FastAPI()
    # The SDK's own limit of connections would queue the streams, and flatter nobody.
    many = Limits(max_connections=2000, max_keepalive_connections=2000)
    client = AsyncOpenAI(http_client=DefaultAsyncHttpxClient(limits=many))

    async def tokens(prompt: str) -> AsyncIterator[str]:
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
        return StreamingResponse(tokens(prompt), media_type="text/event-stream")

    @recipe.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    return recipe
