"""Requests with secrets and forged lines in them, and what the answers to bad ones say."""

import json

from loadtests.provoking.asking import MESSAGES, PROMPT
from loadtests.provoking.evidence import ask, expect, recorded
from loadtests.provoking.ground import Ground, Row
from loadtests.provoking.peers import Answer, post
from loadtests.provoking.upstream_faults import SHORT, UNCOMMITTED

CLIENT_KEY = "sk-client-91f3b6d0a7e2"
FORGED = "forged-by-a-client"
_BREAKS = (f"\r\n{FORGED}", f"\n{FORGED}", f"\r{FORGED}")


def secret_requests(ground: Ground) -> str:
    """The model is a text of the client's that is recorded; nothing else is."""
    for number, line in enumerate(_BREAKS):
        value = {"prompt": f"{PROMPT}{line}", "model": f"sim:instant{line}", "stream": True}
        answer = _sent(ground, f"forged-{number}", json.dumps(value))
        expect(answer.status == 400, f"the client got {answer.status}")
        _told(answer)
        recorded(ground, f"forged-{number}", "failed")
    value = {"prompt": PROMPT, "model": "sim:instant", "max_tokens": 3}
    expect(_sent(ground, "with-key", json.dumps(value)).status == 200, "no answer")
    recorded(ground, "with-key", "finished")
    return f"{len(_BREAKS)} models with line ends, a prompt and a key sent"


def error_bodies(ground: Ground) -> str:
    """Bodies that are wrong in ways that parsers and models have long messages for."""
    bad = (
        f'{{"prompt": "{PROMPT}"',
        f'{{"prompt": "{PROMPT}", "temperature": "{CLIENT_KEY}"}}',
        f'{{"prompt": "{PROMPT}", "model": 7, "max_tokens": -1}}',
        f'{{"messages": [{{"role": "{CLIENT_KEY}", "content": "{PROMPT}"}}]}}',
        f'"{PROMPT}"',
    )
    codes = []
    for number, body in enumerate(bad):
        answer = _sent(ground, f"bad-{number}", body)
        expect(answer.status in (400, 422), f"{body!r} got {answer.status}")
        codes.append(_told(answer))
    return ", ".join(sorted(set(codes)))


def _sent(ground: Ground, request_id: str, body: str) -> Answer:
    data = body.encode()
    head = post(len(data), request_id).removesuffix(b"\r\n")
    key = f"Authorization: Bearer {CLIENT_KEY}\r\n\r\n".encode()
    return ask(ground, head + key + data)


def _told(answer: Answer) -> str:
    """The code of an error body that holds its fixed text and nothing of the request's."""
    for secret in (PROMPT, CLIENT_KEY, FORGED):
        expect(secret.encode() not in answer.body, f"the error body holds {secret!r}")
    error = json.loads(answer.body)["error"]
    expect(error["message"] == MESSAGES[error["code"]], f"not the fixed text: {error['message']}")
    return str(error["code"])


ROWS = (
    Row(
        "prompt, key and forged lines in requests",
        "answered or refused with the fixed text; no log holds them (see the last row)",
        secret_requests,
        SHORT,
        together=True,
        always=UNCOMMITTED,
    ),
    Row(
        "bodies that are wrong",
        "400 or 422 with the fixed text, nothing of the body repeated",
        error_bodies,
        SHORT,
        together=True,
        always=UNCOMMITTED,
    ),
)
