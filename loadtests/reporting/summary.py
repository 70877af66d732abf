"""The figures of a run, computed from the files of the run alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from loadtests.reporting import claims, production_claims
from loadtests.reporting.breakdown import breakdown
from loadtests.reporting.figures import (
    Answers,
    BatchFigures,
    Breakdown,
    Claim,
    Confidence,
    Harness,
    Intervals,
    Stacks,
    StreamFigures,
    Summary,
    UpstreamFigures,
)
from loadtests.reporting.join import StackRows, read_stacks
from loadtests.reporting.records import (
    STACKS,
    Run,
    RunFileError,
    StackName,
    StackRun,
    Stall,
    read_lines,
    read_run,
)
from loadtests.reporting.validity import Evidence, invalid_reasons, way_reasons
from loadtests.scenarios import Way
from loadtests.stats import LEVEL, Distribution, Floats, distribution, interval

HEADLINES = ("first_content_ms", "total_ms", "api_overhead_ms")


@dataclass(frozen=True)
class Measured:
    """A run read from its directory: the figures, and the rows they come from."""

    run: Run
    legacy: StackRows
    streaming: StackRows
    has_timeline: bool
    summary: Summary


def measure(out: Path) -> Measured:
    """Reads a run directory and computes its summary; RunFileError when a file is missing or broken."""
    run = read_run(out)
    stacks, has_timeline = read_stacks(out, open_loop=run.rate is not None)
    legacy, streaming = stacks["legacy_flask"], stacks["fastapi_app"]
    if not legacy.requests and not streaming.requests:
        raise RunFileError(f"{out / 'samples.jsonl'}: no request was recorded")
    evidence = _evidence(run, stacks, has_timeline, _stalls(out, "direct"))
    behind = _through_nginx(out, run)
    return Measured(run, legacy, streaming, has_timeline, _summary(evidence, behind))


def _through_nginx(out: Path, run: Run) -> Evidence | None:
    if run.proxied is None:
        return None
    stacks, has_timeline = read_stacks(out, open_loop=run.rate is not None, way="nginx")
    asked = msgspec.structs.replace(run, requests=run.proxied.requests)
    return _evidence(asked, stacks, has_timeline, _stalls(out, "nginx"))


def _evidence(
    run: Run,
    stacks: dict[StackName, StackRows],
    has_timeline: bool,
    stalls: dict[StackName, Floats],
) -> Evidence:
    missed = run.harness.deadline_miss_ms
    compared, identical = _compare(stacks["legacy_flask"], stacks["fastapi_app"])
    return Evidence(
        run=run,
        stacks=stacks,
        has_timeline=has_timeline,
        dispatch_delay_ms={
            name: distribution(stacks[name].dispatch_delays_ms()) for name in STACKS
        },
        loop_stall_ms={name: distribution(stalls[name]) for name in STACKS},
        deadline_miss_ms=missed.checked() if missed else None,
        compared=compared,
        identical=identical,
    )


def _stalls(out: Path, way: Way) -> dict[StackName, Floats]:
    lateness: dict[StackName, list[float]] = {name: [] for name in STACKS}
    path = out / "stalls.jsonl"
    for stall in read_lines(path, Stall) if path.exists() else ():
        if stall.way == way:
            lateness[stall.stack].extend(stall.lateness_us)
    return {name: np.array(late, dtype=np.float64) / 1e3 for name, late in lateness.items()}


def _compare(legacy: StackRows, streaming: StackRows) -> tuple[int, int]:
    """How many requests both stacks answered, and how many of those with the same text and finish reason."""
    shas = {row.sample.index: row.sample.text_sha for row in legacy.rows}
    both = [row.sample for row in streaming.rows if row.sample.index in shas]
    same = (s.text_sha is not None and s.text_sha == shas[s.index] for s in both)
    return len(both), sum(same)


def _summary(evidence: Evidence, behind: Evidence | None) -> Summary:
    run = evidence.run
    legacy, streaming = evidence.stacks["legacy_flask"], evidence.stacks["fastapi_app"]
    reasons = invalid_reasons(evidence)
    if behind:
        reasons += [f"through nginx: {reason}" for reason in way_reasons(behind)]
    summary = Summary(
        scenario=run.scenario,
        requests=run.requests,
        users=run.users,
        valid=not reasons,
        invalid_reasons=reasons,
        versions=run.versions,
        stacks=Stacks(_batch_figures(legacy, run), _stream_figures(streaming, run)),
        upstream=_upstream(streaming if streaming.rows else legacy),
        answers=Answers(evidence.compared, evidence.identical),
        harness=_harness([evidence, behind] if behind else [evidence]),
        claims=[],
        confidence=_confidence(legacy, streaming),
        breakdown=_breakdown(evidence, behind) if run.article == "B" else None,
    )
    return msgspec.structs.replace(summary, claims=_claims(summary, streaming, run))


def _breakdown(evidence: Evidence, behind: Evidence | None) -> Breakdown:
    ways: dict[Way, Evidence] = {"direct": evidence}
    if behind:
        ways["nginx"] = behind
    return breakdown(evidence.run, {way: one.stacks for way, one in ways.items()})


def _claims(summary: Summary, streaming: StackRows, run: Run) -> list[Claim]:
    if summary.breakdown:
        return production_claims.verdicts(summary, summary.breakdown)
    return claims.verdicts(claims.Facts.of(summary, _others(streaming, run)))


def _others(streaming: StackRows, run: Run) -> claims.Others:
    counts = [row.sample.completion_tokens for row in streaming.rows]
    tokens = distribution([n for n in counts if n is not None])
    model = distribution(streaming.milliseconds("upstream_total_ms"))
    return claims.Others(
        tokens=int(tokens.p50) if tokens else None,
        model_total=model.p50 if model else None,
        handling=run.handling,
    )


def _batch_figures(stack: StackRows, run: Run) -> BatchFigures:
    processes = run.stacks.get(stack.name, StackRun())
    return BatchFigures(
        requests=stack.requests,
        errors=len(stack.failed),
        first_content_ms=distribution(stack.milliseconds("first_content_ms")),
        total_ms=distribution(stack.milliseconds("total_ms")),
        api_overhead_ms=distribution(stack.milliseconds("api_overhead_ms")),
        cpu_ms_per_request=_ratio(processes.cpu_s, stack.requests, scale=1e3),
        rss_peak_mib=processes.rss_peak_mib,
        requests_per_s=_ratio(stack.requests, processes.measured_s),
    )


def _stream_figures(stack: StackRows, run: Run) -> StreamFigures:
    processes = run.stacks.get(stack.name, StackRun())
    common = msgspec.structs.asdict(_batch_figures(stack, run))
    return StreamFigures(
        **common,
        first_chunk_delay_ms=distribution(stack.milliseconds("first_chunk_delay_ms")),
        inter_chunk_ms=distribution(stack.inter_chunk_ms()),
        relay_lag_ms=distribution(stack.relay_lags_ms()),
        cpu_us_per_token=_ratio(processes.cpu_s, stack.tokens, scale=1e6),
    )


def _ratio(part: float | None, whole: float | None, scale: float = 1.0) -> float | None:
    return round(part * scale / whole, 3) if part is not None and whole else None


def _upstream(stack: StackRows) -> UpstreamFigures:
    return UpstreamFigures(
        first_token_ms=distribution(stack.milliseconds("upstream_first_ms")),
        generation_ms=distribution(stack.milliseconds("upstream_generation_ms")),
    )


def _harness(ways: Sequence[Evidence]) -> Harness:
    shares = ways[0].run.harness.cpu_share
    return Harness(
        dispatch_delay_ms=_worse([d for one in ways for d in one.dispatch_delay_ms.values()]),
        loop_stall_ms=_worse([d for one in ways for d in one.loop_stall_ms.values()]),
        deadline_miss_ms=ways[0].deadline_miss_ms,
        cpu_share={name: shares.get(name) for name in ("client", "simulator")},
    )


def _worse(distributions: Sequence[Distribution | None]) -> Distribution | None:
    known = [one for one in distributions if one is not None]
    return max(known, key=lambda one: one.tail, default=None)


def _confidence(legacy: StackRows, streaming: StackRows) -> Confidence:
    return Confidence(
        level=LEVEL,
        method="order statistics, samples taken as independent",
        legacy_flask=_intervals(legacy, HEADLINES),
        fastapi_app=_intervals(streaming, (*HEADLINES, "first_chunk_delay_ms")),
    )


def _intervals(stack: StackRows, names: Sequence[str]) -> dict[str, Intervals]:
    values = {name: stack.milliseconds(name) for name in names}
    return {name: Intervals(interval(v, 50), interval(v, 99)) for name, v in values.items()}
