"""Clients that send too slowly, too much, or what is no request."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from loadtests.processes import rss_mib
from loadtests.provoking.evidence import (
    ask,
    eventually,
    expect,
    fresh,
    holder,
    recorded,
    short,
    still_serves,
    workers,
)
from loadtests.provoking.ground import Ground, Row
from loadtests.provoking.leaving_rows import QUICK
from loadtests.provoking.peers import Answer, Peer, get, post

TIMEOUT_S = float(QUICK["CHAT_REQUEST_TIMEOUT_S"])
TRICKLE_S = 0.2
SPARE_S = 1.5
LONG_PROMPT = 10 * 1024 * 1024
LONG_AT_ONCE = 5
HELD_MIB = 16.0
"""Less than two of the long prompts."""
DEPTH = 100_000
LONG_HEADER = 1024 * 1024
FORGED = "forged-line"


def slow_headers(ground: Ground) -> str:
    """gunicorn's worker waits for headers as long as they trickle; there the promise is the other clients'."""
    closes = "uvicorn" in ground.variant.name
    began = time.monotonic()
    with Peer(ground.host, ground.port, wait_s=TIMEOUT_S + SPARE_S) as peer:
        peer.send(b"GET /healthz HTTP/1.1\r\nHost: faults\r\nX-Slow: ")
        bytes_sent = int((TIMEOUT_S + SPARE_S) / TRICKLE_S)
        gave_up = not peer.trickle(b"x" * bytes_sent, TRICKLE_S)
        took_s = time.monotonic() - began
        still_serves(ground, fresh("beside-slow-headers"))
        if not closes:
            peer.send(b"\r\n\r\n")
            expect(peer.rest().status in (200, 408), f"slow headers got {short(peer.answer)}")
            return f"others are served meanwhile; the slow one got {peer.answer.status}"
        expect(gave_up and peer.ended, f"the connection is still open after {took_s:.1f} s")
        expect(took_s >= TIMEOUT_S - 0.1, f"closed after {took_s:.1f} s already")
    return f"closed after {took_s:.1f} s, others are served meanwhile"


def trickled_body(ground: Ground) -> str:
    began = time.monotonic()
    with Peer(ground.host, ground.port, wait_s=TIMEOUT_S + SPARE_S) as peer:
        peer.send(post(10_000, fresh("trickled-body")))
        peer.trickle(b'{"prompt":"' + b"x" * int((TIMEOUT_S + SPARE_S) / TRICKLE_S), TRICKLE_S)
        took_s = time.monotonic() - began
        answer = peer.rest()
    expect((answer.status, answer.code) == (408, "request_timeout"), short(answer))
    expect(took_s >= TIMEOUT_S - 0.1, f"refused after {took_s:.1f} s already")
    return f"408 request_timeout after {took_s:.1f} s"


def long_prompt(ground: Ground) -> str:
    """Announced, and in chunks that announce nothing; several at once, so that held memory would show."""
    body = b'{"prompt":"' + b"x" * LONG_PROMPT + b'"}'
    announced = post(len(body), "long-prompt") + body
    head = post(0, "long-prompt").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunked = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    before = rss_mib(ground.child.pid)
    began = time.monotonic()
    with ThreadPoolExecutor(2 * LONG_AT_ONCE) as pool:
        answers = list(
            pool.map(lambda data: _shout(ground, data), [announced, chunked] * LONG_AT_ONCE)
        )
    took_s = time.monotonic() - began
    for answer in answers:
        expect((answer.status, answer.code) == (413, "body_too_large"), short(answer))
    eventually(
        lambda: rss_mib(ground.child.pid) - before < HELD_MIB, "the memory let go", within_s=5
    )
    return f"{len(answers)} times 413 within {took_s:.1f} s, memory let go"


def nested_json(ground: Ground) -> str:
    statuses = []
    for body in (b"[" * DEPTH, b'{"messages":' + b"[" * DEPTH, b'{"a":' * DEPTH):
        answer = ask(ground, post(len(body), "nested-json") + body)
        expect(answer.status in (400, 422) and answer.code, short(answer))
        statuses.append(f"{answer.status} {answer.code}")
    still_serves(ground, fresh("after-nested-json"))
    return ", ".join(statuses)


def long_header(ground: Ground) -> str:
    before = workers(ground)
    request = (
        b"GET /healthz HTTP/1.1\r\nHost: faults\r\nX-Long: " + b"x" * LONG_HEADER + b"\r\n\r\n"
    )
    answer = _shout(ground, request)
    expect(answer.status in (0, 400, 413, 431), f"a header of 1 MB got {short(answer)}")
    still_serves(ground, fresh("after-long-header"))
    expect(workers(ground) == before, "a worker was lost")
    return f"{answer.status or 'connection closed'}, and the workers live on"


def garbage(ground: Ground) -> str:
    """Behind a good request on the same connection, and by itself."""
    before = workers(ground)
    noise = (b"\x00\xff\x16\x03\x01 / \r\n\r\n", b"POST\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n")
    for data in noise:
        for opening in (b"", get("/healthz").replace(b"Connection: close\r\n", b"")):
            with Peer(ground.host, ground.port) as peer:
                peer.send(opening + data)
                answer = peer.rest()
                # A server that refuses the connection may leave a good request before it unanswered.
                expect(answer.status in ((200, 400) if opening else (0, 400, 505)), short(answer))
                peer.finish_sending()
                eventually(lambda: holder(ground, peer) is None, "the connection's end", within_s=5)
    still_serves(ground, fresh("after-garbage"))
    expect(workers(ground) == before, "a worker was lost")
    return f"{2 * len(noise)} connections refused and closed, and the workers live on"


def log_forging(ground: Ground) -> str:
    """What would be a line of its own in a log if it were written as it came."""
    target = f"/chat?prompt=%0d%0a{FORGED}&model=sim:instant"
    path = f"/chat%0d%0a{FORGED}"
    tries = [
        f"GET {target} HTTP/1.1\r\nHost: f\r\nX-Request-ID: a%0d%0a{FORGED}\r\n\r\n",
        f"GET {target} HTTP/1.1\r\nHost: f\r\nUser-Agent: a\r\n {FORGED}\r\n\r\n",
        f"GET {target} HTTP/1.1\r\nHost: f\r\nX-Request-ID: a\r\n\t{FORGED}\r\n\r\n",
        f"GET {target} HTTP/1.1\r\nHost: f\r\nX-Request-ID: a\r{FORGED}\r\n\r\n",
        f"GET {target} HTTP/1.1\r\nHost: f\r\nX-Request-ID: a\n{FORGED}: 1\r\n\r\n",
        f"GET {target} HTTP/1.1\r\nHost: f\r\nX-Request-ID: a\u0085{FORGED}\r\n\r\n",
        f"GET {path} HTTP/1.1\r\nHost: f\r\n\r\n",
        f"GET /chat\r{FORGED} HTTP/1.1\r\nHost: f\r\n\r\n",
    ]
    statuses = [ask(ground, request.encode("latin-1")).status for request in tries]
    expect(200 in statuses, f"none was answered: {statuses}")
    request_id = fresh("after-log-forging")
    still_serves(ground, request_id)
    recorded(ground, request_id, "finished")
    written = ground.child.log.read_bytes() + ground.records_path.read_bytes()
    expect(not re.search(rf"[\r\n\x85]\s*{FORGED}".encode(), written), "a log holds a forged line")
    return f"{len(tries)} tries, statuses {sorted(set(statuses))}, no forged line in any log"


def _shout(ground: Ground, data: bytes) -> Answer:
    """Sends more than the server may want to hear, and reads whatever it said before it hung up."""
    with Peer(ground.host, ground.port) as peer:
        with suppress(OSError):
            peer.send(data)
        return peer.rest()


ROWS = (
    Row(
        "slow request headers",
        "closed at the request timeout (uvicorn); other requests served meanwhile",
        slow_headers,
        QUICK,
        together=True,
    ),
    Row(
        "trickled body",
        "408 request_timeout at the request timeout",
        trickled_body,
        QUICK,
        together=True,
    ),
    Row("10 MB prompt", "413 at once, memory not held", long_prompt),
    Row("deeply nested JSON", "400 or 422 with the error body", nested_json),
    Row("header of 1 MB", "refused, and no worker lost", long_header),
    Row("garbage, alone and pipelined", "refused and closed, and no worker lost", garbage),
    Row("CR and LF sent towards the log", "no log line is forged", log_forging),
)
