"""What the apps write to their logs: neither prompts nor answers nor secrets, whatever happens."""

import pytest

from tests.apps.exchange import JSON, post, send
from tests.conftest import Stack
from tests.servers import KEY

PROMPT = "a-prompt-that-must-stay-private"
FAULTS = ["429", "401", "500", "html", "drop", "malformed", "error-object"]


def _everything(stack: Stack) -> str:
    """Sends good and bad requests; returns the texts of the answers."""
    texts = [
        post(stack.url, {"prompt": PROMPT}).json()["text"],
        send(stack.url, "GET", f"/chat?prompt={PROMPT}").body.decode(),
    ]
    for fault in FAULTS:
        for stream in (False, True):
            request = {"prompt": PROMPT, "model": f"sim:instant+{fault}", "stream": stream}
            post(stack.url, request)
    post(stack.url, {"prompt": PROMPT, "unknown": PROMPT})
    send(stack.url, "GET", f"/chat?prompt={PROMPT}&{PROMPT}=1")
    send(stack.url, "GET", f"/{PROMPT}")
    send(stack.url, "POST", "/chat", f'{{"prompt": "{PROMPT}'.encode(), JSON)
    send(stack.url, "POST", "/chat", PROMPT.encode(), {"Content-Type": "text/plain"})
    return str(texts[0])


def test_no_prompt_no_answer_and_no_key(stack: Stack) -> None:
    answer = _everything(stack)
    log = stack.app.logged()
    assert log
    assert PROMPT not in log
    assert answer[:40] not in log
    assert KEY not in log
    assert "Traceback" not in log


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stream", [False, True])
def test_no_error_body_tells_of_the_provider(stack: Stack, fault: str, stream: bool) -> None:
    request = {"prompt": PROMPT, "model": f"sim:instant+{fault}", "stream": stream}
    body = post(stack.url, request).body.decode()
    for word in (PROMPT, KEY, "Traceback", "127.0.0.1", "openai", "httpx", "Incorrect API key"):
        assert word not in body
