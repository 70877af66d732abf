"""The server that the tests of sessions share, what it is asked, and what it has recorded."""

import json
from typing import Any

from tests.apps.exchange import Answer, Json
from tests.fastapi_app.session_client import (
    api_keys,
    until,
)
from tests.servers import Server

ANN, BOB = "key-of-ann-never-log-this", "key-of-bob-never-log-this"
KEYS = api_keys(ann=ANN, bob=BOB)
PROMPT = "a-prompt-that-must-stay-private"
GRACE_S = 0.4


def instant(fault: str = "none", **more: object) -> Json:
    return {"prompt": PROMPT, "model": f"sim:instant+{fault}", **more}


def slow(**more: object) -> Json:
    """1.2 s to the first token."""
    return {"prompt": PROMPT, "model": "sim:article", **more}


def recorded(log: str) -> list[dict[str, Any]]:
    """The records in it that are written to their end."""
    lines = log.splitlines(keepends=True)
    return [json.loads(one) for one in lines if one.startswith('{"at":') and one.endswith("\n")]


def record_of(server: Server, request_id: str) -> dict[str, Any]:
    """The one record with this id, once it is written."""

    def found() -> list[dict[str, Any]]:
        return [one for one in recorded(server.logged()) if one["request_id"] == request_id]

    [record] = until(found)
    return record


def refused(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    """A refusal, but for its request id and its time."""
    apart = ("x-request-id", "date")
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in apart}
    return answer.status, answer.body.replace(answer.request_id.encode(), b""), headers
