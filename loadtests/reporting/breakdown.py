"""Article B's figures: each stack by each way, where its time went, and what of it a browser shows."""

from collections.abc import Mapping

from loadtests.reporting.figures import Breakdown, Stages, WayFigures
from loadtests.reporting.join import StackRows
from loadtests.reporting.records import Run, StackName
from loadtests.scenarios import Way
from loadtests.stats import distribution

Rows = Mapping[Way, Mapping[StackName, StackRows]]
STAGES = {
    "batch": ("until_model_ms", "upstream_total_ms", "after_last_ms"),
    "stream": ("until_model_ms", "upstream_first_ms", "after_first_ms"),
}


def breakdown(run: Run, rows: Rows) -> Breakdown:
    """From a run and the rows of each of its ways."""
    seen = run.views.first_words_ms if run.views else {}
    visible = {name: found for name, values in seen.items() if (found := distribution(values))}
    return Breakdown(
        ways={
            way: {name: _figures(one, _proxy_cpu_s(run, name, way)) for name, one in stacks.items()}
            for way, stacks in rows.items()
        },
        serialisation_ms=run.serialisation_ms,
        visible_ms=visible or None,
        visible_by=run.views.by if run.views else None,
    )


def _proxy_cpu_s(run: Run, name: StackName, way: Way) -> float | None:
    watched = run.proxied.stacks.get(name) if run.proxied and way == "nginx" else None
    return watched.proxy_cpu_s if watched else None


def _figures(stack: StackRows, proxy_cpu_s: float | None) -> WayFigures:
    spent_ms = None if proxy_cpu_s is None else proxy_cpu_s * 1e3
    return WayFigures(
        requests=stack.requests,
        errors=len(stack.failed),
        first_byte_ms=distribution(stack.milliseconds("first_byte_ms")),
        first_content_ms=distribution(stack.milliseconds("first_content_ms")),
        total_ms=distribution(stack.milliseconds("total_ms")),
        stages=_stages(stack),
        proxy_cpu_ms_per_request=spent_ms and round(spent_ms / max(1, stack.requests), 3),
    )


def _stages(stack: StackRows) -> Stages | None:
    found = [distribution(stack.milliseconds(name)) for name in STAGES[stack.kind]]
    until, model, onwards = found
    if until is None or model is None or onwards is None:
        return None
    return Stages(until, model, onwards)
