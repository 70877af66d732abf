"""The files that one app has alone."""

from collections.abc import Mapping

# Each with the reason.
ONLY_IN: Mapping[str, str] = {
    "fastapi_app/sse.py": "framing and coalescing: a batch answer has neither",
    "fastapi_app/stream.py": "producer, writer and one ending: a batch answer has nothing to relay",
    "fastapi_app/outbox.py": "the bounded queue: a batch answer is held whole",
    "fastapi_app/watchdog.py": "silences of provider and reader: a batch answer is one read and one write",
    "fastapi_app/connection.py": "bounds that uvicorn lacks: gunicorn's threads bound a batch stack",
    "fastapi_app/drain.py": "a stream outlives a deploy: gunicorn waits for batch answers by itself",
}
