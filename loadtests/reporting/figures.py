"""The shape of summary.json (DESIGN.md, section 6), the contract of every run."""

from pathlib import Path
from typing import Literal

import msgspec

from loadtests.reporting.records import RunFileError, StackName
from loadtests.scenarios import Way
from loadtests.stats import Distribution

Interval = tuple[float, float]
Verdict = Literal["reproduced", "beaten", "shown impossible", "not reproduced"]


class Claim(msgspec.Struct, frozen=True):
    """One claim of the articles beside what was measured."""

    id: str
    article: str
    measured: str
    verdict: Verdict


class BatchFigures(msgspec.Struct, frozen=True):
    """What is measured of either stack; times in ms, None where it was not measured."""

    requests: int
    errors: int
    first_content_ms: Distribution | None
    total_ms: Distribution | None
    api_overhead_ms: Distribution | None
    cpu_ms_per_request: float | None
    rss_peak_mib: float | None
    requests_per_s: float | None


class StreamFigures(BatchFigures, frozen=True):
    """What only an answer that arrives in pieces has."""

    first_chunk_delay_ms: Distribution | None
    inter_chunk_ms: Distribution | None
    relay_lag_ms: Distribution | None
    cpu_us_per_token: float | None


class Stacks(msgspec.Struct, frozen=True):
    legacy_flask: BatchFigures
    fastapi_app: StreamFigures


class UpstreamFigures(msgspec.Struct, frozen=True):
    """The model's own times, taken from the requests of the streaming stack."""

    first_token_ms: Distribution | None
    generation_ms: Distribution | None


class Answers(msgspec.Struct, frozen=True):
    """Requests answered by both stacks, and those of them with the same text and finish reason."""

    compared: int
    identical: int


class Harness(msgspec.Struct, frozen=True):
    """The load side and the simulator; each distribution is the worse of the two stacks' runs."""

    dispatch_delay_ms: Distribution | None
    loop_stall_ms: Distribution | None
    deadline_miss_ms: Distribution | None
    cpu_share: dict[str, float | None]


class Intervals(msgspec.Struct, frozen=True):
    """Confidence intervals of two percentiles, in ms; None where there are too few samples."""

    p50: Interval | None
    p99: Interval | None


class Confidence(msgspec.Struct, frozen=True):
    level: float
    method: str
    legacy_flask: dict[str, Intervals]
    fastapi_app: dict[str, Intervals]


class Stages(msgspec.Struct, frozen=True):
    """Where the time of each request went, in ms: until the model had it, at the model, and from the model on.

    For a batch answer the three make up the total; for a streamed one the time to first content.
    """

    until_model_ms: Distribution
    model_ms: Distribution
    from_model_ms: Distribution

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of the mean of the whole, 0 to 1; they add up to 1, which shares of medians do not."""
        means = [one.mean for one in (self.until_model_ms, self.model_ms, self.from_model_ms)]
        until, model, onwards = (mean / sum(means) for mean in means)
        return until, model, onwards


class WayFigures(msgspec.Struct, frozen=True):
    """One stack as it was reached by one way; times in ms. `proxy_cpu_ms_per_request` is nginx's own."""

    requests: int
    errors: int
    first_byte_ms: Distribution | None
    first_content_ms: Distribution | None
    total_ms: Distribution | None
    stages: Stages | None
    proxy_cpu_ms_per_request: float | None = None


class Breakdown(msgspec.Struct, frozen=True):
    """What article B asks for: each stack by each way, its stages, the cost of the JSON, what a browser shows.

    `serialisation_ms` is one answer written again and again in the load side's process. `visible_ms` counts
    from the click to the paint of the first words; `visible_by` says in which browser.
    """

    ways: dict[Way, dict[StackName, WayFigures]]
    serialisation_ms: Distribution | None
    visible_ms: dict[StackName, Distribution] | None
    visible_by: str | None


class Summary(msgspec.Struct, frozen=True, omit_defaults=True):
    """summary.json; `breakdown` is there in runs of the production profile alone."""

    scenario: str
    requests: int
    users: int
    valid: bool
    invalid_reasons: list[str]
    versions: dict[str, str | None]
    stacks: Stacks
    upstream: UpstreamFigures
    answers: Answers
    harness: Harness
    claims: list[Claim]
    confidence: Confidence
    breakdown: Breakdown | None = None


def read(path: Path) -> Summary:
    """A summary.json written earlier; RunFileError when it is missing or is not one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Summary)
    except (OSError, msgspec.MsgspecError) as error:
        raise RunFileError(f"{path}: {error}") from None
