"""The shape of summary.json (DESIGN.md, section 6), the contract of every run."""

from pathlib import Path
from typing import Literal

import msgspec

from loadtests.reporting.records import RunFileError
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


class Summary(msgspec.Struct, frozen=True):
    """summary.json."""

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


def read(path: Path) -> Summary:
    """A summary.json written earlier; RunFileError when it is missing or is not one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Summary)
    except (OSError, msgspec.MsgspecError) as error:
        raise RunFileError(f"{path}: {error}") from None
