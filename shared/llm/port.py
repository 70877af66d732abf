"""What the stacks ask of a model provider; the async twin has the same names.

Law 1 holds for every adapter: `fold(stream(request)) == complete(request)`. Trouble is raised as an
UpstreamError, by `stream` before as well as after its first event. A stream that is closed early closes
the provider's request, so that nobody pays for tokens that nobody reads.
"""

from collections.abc import AsyncGenerator, Generator
from typing import Protocol

from shared.schemas import ChatReply, ChatRequest, Delta, Done


# region: port
class LLM(Protocol):
    def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply: ...

    def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> Generator[Delta | Done, None, None]:
        """One Delta for each read of the provider's socket, then one Done."""
        ...

    def close(self) -> None: ...


class AsyncLLM(Protocol):
    async def complete(self, request: ChatRequest, *, request_id: str) -> ChatReply: ...

    def stream(
        self, request: ChatRequest, *, request_id: str
    ) -> AsyncGenerator[Delta | Done, None]:
        """One Delta for each read of the provider's socket, then one Done."""
        ...

    async def close(self) -> None: ...
