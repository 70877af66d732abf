"""The parts of a comparison in their order: parity, handling, warm-up, the four counted blocks."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from loadtests import facts
from loadtests.equality.comparing import compare
from loadtests.load import follow
from loadtests.options import RunOptions
from loadtests.processes import cpu_s, rss_mib
from loadtests.reporting.records import STACKS, StackName
from loadtests.samples import read_samples
from loadtests.scenarios import SCENARIOS, ClosedLoop, Plan
from loadtests.stage import LEGACY, STREAMING, Stage
from loadtests.targets import load_targets
from shared.settings import Settings

HANDLING_REQUESTS, HANDLING_USERS = 1000, 16
LINE_EVERY_S = 15.0


class Gate(Exception):
    """The run is refused; says why."""


@dataclass(slots=True)
class Usage:
    """What a stack and the harness used, in seconds of wall and CPU, and MiB."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    client_cpu_s: float = 0.0
    simulator_cpu_s: float = 0.0
    idle_rss_mib: float = 0.0
    rss_peak_mib: float = 0.0

    def add(self, other: "Usage") -> None:
        self.wall_s += other.wall_s
        self.cpu_s += other.cpu_s
        self.client_cpu_s += other.client_cpu_s
        self.simulator_cpu_s += other.simulator_cpu_s
        self.rss_peak_mib = max(self.rss_peak_mib, other.rss_peak_mib)


class Replay:
    """One run; what was done so far can be written at any moment."""

    def __init__(self, options: RunOptions, console: Console) -> None:
        self.options = options
        self.interrupted = False
        self._console = console
        self._started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._usage = {name: Usage() for name in STACKS}
        self._handling: dict[str, dict[str, float]] | None = None
        self._deadline_miss: dict[str, Any] | None = None

    def perform(self, stage: Stage) -> None:
        """All of it; raises Gate when parity fails, StartError when Locust does."""
        self._check_parity(stage)
        if stage.simulator:
            self._handling = {name: self._handle(stage, name) for name in STACKS}
        for name in STACKS:
            self._warm_up(stage, name)
        if stage.simulator:
            stage.control("stats?reset=1")
        try:
            self._blocks(stage)
        finally:
            if stage.simulator:
                self._deadline_miss = json.loads(stage.control("stats"))["deadline_miss_ms"]

    def write(self) -> None:
        """run.json, for the report; what did not happen is null."""
        chosen = self.options
        run = {
            "scenario": "own endpoints" if chosen.own_endpoints else chosen.profile,
            "requests": chosen.requests,
            "users": chosen.users,
            "rate": chosen.rate,
            "seed": chosen.seed,
            "profile": None if chosen.own_endpoints else chosen.profile,
            "versions": facts.versions(),
            "host": facts.host(),
            "coalesce": self._coalesce(),
            "stacks": {name: self._stack_facts(name) for name in STACKS},
            "harness": {"cpu_share": self._shares(), "deadline_miss_ms": self._deadline_miss},
            "handling": self._handling,
            "interrupted": self.interrupted,
            "expects_errors": False,
            "same_answers": load_targets(chosen.targets).same_answers,
            "started": self._started,
        }
        (chosen.out / "run.json").write_text(json.dumps(run, indent=1))

    def _check_parity(self, stage: Stage) -> None:
        urls = (stage.stacks[LEGACY].url, stage.stacks[STREAMING].url)
        result = compare(*urls, self.options.targets)
        if result.differences:
            listed = "\n  ".join(result.differences[:10])
            raise Gate(f"the stacks do not answer alike, so no load is sent:\n  {listed}")
        self._console.print(f"Parity: {result.compared} requests, {result.alike}.")
        if stage.simulator:
            stage.control("timeline")

    def _handle(self, stage: Stage, name: StackName) -> dict[str, float]:
        """Claim A6: the same small request to both, answered at once by the upstream, not streamed."""
        plan = msgspec.structs.replace(
            self._plan(stage, name, "handling", range(HANDLING_REQUESTS)),
            users=min(HANDLING_USERS, self.options.users),
            rate=None,
            stagger_s=0.0,
            kind="batch",
            model="sim:instant",
            max_tokens=16,
            samples="handling.jsonl",
        )
        used = self._stretch(stage, name, plan)
        stage.control("timeline")
        return {
            "requests_per_s": HANDLING_REQUESTS / _span_s(self.options.out / plan.samples, name),
            "cpu_ms_per_request": used.cpu_s / HANDLING_REQUESTS * 1e3,
            "n": HANDLING_REQUESTS,
        }

    def _warm_up(self, stage: Stage, name: StackName) -> None:
        """Every user asks once: connections, threads and caches are there before anything counts."""
        plan = self._plan(stage, name, "warm-up", range(self.options.users))
        if stage.simulator:
            plan = msgspec.structs.replace(plan, model="sim:instant", stagger_s=0.0, rate=None)
        self._stretch(stage, name, msgspec.structs.replace(plan, samples="warm-up.jsonl"))
        if stage.simulator:
            stage.control("timeline")
        self._usage[name].idle_rss_mib = _rss(stage, name)

    def _blocks(self, stage: Stage) -> None:
        """A B B A: whatever drifts during the run touches both stacks alike."""
        total, half = self.options.requests, (self.options.requests + 1) // 2
        halves = (range(half), range(half, total))
        for name, turn in ((LEGACY, 0), (STREAMING, 0), (STREAMING, 1), (LEGACY, 1)):
            letter = "A" if name == LEGACY else "B"
            if halves[turn]:
                self.block(stage, name, f"{letter}{turn + 1}", halves[turn])

    def block(self, stage: Stage, name: StackName, phase: str, indices: range) -> None:
        """One counted stretch of one stack, and the simulator's timeline of it."""
        plan = self._plan(stage, name, phase, indices)
        try:
            self._usage[name].add(self._stretch(stage, name, plan))
        finally:
            self._keep_timeline(stage, plan)

    def _plan(self, stage: Stage, name: StackName, phase: str, indices: range) -> Plan:
        chosen = self.options
        return Plan(
            stack=name,
            phase=phase,
            url=stage.stacks[name].url,
            targets=str(chosen.targets) if chosen.targets else None,
            corpus=str(chosen.corpus) if chosen.corpus else None,
            first=indices.start,
            count=len(indices),
            users=min(chosen.users, len(indices)),
            rate=chosen.rate,
            stagger_s=0.0 if chosen.own_endpoints else _stagger_s(chosen.profile),
            seed=chosen.seed,
            run=f"r{chosen.seed}",
            out=str(chosen.out),
            workers=min(chosen.processes, chosen.users, len(indices)),
        )

    def _stretch(self, stage: Stage, name: StackName, plan: Plan) -> Usage:
        """Replays a plan and returns what it used; the memory of the stack is read once a second."""
        used = Usage()
        pids = [
            child.pid if child else None for child in (stage.stacks[name].child, stage.simulator)
        ]
        before = [cpu_s(pid) if pid else 0.0 for pid in pids]
        with self._progress(f"{plan.phase} {name}", plan.count) as advance:

            def watch(done: int, errors: int) -> None:
                used.rss_peak_mib = max(used.rss_peak_mib, _rss(stage, name))
                advance(done, errors)

            stretch = follow(plan, stage.cores.client, watch)
        after = [cpu_s(pid) if pid else 0.0 for pid in pids]
        used.cpu_s, used.simulator_cpu_s = (b - a for a, b in zip(before, after, strict=True))
        used.wall_s, used.client_cpu_s = stretch.wall_s, stretch.client_cpu_s
        return used

    @contextmanager
    def _progress(self, label: str, count: int) -> Iterator[Callable[[int, int], None]]:
        """A bar in a terminal; a line now and then elsewhere."""
        columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn())
        errors_column = TextColumn("{task.fields[errors]} errors")
        with Progress(*columns, errors_column, TimeRemainingColumn(), console=self._console) as bar:
            task = bar.add_task(label, total=count, errors=0)
            began = said = time.monotonic()

            def advance(done: int, errors: int) -> None:
                nonlocal said
                bar.update(task, completed=done, errors=errors)
                now = time.monotonic()
                if not self._console.is_terminal and now - said >= LINE_EVERY_S and done:
                    said = now
                    left = (now - began) / done * (count - done)
                    print(
                        f"{label}: {done:,} of {count:,}, {errors} errors, {left:.0f} s left",
                        flush=True,
                    )

            yield advance

    def _keep_timeline(self, stage: Stage, plan: Plan) -> None:
        if stage.simulator is None:
            return
        lines = stage.control("timeline").splitlines()
        mark = f'{{"stack":"{plan.stack}","phase":"{plan.phase}",'.encode()
        with (self.options.out / "timeline.jsonl").open("ab") as kept:
            kept.writelines(mark + line.removeprefix(b"{") + b"\n" for line in lines)

    def _coalesce(self) -> dict[str, float] | None:
        if self.options.own_endpoints:
            return None
        settings = Settings.load()
        return {"tokens": settings.coalesce_tokens, "window_ms": settings.coalesce_ms}

    def _stack_facts(self, name: StackName) -> dict[str, Any]:
        usage, chosen = self._usage[name], self.options
        facts_known = {"measured_s": usage.wall_s, "warmup": chosen.users}
        if chosen.own_endpoints:
            return facts_known
        servers = {
            LEGACY: f"gunicorn gthread, {chosen.workers} x {chosen.threads} threads",
            STREAMING: f"uvicorn uvloop, {chosen.workers} x 1 event loop",
        }
        return facts_known | {
            "server": servers[name],
            "cpu_s": usage.cpu_s,
            "idle_rss_mib": usage.idle_rss_mib,
            "rss_peak_mib": usage.rss_peak_mib,
        }

    def _shares(self) -> dict[str, float | None]:
        """Shares of one core over the counted blocks; the worse of the two stacks' blocks."""
        client = [u.client_cpu_s / u.wall_s for u in self._usage.values() if u.wall_s]
        simulator = [u.simulator_cpu_s / u.wall_s for u in self._usage.values() if u.wall_s]
        simulated = not self.options.own_endpoints
        return {
            "client": max(client, default=None),
            "simulator": max(simulator, default=None) if simulated else None,
        }


def _span_s(samples: Path, stack: str) -> float:
    """Seconds from the first request of a stack to its last answer."""
    mine = [sample for sample in read_samples(samples) if sample.stack == stack and sample.last_ns]
    last = max(sample.last_ns or 0 for sample in mine)
    return (last - min(sample.start_ns for sample in mine)) / 1e9


def _stagger_s(profile: str) -> float:
    """Over an answer's length, so that a closed loop of equal answers does not march in step."""
    pace = SCENARIOS[profile].pace
    return pace.stagger_s if isinstance(pace, ClosedLoop) else 0.0


def _rss(stage: Stage, name: StackName) -> float:
    child = stage.stacks[name].child
    return rss_mib(child.pid) if child else 0.0
