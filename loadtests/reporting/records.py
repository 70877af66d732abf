"""What a run leaves in its directory, decoded: samples, stalls, the simulator's timeline and run.json."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from loadtests.scenarios import Article, Way
from loadtests.stats import Distribution

Integers = npt.NDArray[np.int64]
StackName = Literal["legacy_flask", "fastapi_app"]
Kind = Literal["batch", "stream"]
T = TypeVar("T")

STACKS: tuple[StackName, StackName] = ("legacy_flask", "fastapi_app")
KINDS: dict[StackName, Kind] = {"legacy_flask": "batch", "fastapi_app": "stream"}
NOTHING = msgspec.Raw(b"[]")


class RunFileError(Exception):
    """A file of the run is missing or broken; the message is one line that names it."""


class Sample(msgspec.Struct, frozen=True):
    """One line of samples.jsonl, as the load side writes it; times are monotonic nanoseconds.

    The stamps of the chunks stay undecoded until they are needed: ten thousand answers hold millions.
    """

    stack: StackName
    phase: str
    index: int
    request_id: str
    kind: Kind
    status: int
    error: str | None
    scheduled_ns: int
    start_ns: int
    first_ns: int | None
    last_ns: int | None
    text_sha: str | None = None
    chars: int = 0
    completion_tokens: int | None = None
    headers_ns: int | None = None
    chunk_us: msgspec.Raw = NOTHING
    chunk_chars: msgspec.Raw = NOTHING
    way: Way = "direct"

    @property
    def ok(self) -> bool:
        """Answered in full, with some text."""
        return self.error is None and self.status == 200 and self.last_ns is not None


class Emission(msgspec.Struct, frozen=True):
    """One request as the simulator answered it; monotonic nanoseconds, offsets from `received_ns`."""

    stack: StackName
    phase: str
    request_id: str
    received_ns: int
    first_ns: int | None
    last_ns: int | None
    token_us: msgspec.Raw = NOTHING
    token_chars: msgspec.Raw = NOTHING
    way: Way = "direct"


class Stall(msgspec.Struct, frozen=True):
    """How late the ticker of one load process came, in microseconds."""

    stack: StackName
    lateness_us: list[float]
    way: Way = "direct"


class StackRun(msgspec.Struct, frozen=True):
    """What the kernel counted for the processes of one stack, over the measured part alone."""

    server: str | None = None
    cpu_s: float | None = None
    proxy_cpu_s: float | None = None
    idle_rss_mib: float | None = None
    rss_peak_mib: float | None = None
    measured_s: float | None = None
    warmup: int = 0


class ReportedDistribution(msgspec.Struct, frozen=True):
    """A distribution as another process wrote it: all but `n` may be null when nothing was counted."""

    n: int
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    def checked(self) -> Distribution | None:
        """The same as a Distribution, or None when it holds no value."""
        if self.n == 0 or self.mean is None or self.p50 is None or self.max is None:
            return None
        return Distribution(self.mean, self.p50, self.p95, self.p99, self.max, self.n)


class HarnessRun(msgspec.Struct, frozen=True):
    """The load side and the simulator watched by the run itself; shares are of one core, 0 to 1."""

    cpu_share: dict[str, float | None] = {}
    deadline_miss_ms: ReportedDistribution | None = None


class Handling(msgspec.Struct, frozen=True):
    """The same small request, not streamed, against an upstream without delays (for claim A6)."""

    requests_per_s: float
    cpu_ms_per_request: float | None = None
    n: int = 0


class Proxied(msgspec.Struct, frozen=True):
    """What was sent to each stack once more, through nginx."""

    requests: int
    stacks: dict[StackName, StackRun] = {}


class Views(msgspec.Struct, frozen=True):
    """First words as a browser painted them, in ms after the click that asked; `by` says which browser, how."""

    by: str
    first_words_ms: dict[StackName, list[float]]


class Coalesce(msgspec.Struct, frozen=True):
    """The streaming stack's settings for joining tokens into chunks."""

    tokens: int
    window_ms: float


class Run(msgspec.Struct, frozen=True):
    """run.json: what was asked for and what was watched."""

    scenario: str
    requests: int
    users: int
    rate: float | None = None
    seed: int | None = None
    profile: str | None = None
    versions: dict[str, str | None] = {}
    host: dict[str, str | int | float | None] = {}
    coalesce: Coalesce | None = None
    article: Article = "A"
    stacks: dict[StackName, StackRun] = {}
    proxied: Proxied | None = None
    serialisation_ms: Distribution | None = None
    views: Views | None = None
    harness: HarnessRun = HarnessRun()
    handling: dict[StackName, Handling] | None = None
    interrupted: bool = False
    expects_errors: bool = False
    same_answers: bool = True
    started: str | None = None


def read_run(out: Path) -> Run:
    """Run.json of a run directory; RunFileError when it is missing or is not one."""
    path = out / "run.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except OSError as error:
        raise RunFileError(f"{path}: {error.strerror}; is {out} the directory of a run?") from None
    except msgspec.MsgspecError as error:
        raise RunFileError(f"{path}: {error}") from None


def read_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """The objects of a JSONL file, one at a time; RunFileError names the file and the line.

    A last line without its newline was cut off when the run was stopped, and is left out.
    """
    decoder = msgspec.json.Decoder(kind)
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.endswith(b"\n"):
                    yield _decoded(decoder, line, f"{path}:{number}")
    except OSError as error:
        raise RunFileError(f"{path}: {error.strerror}") from None


def _decoded(decoder: msgspec.json.Decoder[T], line: bytes, place: str) -> T:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RunFileError(f"{place}: {error}") from None


def is_empty(raw: msgspec.Raw) -> bool:
    """Whether an array that was left undecoded holds nothing."""
    return bytes(raw).strip() == b"[]"


def integers(raw: msgspec.Raw) -> Integers:
    """A JSON array left undecoded until it is needed; RunFileError when it holds anything else."""
    try:
        return np.array(msgspec.json.decode(raw, type=list[int]), dtype=np.int64)
    except msgspec.MsgspecError as error:
        raise RunFileError(f"an array of stamps is broken: {error}") from None
