"""One request to the stack, read to its end, and what its record and the upstream say of it."""

import json
import time
from dataclasses import dataclass

from loadtests.profiles import PROFILES, write_script
from loadtests.provoking.evidence import expect
from loadtests.provoking.ground import Ground, Record
from loadtests.provoking.peers import Answer, Peer, chat
from loadtests.simulation.upstream import Options
from shared.errors import ServiceError
from shared.settings import Settings

PROMPT = "A prompt that no log may hold: 8c41e7d2."
PING = b": ping\n\n"
CLOSED_WITHIN_S = 1.0
SLACK_S = 2.0
"""How much later than its deadline a failure may come on a machine that is busy with other rows."""

_WAIT_S, _LONG_WAIT_S = 20.0, 330.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was answered; `ended_ns` is when its last byte came, on the monotonic clock."""

    ground: Ground
    request_id: str
    model: str
    answer: Answer
    took_s: float
    ended_ns: int

    @property
    def pings(self) -> int:
        return self.answer.body.count(PING)

    def refused(self, status: int, code: str) -> None:
        """It got the one error body, with this status."""
        answer = self.answer
        expect((answer.status, answer.code) == (status, code), f"the client got {self}")
        expect(answer.headers["content-type"] == "application/json", f"not JSON: {self}")
        error = json.loads(answer.body)["error"]
        expect(error["message"] == MESSAGES[code], f"not the fixed text: {error['message']}")
        expect(not error["details"], f"details: {error['details']}")

    def failed(self, code: str) -> None:
        """It got a 200, and one `failure` at its end."""
        expect(self.answer.status == 200, f"the client got {self}")
        expect(self.answer.endings == [f"failure {code}"], f"the client got {self}")
        expect(self.answer.whole, "the body has no end")
        failure = json.loads(self.answer.events[-1].data)
        expect(failure["message"] == MESSAGES[code], f"not the fixed text: {failure['message']}")
        expect(failure["request_id"] == self.request_id, f"the failure is {failure}")

    def finished(self, text: str) -> None:
        """It got this text and `done`."""
        expect(self.answer.status == 200, f"the client got {self}")
        expect(self.answer.endings == ["done"] and self.answer.whole, f"the client got {self}")
        expect(self.answer.text == text, "the text is not the provider's")

    def replied(self, text: str, *, stream: bool) -> None:
        """It got this text, as events or as one JSON."""
        if stream:
            self.finished(text)
            return
        expect(self.answer.status == 200, f"the client got {self}")
        expect(json.loads(self.answer.body)["text"] == text, "the text is not the provider's")

    def recorded(self, outcome: str, code: str | None) -> Record:
        """It has one record, which says the same."""
        record = self.ground.record(self.request_id)
        said = (record["outcome"], record["code"])
        expect(said == (outcome, code), f"{self.request_id} is recorded as {said}")
        return record

    def attempts(self, *statuses: int) -> None:
        """The upstream was asked as often, answered with these statuses, and is done with it."""
        self.ground.upstream.seen(self.request_id)
        seen = [entry["status"] for entry in self.ground.upstream.attempts(self.request_id)]
        expect(seen == list(statuses), f"the upstream answered {seen}")

    def upstream_closed(self) -> float:
        """Seconds from the client's last byte to the end of the upstream request, at most a second."""
        entry = self.ground.upstream.seen(self.request_id)
        expect(entry["disconnected_ns"], "the upstream request was not closed")
        late_s = float(entry["disconnected_ns"] - self.ended_ns) / 1e9
        expect(late_s <= CLOSED_WITHIN_S, f"the upstream was closed after {late_s:.2f} s")
        return max(0.0, late_s)

    def within(self, limit_s: float) -> None:
        """It ended at this deadline: not before, and not much later."""
        due = limit_s <= self.took_s <= limit_s + SLACK_S
        expect(due, f"ended after {self.took_s:.2f} s, the deadline is {limit_s:g} s")

    def __str__(self) -> str:
        answer = self.answer
        return f"{answer.status} {answer.code or ', '.join(answer.endings) or 'without an end'}"


def ask(
    ground: Ground,
    request_id: str,
    model: str,
    *,
    stream: bool = True,
    max_tokens: int | None = None,
) -> Asked:
    """`POST /chat` on a connection of its own, read to the end."""
    request = chat(request_id, model, stream=stream, prompt=PROMPT, max_tokens=max_tokens)
    wait_s = _LONG_WAIT_S if ground.long else _WAIT_S
    with Peer(ground.host, ground.port, wait_s=wait_s) as peer:
        began = time.monotonic()
        peer.send(request)
        answer = peer.rest()
        took_s, ended_ns = time.monotonic() - began, time.monotonic_ns()
    return Asked(ground, request_id, model, answer, took_s, ended_ns)


def pieces(request_id: str, model: str) -> list[str]:
    """The tokens that the simulator has for this request when nothing limits them."""
    profile = PROFILES[model.partition("+")[0].partition(":")[2]]
    script = write_script(Options().seed, request_id, profile, f"user: {PROMPT}")
    return list(script.pieces)


def default_s(setting: str) -> float:
    """The default of a setting in seconds."""
    return float(Settings.model_fields[setting].default)


def _messages(kind: type[ServiceError]) -> dict[str, str]:
    found = {kind.code: kind.message}
    for child in kind.__subclasses__():
        found |= _messages(child)
    return found


MESSAGES = _messages(ServiceError)
"""The fixed text of every code: what a client may read."""
