"""What is replayed and how fast: named scenarios, and the plan of one stretch that a load process follows."""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec

Kind = Literal["batch", "stream"]
Article = Literal["A", "B"]
"""The source article whose figures a run is judged by."""
Way = Literal["direct", "nginx"]
"""How a request reaches a stack: at the stack's own port, or through nginx as it is shipped."""
SAMPLES = "samples.jsonl"
STALLS = "stalls.jsonl"


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Each user asks again when it is answered; starts are spread evenly over `stagger_s`."""

    stagger_s: float


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Requests leave by a Poisson schedule of `rate` a second, answered or not."""

    rate: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load by name; `profile` is the one of the simulated upstream, `requests` go to each stack.

    `proxied` is the share of them that is sent again through nginx. `out` is where the run goes.
    """

    name: str
    users: int
    pace: ClosedLoop | OpenLoop
    profile: str
    requests: int = 10_000
    proxied: float = 0.0
    article: Article = "A"
    out: str = "out/compare"


ARTICLE = Scenario("article", users=200, pace=ClosedLoop(stagger_s=7.6), profile="article")
PRODUCTION = Scenario(
    "production",
    users=24,
    pace=ClosedLoop(stagger_s=9.1),
    profile="production",
    requests=360,
    proxied=0.5,
    article="B",
    out="out/production",
)
"""Article B. 24 answers of 2,100 tokens at a time are 5,500 tokens a second, less than half of article A's."""
CHATTY = Scenario("chatty", users=200, pace=OpenLoop(rate=25.0), profile="chatty")
INSTANT = Scenario("instant", users=8, pace=ClosedLoop(stagger_s=0.0), profile="instant")

SCENARIOS = MappingProxyType({s.name: s for s in (ARTICLE, PRODUCTION, CHATTY, INSTANT)})


class PlanError(Exception):
    """A plan file is missing or broken; the message is one line that names it."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One stretch of a replay: requests `first` to `first + count - 1` of the corpus, against one URL.

    `rate` in requests a second makes an open loop (a seeded Poisson schedule); without it `users` ask in a
    closed loop, their starts spread evenly over `stagger_s`. `targets` is a TOML file, ours when None; `corpus`
    a JSONL file, the seeded one when None. `kind` asks for another form of answer than the stack's own. `model`
    and `max_tokens` are put into every request. `timeout_s` is for a whole answer, `samples` a file in `out`.
    """

    stack: str
    phase: str
    url: str
    out: str
    run: str
    count: int
    way: Way = "direct"
    first: int = 0
    users: int = 1
    rate: float | None = None
    stagger_s: float = 0.0
    seed: int = 7
    targets: str | None = None
    corpus: str | None = None
    kind: Kind | None = None
    model: str | None = None
    max_tokens: int | None = None
    timeout_s: float = 120.0
    workers: int = 1
    samples: str = SAMPLES

    def __post_init__(self) -> None:
        if self.count < 0 or self.first < 0 or self.stagger_s < 0:
            raise ValueError("count, first and stagger_s must not be negative")
        if self.users < 1 or self.timeout_s <= 0 or (self.rate is not None and self.rate <= 0):
            raise ValueError("users, timeout_s and rate must be above zero")

    @property
    def answers(self) -> Kind:
        """How answers come: in a batch from the legacy stack, else as a stream; `kind` overrules that."""
        return self.kind or ("batch" if self.stack == "legacy_flask" else "stream")

    @property
    def stalls(self) -> str:
        """The file of stalls beside the one of samples; those of a warm-up must not count."""
        return STALLS if self.samples == SAMPLES else f"{Path(self.samples).stem}-{STALLS}"

    def request_id(self, index: int) -> str:
        """The same for both stacks, so that the simulator answers both alike."""
        return f"{self.run}-{index:06d}"


def read_plan(path: Path) -> Plan:
    """The plan in a JSON file; raises PlanError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: {error}") from None
