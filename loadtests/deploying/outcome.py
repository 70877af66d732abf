"""What came of the answers that were asked for during a deploy: pure."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from loadtests.audience.generated import Generated
from loadtests.deploying.clients import Journey, ending, prompt
from loadtests.deploying.roll import Rolled
from loadtests.profiles import Profile, Script, write_script
from loadtests.sse_reader import ServerEvent
from loadtests.stats import Distribution, distribution
from loadtests.streams import Taken


class Outcome(msgspec.Struct, frozen=True):
    """One pass: `answers` began, `requests` were sent during the roll, `refused` are those of the whole pass.

    Of the streams that were `told` draining, plain ones were `asked_again`, and sessions `resumed` elsewhere,
    with `silence_ms` between the failure and the next text. `broken_off` streams ended without a word; `lost`
    answers never came to an end, and `whole` ones have the model's text, once. `twice` are tokens that the
    model made beyond those of the finished answers.
    """

    grace_s: float
    answers: int
    finished: int
    told: int
    asked_again: int
    resumed: int
    broken_off: int
    lost: int
    whole: int
    requests: int
    refused: int
    sent_again: dict[str, int]
    first_content_before_ms: Distribution | None
    first_content_during_ms: Distribution | None
    silence_ms: Distribution | None
    tokens: int
    twice: int
    backends: list[Rolled]


@dataclass(frozen=True, slots=True)
class Model:
    """What the simulated model says to whom."""

    seed: int
    profile: Profile

    def script(self, request_id: str) -> Script:
        asked = f"user: {prompt(request_id)}"
        return write_script(self.seed, request_id, self.profile, asked)


@dataclass(frozen=True, slots=True)
class Seen:
    """One pass, as its clients, the model and nginx saw it; the roll's ends are monotonic nanoseconds."""

    grace_s: float
    began_ns: int
    ended_ns: int
    backends: Sequence[Rolled]
    journeys: Sequence[Journey]
    made: Sequence[Generated]
    sent_again: Counter[str]


def outcome(seen: Seen, model: Model) -> Outcome:
    journeys = seen.journeys
    answers = [answer for one in journeys for answer in one.answers if begun(answer)]
    finished = [answer for answer in answers if ending(answer[-1]) == "finished"]
    scripts = [model.script(answer[0].request_id) for answer in finished]
    back = [one for one in journeys if one.issued and len(one.streams) > 1]
    requests = [taken for one in journeys for taken in one.requests]
    ends = Counter(ending(stream) for one in journeys for stream in one.streams)
    made = sum(one.paid for one in seen.made)
    return Outcome(
        grace_s=seen.grace_s,
        answers=len(answers),
        finished=len(finished),
        told=ends["draining"],
        asked_again=sum(len(one.streams) - 1 for one in journeys if not one.issued),
        resumed=sum(one.finished for one in back),
        broken_off=ends["broken off"],
        lost=sum(_is_lost(one) for one in journeys),
        whole=sum(is_whole(*each) for each in zip(finished, scripts, strict=True)),
        requests=sum(seen.began_ns <= taken.asked_ns < seen.ended_ns for taken in requests),
        refused=sum(ending(taken) == "refused" for taken in requests),
        sent_again=dict(sorted(seen.sent_again.items())),
        first_content_before_ms=_first_content(journeys, 0, seen.began_ns),
        first_content_during_ms=_first_content(journeys, seen.began_ns, seen.ended_ns),
        silence_ms=distribution([gap for one in back for gap in silences(one.streams)]),
        tokens=made,
        twice=made - sum(len(script.pieces) for script in scripts),
        backends=list(seen.backends),
    )


def begun(streams: Sequence[Taken]) -> bool:
    return any(one.status == 200 for one in streams)


def _is_lost(journey: Journey) -> bool:
    """A stream began, and no answer came of it; what was refused from the start is counted as that."""
    return begun(journey.streams) and not journey.finished


def is_whole(answer: Sequence[Taken], script: Script) -> bool:
    """Whether the streams of one answer have the model's text, every event of it once and in its place."""
    events = [event for taken in answer for event in taken.events() if event.name != "failure"]
    places = [int(event.id.partition("-")[2]) for event in events if event.id]
    in_order = places == list(range(1, len(places) + 1))
    return in_order and "".join(_texts(events)) == script.text


def _texts(events: Iterable[ServerEvent]) -> Iterator[str]:
    return (json.loads(event.data)["text"] for event in events if event.name == "delta")


def silences(streams: Sequence[Taken]) -> Iterator[float]:
    """Milliseconds without text at each resumption, for those that brought any."""
    for before, after in pairwise(streams):
        if after.content_ns:
            yield (after.content_ns[0] - before.ended_ns) / 1e6


def _first_content(journeys: Iterable[Journey], from_ns: int, to_ns: int) -> Distribution | None:
    """Of answers that were asked for in this time: milliseconds from the first byte asked to the first text."""
    waited = [
        (answer[0].content_ns[0] - asked.asked_ns) / 1e6
        for one in journeys
        for answer in one.answers
        for asked in [one.issued or answer[0]]
        if from_ns <= asked.asked_ns < to_ns and begun(answer) and answer[0].content_ns
    ]
    return distribution(waited)
