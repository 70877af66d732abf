"""What writing one answer as JSON costs: timed in this process, on an answer that the batch stack gave."""

import time
import urllib.request

from shared.schemas import ChatReply, ChatRequest

WRITTEN = 1000
ANSWER_S = 120.0


def answered(url: str, chat: ChatRequest, request_id: str) -> bytes:
    """The body of the batch answer to a request; raises OSError."""
    asked = urllib.request.Request(
        f"{url}/chat",
        chat.model_dump_json(exclude_none=True).encode(),
        {"Content-Type": "application/json", "X-Request-ID": request_id},
    )
    with urllib.request.urlopen(asked, timeout=ANSWER_S) as response:
        return bytes(response.read())


def timed_ms(body: bytes, times: int = WRITTEN) -> list[float]:
    """How long each of so many writings of the answer took, as the batch stack writes it.

    Raises ValueError when that does not give the same bytes: then it was not written in this way.
    """
    reply = ChatReply.model_validate_json(body)
    took = []
    for _ in range(times):
        began = time.perf_counter_ns()
        written = reply.model_dump_json().encode()
        took.append((time.perf_counter_ns() - began) / 1e6)
        if written != body:
            raise ValueError("the batch answer is not what ChatReply writes")
    return took
