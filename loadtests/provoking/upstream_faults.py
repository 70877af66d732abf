"""An upstream in trouble: how it refuses, breaks off, falls silent, or does not stop."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from loadtests.provoking.asking import Asked, ask, default_s, pieces
from loadtests.provoking.evidence import apart, expect
from loadtests.provoking.ground import Ground

Provoke = Callable[[Ground], str]

SHORT = {
    "CHAT_FIRST_TOKEN_TIMEOUT_S": "4",
    "CHAT_TOKEN_TIMEOUT_S": "1.5",
    "CHAT_ANSWER_TIMEOUT_S": "5",
}
UNCOMMITTED = {"CHAT_FIRST_ITEM_WAIT_S": "70", "CHAT_HEARTBEAT_S": "80"}
"""The 200 waits for longer than any deadline: every failure before the first token has its status."""

COMMITTED = {"CHAT_FIRST_ITEM_WAIT_S": "0.5", "CHAT_HEARTBEAT_S": "0.5"}
TOKENS = 20
BUDGET = 50
FILLING = 8
"""Connections that nobody accepts; a backlog of 0 holds one or two."""


def limit_s(ground: Ground, name: str) -> float:
    """What a deadline is in this run."""
    return default_s(name) if ground.long else float(SHORT[f"CHAT_{name.upper()}"])


def refused(fault: str, status: int, code: str, *answers: int, retry_after: str = "") -> Provoke:
    """Streamed or not, the client gets a true status; the upstream was asked and gave `answers`."""

    def provoke(ground: Ground) -> str:
        for kind, stream in (("stream", True), ("batch", False)):
            asked = ask(ground, f"{fault}-{kind}", f"sim:instant+{fault}", stream=stream)
            asked.refused(status, code)
            said = asked.answer.headers.get("retry-after", "")
            expect(said == retry_after, f"Retry-After is {said!r}")
            asked.recorded("failed", code)
            asked.attempts(*answers)
        return f"{status} {code} after {len(answers)} attempts"

    return provoke


def broken_off(fault: str, code: str, share: float = 0.5) -> Provoke:
    """The client keeps this share of the tokens, and then reads of the failure."""

    def provoke(ground: Ground) -> str:
        model = f"sim:article+{fault}"
        asked = ask(ground, f"{fault}-broken", model, max_tokens=TOKENS)
        asked.failed(code)
        whole = "".join(pieces(asked.request_id, model)[: int(TOKENS * share)])
        text = asked.answer.text
        # What a reset overtook in the upstream's own buffers never reached us.
        expect(text and whole.startswith(text), f"{len(text)} of {len(whole)} characters came")
        expect(text == whole or fault == "drop-mid", "tokens before the failure are missing")
        record = asked.recorded("failed", code)
        return f"{record['tokens']} tokens, then {asked}"

    return provoke


def no_answer(fault: str, code: str) -> Provoke:
    """Half a batch answer is none."""

    def provoke(ground: Ground) -> str:
        asked = ask(ground, f"{fault}-batch", f"sim:instant+{fault}", stream=False)
        asked.refused(502, code)
        asked.recorded("failed", code)
        asked.attempts(200)
        return str(asked)

    return provoke


def silent_uncommitted(fault: str) -> Provoke:
    def provoke(ground: Ground) -> str:
        asked = ask(ground, f"{fault}-uncommitted", f"sim:instant+{fault}")
        asked.refused(504, "first_token_timeout")
        asked.within(limit_s(ground, "first_token_timeout_s"))
        asked.recorded("timed_out", "first_token_timeout")
        return _closed(asked)

    return provoke


def silent_batch(fault: str) -> Provoke:
    def provoke(ground: Ground) -> str:
        asked = ask(ground, f"{fault}-silent-batch", f"sim:article+{fault}", stream=False)
        asked.refused(504, "answer_timeout")
        asked.within(limit_s(ground, "answer_timeout_s"))
        asked.recorded("timed_out", "answer_timeout")
        return _closed(asked)

    return provoke


def silent_committed(fault: str) -> Provoke:
    def provoke(ground: Ground) -> str:
        asked = ask(ground, f"{fault}-committed", f"sim:article+{fault}")
        asked.failed("first_token_timeout")
        asked.within(limit_s(ground, "first_token_timeout_s"))
        expect(asked.pings >= 2, f"{asked.pings} heartbeats")
        asked.recorded("timed_out", "first_token_timeout")
        return f"{asked.pings} heartbeats, {_closed(asked)}"

    return provoke


def silent_midway(fault: str) -> Provoke:
    def provoke(ground: Ground) -> str:
        model = f"sim:instant+{fault}"
        asked = ask(ground, f"{fault}-midway", model, max_tokens=TOKENS)
        asked.failed("token_timeout")
        asked.within(limit_s(ground, "token_timeout_s"))
        half = "".join(pieces(asked.request_id, model)[: TOKENS // 2])
        expect(asked.answer.text == half, "the text is not the half that came")
        expect(asked.pings >= 1, "no heartbeat")
        record = asked.recorded("timed_out", "token_timeout")
        expect(record["tokens"] == TOKENS // 2, f"{record['tokens']} tokens recorded")
        return f"{record['tokens']} tokens, {asked.pings} heartbeats, {_closed(asked)}"

    return provoke


def reset_committed(ground: Ground) -> str:
    """The retries take longer than the wait for the first item."""
    asked = ask(ground, "drop-committed", "sim:instant+drop")
    asked.failed("upstream_unreachable")
    expect(asked.pings >= 1, "no heartbeat")
    asked.recorded("failed", "upstream_unreachable")
    asked.attempts(200, 200, 200)
    return f"{asked.pings} heartbeats, {asked}"


def overdue(ground: Ground) -> str:
    """An answer that goes on well, and for too long."""
    asked = ask(ground, "overdue", "sim:article")
    asked.failed("answer_timeout")
    asked.within(float(SHORT["CHAT_ANSWER_TIMEOUT_S"]))
    record = asked.recorded("timed_out", "answer_timeout")
    expect(record["tokens"] > 0, "no token came")
    return f"{record['tokens']} tokens, {_closed(asked)}"


def retried(ground: Ground) -> str:
    for kind, stream in (("stream", True), ("batch", False)):
        asked = ask(ground, f"once-{kind}", "sim:instant+500-once", stream=stream)
        asked.replied("".join(pieces(asked.request_id, "sim:instant")), stream=stream)
        asked.recorded("finished", None)
        asked.attempts(500, 200)
    return "500, then 200: the client sees the answer"


def open_after_done(ground: Ground) -> str:
    model = "sim:instant+open-after-done"
    asked = ask(ground, "open", model)
    asked.finished("".join(pieces(asked.request_id, model)))
    asked.within(0)
    asked.recorded("finished", None)
    return _closed(asked)


def overrun(profile: str, budget: int) -> Provoke:
    """The upstream ignores max_tokens; the instant one writes all it has at once."""

    def provoke(ground: Ground) -> str:
        model = f"sim:{profile}+overrun"
        asked = ask(ground, f"overrun-{profile}", model, max_tokens=budget)
        asked.finished("".join(pieces(asked.request_id, model)[:budget]))
        reason = asked.answer.events[-1].data
        expect('"finish_reason":"length"' in reason, f"done says {reason}")
        record = asked.recorded("over_budget", None)
        expect(record["tokens"] == budget, f"{record['tokens']} tokens recorded")
        closed = _closed(asked) if profile == "article" else "of one read"
        return f"{budget} tokens, finish_reason length, {closed}"

    return provoke


def harmless(ground: Ground) -> str:
    """An event without choices costs no text."""
    model = "sim:instant+empty-choices"
    asked = ask(ground, "empty", model)
    asked.finished("".join(pieces(asked.request_id, model)))
    asked.recorded("finished", None)
    return "done, no token lost"


def _closed(asked: Asked) -> str:
    took_ms = asked.upstream_closed() * 1000
    return f"after {asked.took_s:.1f} s {asked}, upstream closed {took_ms:.0f} ms later"


def unreachable(ground: Ground) -> str:
    """A port where nobody listens refuses; with its backlog full, the kernel drops SYNs as a firewall does."""
    limit = default_s("connect_timeout_s") if ground.long else 0.6
    settings = {"CHAT_CONNECT_TIMEOUT_S": f"{limit:g}", "CHAT_UPSTREAM_RETRIES": "0", **UNCOMMITTED}
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{port.getsockname()[1]}/v1"
        with apart(ground, "unreachable", settings, upstream=url) as stack:
            for kind, stream in (("stream", True), ("batch", False)):
                asked = ask(stack, f"refused-{kind}", "sim", stream=stream)
                asked.refused(502, "upstream_unreachable")
                asked.recorded("failed", "upstream_unreachable")
            with full(port):
                for kind, stream in (("stream", True), ("batch", False)):
                    asked = ask(stack, f"deaf-{kind}", "sim", stream=stream)
                    asked.refused(504, "connect_timeout")
                    asked.within(limit)
                    asked.recorded("timed_out", "connect_timeout")
    return f"502 upstream_unreachable; {asked} after {asked.took_s:.1f} s"


@contextmanager
def full(port: socket.socket) -> Iterator[None]:
    """Listens, and lets nobody in."""
    with ExitStack() as held:
        port.listen(0)
        for _ in range(FILLING):
            connection = held.enter_context(socket.socket())
            connection.setblocking(False)
            with suppress(BlockingIOError):
                connection.connect(port.getsockname())
        yield
