"""The small print of a report: how the figures came about, what was not measured, what the gate looked at."""

from loadtests.reporting import validity
from loadtests.reporting.comparison import DASH, number, percent
from loadtests.reporting.figures import Summary
from loadtests.reporting.join import StackRows
from loadtests.reporting.records import Run
from loadtests.reporting.summary import Measured
from loadtests.stats import Distribution

Check = tuple[str, str, str]
BREAKDOWN = (
    "Time to first byte is that of the head of the answer, at the client's socket. The streaming stack sends "
    "it with the first content: until then an error keeps its status.",
    "Stages: from the client's sending to the model's receiving, from there to its last token (streamed: its "
    "first), from there to the client's last content (streamed: its first), by the stamps of each request.",
    "First words painted: from the click to the paint, as the browser itself reports it (Element Timing), of a "
    "page that asks and shows; the browser runs on this host, after the load.",
)


def notes(measured: Measured) -> list[str]:
    """Sentences on the method, the general ones first."""
    return [*_definitions(measured), *_particulars(measured)]


def _definitions(measured: Measured) -> list[str]:
    level = f"{measured.summary.confidence.level:.0%}".replace("%", " %")
    return [
        "All times are of one host's monotonic clock. Content is stamped at the socket read, before parsing.",
        "API overhead is the client's total less the model's total; first-chunk delay is the client's time "
        "to first content less the model's time to first token. Batch and stream share the formulas.",
        "Percentiles are exact and nearest-rank: values that were measured, of all answered requests. "
        "p95 needs 20 samples, p99 needs 100.",
        f"Intervals are order-statistics intervals at {level}, the samples taken as independent.",
        "Batch and stream are never pooled. Failed requests count as errors and are in no distribution.",
        "CPU and memory are the kernel's accounting of all processes of the stack, over the measured part.",
    ]


def _particulars(measured: Measured) -> list[str]:
    run, found = measured.run, []
    pace = (
        f"open loop, {run.rate:g} requests a second"
        if run.rate
        else f"closed loop, {run.users:,} users"
    )
    found.append(f"Load: {pace}; both stacks got the same requests, interleaved.")
    if not measured.has_timeline:
        found.append(
            "No timeline of the model was kept (the endpoints are not fed by the simulator), so API overhead, "
            "first-chunk delay and relay lag are not measured."
        )
    elif lag := measured.summary.stacks.fastapi_app.relay_lag_ms:
        found.append(f"Relay lag is taken from {lag.n:,} tokens, of requests spread over the run.")
    if measured.summary.breakdown:
        found.extend(BREAKDOWN)
    found.extend(
        _retries(stack) for stack in (measured.legacy, measured.streaming) if stack.retried
    )
    return found


def _retries(stack: StackRows) -> str:
    return (
        f"{stack.name}: {stack.retried:,} answers took more than one upstream request; for these "
        "the model's time is the whole span, from the first attempt's arrival to the last one's end."
    )


def checks(summary: Summary) -> list[Check]:
    """What the validity gate looked at: name, measured, limit."""
    harness, answers = summary.harness, summary.answers
    dispatch, stall = harness.dispatch_delay_ms, harness.loop_stall_ms
    errors = summary.stacks.legacy_flask.errors + summary.stacks.fastapi_app.errors
    return [
        _late("client dispatch delay, the worse stack", dispatch, validity.DISPATCH_DELAY_P99_MS),
        _late("client loop stall, the worse stack", stall, validity.LOOP_STALL_P99_MS),
        _late("simulator deadline miss", harness.deadline_miss_ms, validity.DEADLINE_MISS_P99_MS),
        *(_share(name, harness.cpu_share.get(name)) for name in ("client", "simulator")),
        ("answers identical", f"{answers.identical:,} of {answers.compared:,}", "all"),
        ("errors", f"{errors:,}", "0, unless provoked"),
    ]


def _late(name: str, measured: Distribution | None, limit: float) -> Check:
    quantile = "p99" if measured is None or measured.p99 is not None else "maximum"
    value = DASH if measured is None else f"{number(measured.tail)} ms"
    return f"{name}, {quantile}", value, f"{limit:g} ms"


def _share(name: str, share: float | None) -> Check:
    return (
        f"CPU of the {name}",
        DASH if share is None else percent(share),
        percent(validity.CPU_SHARE),
    )


def facts(run: Run) -> list[tuple[str, str]]:
    """What the run was made with: servers, machine, versions."""
    asked = {
        "scenario": run.scenario,
        "profile": run.profile,
        "seed": run.seed,
        "started": run.started,
    }
    servers = {name: stack.server for name, stack in run.stacks.items()}
    warmup = {f"{name} warm-up": stack.warmup for name, stack in run.stacks.items()}
    groups = (asked, servers, warmup, run.host, run.versions)
    pairs = (pair for group in groups for pair in group.items())
    return [(name, str(value)) for name, value in pairs if value is not None]
