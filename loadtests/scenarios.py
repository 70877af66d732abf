"""What a stretch of load does: the plan that Locust follows."""

from typing import Literal

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """One stack, one stretch of the corpus, one pace.

    `rate` is requests a second of an open loop (a seeded Poisson schedule); without it `users` ask in a closed
    loop, their starts spread evenly over `stagger_s` seconds. `kind` asks for the other form of answer than the
    stack's own. `model` and `max_tokens` are put into every request. `workers` share the indices.
    """

    stack: str
    phase: str
    url: str
    targets: str | None
    corpus: str | None
    first: int
    count: int
    users: int
    rate: float | None
    stagger_s: float
    seed: int
    run: str
    out: str
    kind: Literal["batch", "stream"] | None = None
    model: str | None = None
    max_tokens: int | None = None
    timeout_s: float = 120.0
    workers: int = 1
    samples: str = "samples.jsonl"

    def request_id(self, index: int) -> str:
        """The same for both stacks, so that the simulator answers both alike."""
        return f"{self.run}-{index:06d}"
