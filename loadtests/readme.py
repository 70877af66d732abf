"""The committed figures, and the README that shows them: every number in it is written by this file."""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from loadtests.reporting import markdown
from loadtests.reporting.figures import Summary

README = Path("README.md")
RESULTS = Path("results")
PICTURE = Path("docs/report.png")
MEASURED = ("compare", "sweep", "bench", "bench-simulator")
CLAIMED = {
    "slow-readers": "make slow-readers",
    "readers": "make readers",
    "bench-limiter": "make bench-limiter",
    "production": "make compare PROFILE=production",
    "knobs": "make knobs",
    "drops": "make drops",
}
"""Runs that judge claims, and what they are called; shown as soon as they were measured."""
PROVEN = ("rolling", "myths")
"""Runs that keep promises; kept alike."""
BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- end of results -->)", re.DOTALL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--take", type=Path, help="a folder of runs, such as out: keep their figures first"
    )


def main(arguments: argparse.Namespace) -> int:
    """0 when the README shows the figures of results/, 1 when there are none to show."""
    try:
        if arguments.take:
            _take(arguments.take)
        shown = rendered(README.read_text(encoding="utf-8"), RESULTS)
    except OSError as error:
        print(f"readme: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    README.write_text(shown, encoding="utf-8")
    return 0


def rendered(readme: str, results: Path) -> str:
    """The README with the figures of a results folder between its markers."""
    summary = msgspec.json.decode((results / "compare" / "summary.json").read_bytes(), type=Summary)
    others = {name: _read(results / name / "summary.json") for name in MEASURED[1:]}
    block = "\n\n".join(
        (
            markdown.table(summary),
            markdown.claims(summary),
            "\n".join(
                (
                    f"- {_sweep(others['sweep'])}",
                    f"- {_bench(others['bench'])}",
                    f"- {_simulator(others['bench-simulator'])}",
                    *(f"- {line}" for line in (*_claimed(results), *_proven(results))),
                )
            ),
        )
    )
    return BLOCK.sub(lambda found: f"{found[1]}{block}\n{found[2]}", readme)


def _sweep(sweep: dict[str, Any]) -> str:
    a4, knee = sweep["a4"], sweep["knee"]["fastapi_app"]
    batch, stream = (a4["api_overhead_p50_ms"][name] for name in ("legacy_flask", "fastapi_app"))
    own = (
        f"its own knee is at {knee} streams on one core" if knee else "its own knee was not reached"
    )
    return (
        f"`make sweep`: the article's 800 ms of overhead are a queue. Flask with {sweep['legacy_threads']} "
        f"threads adds {batch:,.0f} ms at {a4['users']} users, FastAPI {stream:.1f} ms at the same load "
        f"(A4); {own}."
    )


def _bench(bench: dict[str, Any]) -> str:
    costs = ", ".join(f"{name} {row['us_per_token']:.1f}" for name, row in bench["relays"].items())
    return f"`make bench`, µs of CPU a relayed token: {costs}."


def _simulator(bench: dict[str, Any]) -> str:
    return (
        f"`make bench-simulator`: {bench['cpu_us_per_token']:.1f} µs of CPU a token at {bench['streams']} "
        f"streams, deadlines missed by {bench['deadline_miss_ms']['p99']:.1f} ms at p99."
    )


def _claimed(results: Path) -> Iterator[str]:
    for name, command in CLAIMED.items():
        path = results / name / "summary.json"
        if path.exists():
            claims = _read(path)["claims"]
            told = "; ".join(
                f"{one['id']} **{one['verdict']}**: {one['measured']}" for one in claims
            )
            yield f"`{command}`: {told}."


def _proven(results: Path) -> Iterator[str]:
    for name, told in {"rolling": _rolling, "myths": _myths}.items():
        path = results / name / "summary.json"
        if path.exists():
            yield f"`make {name}`: {told(_read(path))}."


def _rolling(rolling: dict[str, Any]) -> str:
    long, short = rolling["passes"]["long"], rolling["passes"]["short"]
    return (
        f"{long['answers']:,} answers while both servers were restarted in turn: {long['lost']} lost, "
        f"{long['refused']} requests refused; with a grace of {short['grace_s']:g} s, shorter than an answer, "
        f"{short['told']} times a client was told and went on elsewhere: {short['lost']} lost"
    )


def _myths(myths: dict[str, Any]) -> str:
    shown = sum(one["shown"] for one in myths["items"])
    return (
        f"{shown} of {len(myths['items'])} probes show what the guide says of articles and of nginx"
    )


def _read(path: Path) -> dict[str, Any]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])


def _take(runs: Path) -> None:
    from loadtests import report

    there = [name for name in (*CLAIMED, *PROVEN) if (runs / name / "summary.json").exists()]
    for name in (*MEASURED, *there):
        kept = RESULTS / name
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copy(runs / name / "summary.json", kept / "summary.json")
    shutil.copy(runs / "compare" / "report.md", RESULTS / "compare" / "report.md")
    PICTURE.parent.mkdir(exist_ok=True)
    report.picture(runs / "compare", PICTURE)
