"""The files that one app has alone."""

from collections.abc import Mapping

# Each with the reason.
ONLY_IN: Mapping[str, str] = {
    "fastapi_app/sse.py": "framing and coalescing: a batch answer has neither",
    "fastapi_app/stream.py": "producer and one ending: a batch answer has nothing to relay",
    "fastapi_app/writer.py": "writes to one client for as long as it reads: Flask returns its answer whole",
    "fastapi_app/outbox.py": "the bounded queue: a batch answer is held whole",
    "fastapi_app/watchdog.py": "silences of provider and reader: a batch answer is one read and one write",
    "fastapi_app/connection.py": "bounds that uvicorn lacks: gunicorn's threads bound a batch stack",
    "fastapi_app/drain.py": "a stream outlives a deploy: gunicorn waits for batch answers by itself",
    "fastapi_app/tickets.py": "EventSource sends no key: a POST is what a batch client sends anyway",
    "fastapi_app/sessions.py": "an answer outlives its connection: a batch answer is lost with it",
    "fastapi_app/generation.py": "the relay of an answer that has any number of readers",
    "fastapi_app/replay.py": "what a client who comes back has missed: a batch client has all or nothing",
    "fastapi_app/store.py": "what every store of sessions can do",
    "fastapi_app/memory.py": "the store of sessions of a single worker",
    "fastapi_app/redis_store.py": "the store of sessions of several workers and hosts",
    "fastapi_app/redis_copies.py": "what a worker has of the answers in Redis",
    "fastapi_app/redis_tail.py": "what other workers write, on one connection for all readers",
    "fastapi_app/redis_beat.py": "leases: a killed worker's answer is taken over",
    "fastapi_app/redis_pipe.py": "many questions to Redis at once: a write a chunk is on the token path",
    "fastapi_app/redis_scripts.py": "the scripts in `fastapi_app/lua`, by name",
    "fastapi_app/lua": "what Redis does in one step",
    "fastapi_app/page.py": "serves the page that shows both stacks, without StaticFiles",
    "fastapi_app/page": "that page, built from `web/`",
    "fastapi_app/websocket.py": "the fallback for a stream of events: a batch answer needs none",
}
