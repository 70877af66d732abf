"""The parts of a comparison in their order: parity, handling, warm-up, the counted blocks, single answers."""

import json
import time
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from loadtests import facts, page_view, serialising
from loadtests.blocks import Block, blocks
from loadtests.corpus import open_corpus
from loadtests.equality.comparing import compare
from loadtests.options import RunOptions
from loadtests.reporting.records import STACKS, StackName, Views
from loadtests.samples import read_samples
from loadtests.scenarios import SCENARIOS, ClosedLoop, Plan, Way
from loadtests.stage import LEGACY, STREAMING, Stage
from loadtests.stats import Distribution, distribution
from loadtests.targets import load_targets
from loadtests.usage import Usage, stack_rss_mib, used
from shared.settings import Settings

HANDLING_REQUESTS, HANDLING_USERS = 1000, 16


class Gate(Exception):
    """The run is refused; says why."""


class Replay:
    """One run; what was done so far can be written at any moment."""

    def __init__(self, options: RunOptions, console: Console) -> None:
        self.options = options
        self.interrupted = False
        self._console = console
        self._started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._usage: dict[tuple[Way, StackName], Usage] = defaultdict(Usage)
        self._handling: dict[str, dict[str, float]] | None = None
        self._deadline_miss: dict[str, Any] | None = None
        self._serialisation: Distribution | None = None
        self._views: Views | None = None

    def perform(self, stage: Stage) -> None:
        """All of it; raises Gate when parity fails, StartError when Locust does."""
        self._check_parity(stage)
        if stage.simulator and self.options.article == "A":
            self._handling = {name: self._handle(stage, name) for name in STACKS}
        ways: tuple[Way, ...] = ("direct", "nginx") if stage.proxies else ("direct",)
        for name, way in product(STACKS, ways):
            self._warm_up(stage, name, way)
        if stage.simulator:
            stage.control("stats?reset=1")
        try:
            for block in blocks(self.options.requests, self.options.proxied):
                self.block(stage, block)
        finally:
            if stage.simulator:
                self._deadline_miss = json.loads(stage.control("stats"))["deadline_miss_ms"]
        if stage.simulator and self.options.article == "B":
            self._single_answers(stage)

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
            "article": chosen.article,
            "stacks": self._stacks_facts("direct"),
            "proxied": self._proxied_facts(),
            "serialisation_ms": self._serialisation,
            "views": self._views,
            "harness": {"cpu_share": self._shares(), "deadline_miss_ms": self._deadline_miss},
            "handling": self._handling,
            "interrupted": self.interrupted,
            "expects_errors": False,
            "same_answers": load_targets(chosen.targets).same_answers,
            "started": self._started,
        }
        encoded = msgspec.json.format(msgspec.json.encode(run), indent=1)
        (chosen.out / "run.json").write_bytes(encoded)

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
            self._plan(stage, Block(name, "direct", "handling", range(HANDLING_REQUESTS))),
            users=min(HANDLING_USERS, self.options.users),
            rate=None,
            stagger_s=0.0,
            kind="batch",
            model="sim:instant",
            max_tokens=16,
            samples="handling.jsonl",
        )
        spent = used(stage, name, plan, self._console)
        stage.control("timeline")
        return {
            "requests_per_s": HANDLING_REQUESTS / _span_s(self.options.out / plan.samples, name),
            "cpu_ms_per_request": spent.cpu_s / HANDLING_REQUESTS * 1e3,
            "n": HANDLING_REQUESTS,
        }

    def _warm_up(self, stage: Stage, name: StackName, way: Way) -> None:
        """Every user asks once: connections, threads and caches are there before anything counts."""
        plan = self._plan(stage, Block(name, way, f"warm-up-{way}", range(self.options.users)))
        if stage.simulator:
            plan = msgspec.structs.replace(plan, model="sim:instant", stagger_s=0.0, rate=None)
        used(stage, name, msgspec.structs.replace(plan, samples="warm-up.jsonl"), self._console)
        if stage.simulator:
            stage.control("timeline")
        self._usage[way, name].idle_rss_mib = stack_rss_mib(stage, name)

    def block(self, stage: Stage, block: Block) -> None:
        """One counted stretch of one stack, and the simulator's timeline of it."""
        plan = self._plan(stage, block)
        try:
            spent = used(stage, block.stack, plan, self._console)
            self._usage[block.way, block.stack].add(spent)
        finally:
            self._keep_timeline(stage, plan)

    def _single_answers(self, stage: Stage) -> None:
        """What only article B asks for: the cost of the JSON, and the first words as a browser paints them."""
        asked = open_corpus(self.options.corpus, self.options.seed).request(0)
        self._console.print("One batch answer, to time how it is written as JSON.")
        try:
            reply = serialising.answered(stage.url(LEGACY), asked, f"r{self.options.seed}-000000")
            self._serialisation = distribution(serialising.timed_ms(reply))
        except (OSError, ValueError) as error:
            self._console.print(f"[bold]The JSON was not timed[/]: {error}")
        self._views = page_view.views(
            stage, asked, self.options.answer_s, self.options.out, self._console
        )
        stage.control("timeline")

    def _plan(self, stage: Stage, block: Block) -> Plan:
        chosen = self.options
        return Plan(
            stack=block.stack,
            phase=block.phase,
            way=block.way,
            url=stage.url(block.stack, block.way),
            targets=str(chosen.targets) if chosen.targets else None,
            corpus=str(chosen.corpus) if chosen.corpus else None,
            first=block.indices.start,
            count=len(block.indices),
            users=min(chosen.users, len(block.indices)),
            rate=chosen.rate,
            stagger_s=0.0 if chosen.own_endpoints else _stagger_s(chosen.profile),
            seed=chosen.seed,
            run=f"r{chosen.seed}",
            out=str(chosen.out),
            workers=min(chosen.processes, chosen.users, len(block.indices)),
        )

    def _keep_timeline(self, stage: Stage, plan: Plan) -> None:
        if stage.simulator is None:
            return
        lines = stage.control("timeline").splitlines()
        mark = f'{{"stack":"{plan.stack}","phase":"{plan.phase}","way":"{plan.way}",'.encode()
        with (self.options.out / "timeline.jsonl").open("ab") as kept:
            kept.writelines(mark + line.removeprefix(b"{") + b"\n" for line in lines)

    def _coalesce(self) -> dict[str, float] | None:
        if self.options.own_endpoints:
            return None
        settings = Settings.load()
        return {"tokens": settings.coalesce_tokens, "window_ms": settings.coalesce_ms}

    def _proxied_facts(self) -> dict[str, Any] | None:
        if not self.options.proxied:
            return None
        return {"requests": self.options.proxied, "stacks": self._stacks_facts("nginx")}

    def _stacks_facts(self, way: Way) -> dict[StackName, dict[str, Any]]:
        return {name: self._stack_facts(self._usage[way, name], name) for name in STACKS}

    def _stack_facts(self, usage: Usage, name: StackName) -> dict[str, Any]:
        chosen = self.options
        known = {"measured_s": usage.wall_s, "warmup": chosen.users}
        if chosen.own_endpoints:
            return known
        servers = {
            LEGACY: f"gunicorn gthread, {chosen.workers} x {chosen.threads} threads",
            STREAMING: f"uvicorn uvloop, {chosen.workers} x 1 event loop",
        }
        return known | {
            "server": servers[name],
            "cpu_s": usage.cpu_s,
            "proxy_cpu_s": usage.proxy_cpu_s,
            "idle_rss_mib": usage.idle_rss_mib,
            "rss_peak_mib": usage.rss_peak_mib,
        }

    def _shares(self) -> dict[str, float | None]:
        """Shares of one core over the counted blocks; the worst of the stacks and ways."""
        counted = [usage for usage in self._usage.values() if usage.wall_s]
        simulated = not self.options.own_endpoints
        simulator = max((u.simulator_cpu_s / u.wall_s for u in counted), default=None)
        return {
            "client": max((u.client_cpu_s / u.wall_s for u in counted), default=None),
            "simulator": simulator if simulated else None,
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
