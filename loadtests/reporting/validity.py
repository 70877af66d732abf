"""The validity gate: was it the app that was measured, or the harness?

Each check returns the reasons against a run, one sentence with its figure and its limit. A figure
that was never taken is a reason too: a gate that passes for want of data is no gate.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from loadtests.reporting.comparison import percent
from loadtests.reporting.join import StackRows
from loadtests.reporting.records import KINDS, STACKS, Run, StackName
from loadtests.stats import Distribution

DISPATCH_DELAY_P99_MS = 10.0
"""A client that sends later than this measures itself; the streaming stack may take 25 ms at p99."""
LOOP_STALL_P99_MS = 10.0
"""Likewise for stamps that are taken late because the load process's loop was busy."""
DEADLINE_MISS_P99_MS = 2.0
"""The simulator's own promise; its lateness would count as the stack's."""
CPU_SHARE = 0.80
"""Of one core; above it a single-threaded process queues."""


@dataclass(frozen=True)
class Evidence:
    """All that the gate judges; figures stay apart by stack, so that a good one hides no bad one."""

    run: Run
    stacks: Mapping[StackName, StackRows]
    has_timeline: bool
    dispatch_delay_ms: Mapping[StackName, Distribution | None]
    loop_stall_ms: Mapping[StackName, Distribution | None]
    deadline_miss_ms: Distribution | None
    compared: int
    identical: int


def invalid_reasons(evidence: Evidence) -> list[str]:
    """Why the run proves nothing about the stacks; empty for a valid run."""
    return [reason for check in CHECKS for reason in check(evidence)]


def way_reasons(evidence: Evidence) -> list[str]:
    """The same of one way of reaching the stacks; what holds of the whole run is left out."""
    return [reason for check in OF_A_WAY for reason in check(evidence)]


def _interrupted(evidence: Evidence) -> Iterator[str]:
    if evidence.run.interrupted:
        yield "the run was interrupted"


def _too_few(evidence: Evidence) -> Iterator[str]:
    wanted = evidence.run.requests
    for name, stack in evidence.stacks.items():
        if stack.distinct < wanted:
            yield f"{name}: {stack.distinct:,} of {wanted:,} requests were sent"
        if stack.requests > stack.distinct:
            yield f"{name}: {stack.requests - stack.distinct:,} samples repeat a request already counted"


def _errors(evidence: Evidence) -> Iterator[str]:
    if evidence.run.expects_errors:
        return
    for name, stack in evidence.stacks.items():
        if stack.failed:
            yield f"{name}: {len(stack.failed):,} of {stack.requests:,} requests failed ({_codes(stack)})"


def _codes(stack: StackRows) -> str:
    counts: dict[str, int] = {}
    for sample in stack.failed:
        code = sample.error or f"status {sample.status}"
        counts[code] = counts.get(code, 0) + 1
    most = sorted(counts.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{code}: {n:,}" for code, n in most)


def _kinds(evidence: Evidence) -> Iterator[str]:
    for name, stack in evidence.stacks.items():
        if stack.kind != KINDS[name]:
            yield f"{name}: every answer came as {stack.kind}, and the comparison is of batch with stream"


def _answers(evidence: Evidence) -> Iterator[str]:
    different = evidence.compared - evidence.identical
    if different and evidence.run.same_answers:
        yield f"answers: {different:,} of {evidence.compared:,} differ between the stacks"
    if not evidence.compared:
        yield "answers: none could be compared between the stacks"


def _dispatch(evidence: Evidence) -> Iterator[str]:
    for name in STACKS:
        late = evidence.dispatch_delay_ms.get(name)
        yield from _above(f"{name}: client dispatch delay p99", late, DISPATCH_DELAY_P99_MS)


def _stalls(evidence: Evidence) -> Iterator[str]:
    for name in STACKS:
        late = evidence.loop_stall_ms.get(name)
        yield from _above(f"{name}: client loop stall p99", late, LOOP_STALL_P99_MS)


def _deadlines(evidence: Evidence) -> Iterator[str]:
    if evidence.has_timeline:
        missed = evidence.deadline_miss_ms
        yield from _above("simulator deadline miss p99", missed, DEADLINE_MISS_P99_MS)


def _above(what: str, measured: Distribution | None, limit: float) -> Iterator[str]:
    if measured is None:
        yield f"{what} was not measured"
    elif measured.tail > limit:
        yield f"{what} was {measured.tail:.1f} ms (limit {limit:g} ms)"


def _cpu(evidence: Evidence) -> Iterator[str]:
    for process in ("client", "simulator") if evidence.has_timeline else ("client",):
        share = evidence.run.harness.cpu_share.get(process)
        if share is None:
            yield f"CPU of the {process} was not measured"
        elif share > CPU_SHARE:
            yield f"CPU of the {process} was {percent(share)} of a core (limit {percent(CPU_SHARE)})"


def _unmatched(evidence: Evidence) -> Iterator[str]:
    if not evidence.has_timeline:
        return
    for name, stack in evidence.stacks.items():
        if stack.unmatched:
            yield f"{name}: {stack.unmatched:,} answers are missing in the simulator's timeline"


Check = Callable[[Evidence], Iterator[str]]
OF_A_WAY: tuple[Check, ...] = (
    _too_few,
    _errors,
    _kinds,
    _answers,
    _dispatch,
    _stalls,
    _unmatched,
)
CHECKS: tuple[Check, ...] = (_interrupted, *OF_A_WAY, _deadlines, _cpu)
