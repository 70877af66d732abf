"""The streams whose shape in time is looked at: of a model that takes about a second and a half."""

from collections.abc import Iterator
from urllib.parse import urlencode

from loadtests.equality.answered import ACCEPT
from loadtests.equality.probes import Probe, get, post

EVEN, UNEVEN, SLOW = "sim:production", "sim:chatty", "sim:article"
"""164 ms to the first token and 4 ms a token; log-normal times; 1.2 s to the first token and 13 ms a token."""


def timed() -> Iterator[Probe]:
    """In each form of a request, of each kind of model."""
    even = {"model": EVEN, "max_tokens": 300}
    yield post("timed: stream true", {**even, "prompt": "Tell me.", "stream": True})
    yield post("timed: Accept", {**even, "prompt": "Tell me."}, ACCEPT)
    yield get("timed: GET", f"/chat?{urlencode({**even, 'prompt': 'Tell me.'})}")
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me."}]
    yield post("timed: a conversation", {**even, "messages": talk, "stream": True})
    long = "All that is known so far. " * 400
    yield post("timed: a long prompt", {**even, "prompt": long, "stream": True})
    for number in (1, 2):
        uneven = {"model": UNEVEN, "max_tokens": 90, "prompt": f"Tell me {number}."}
        yield post(f"timed: uneven tokens {number}", {**uneven, "stream": True})
    slow = {"model": SLOW, "max_tokens": 110, "prompt": "Tell me."}
    yield post("timed: a slow first token", {**slow, "stream": True})
