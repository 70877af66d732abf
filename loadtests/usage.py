"""What a stack and the harness use while a plan is replayed, by the kernel's accounting."""

from dataclasses import dataclass, fields

from rich.console import Console

from loadtests.load import follow
from loadtests.processes import cpu_s, rss_mib
from loadtests.progress import progress
from loadtests.reporting.records import StackName
from loadtests.scenarios import Plan
from loadtests.stage import Stage


@dataclass(slots=True)
class Usage:
    """Seconds of wall and CPU, and MiB; the stack's, the client's, the simulator's and nginx's."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    client_cpu_s: float = 0.0
    simulator_cpu_s: float = 0.0
    proxy_cpu_s: float = 0.0
    idle_rss_mib: float = 0.0
    rss_peak_mib: float = 0.0

    def add(self, other: "Usage") -> None:
        """Sums what is spent, and keeps the higher of the peaks."""
        for name in (field.name for field in fields(self) if field.name.endswith("_s")):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.rss_peak_mib = max(self.rss_peak_mib, other.rss_peak_mib)


def used(stage: Stage, name: StackName, plan: Plan, console: Console) -> Usage:
    """Replays a plan and returns what it used; the memory of the stack is read once a second."""
    spent = Usage()
    proxy = stage.proxies.get(name)
    children = (stage.stacks[name].child, stage.simulator, proxy.child if proxy else None)
    pids = [child.pid if child else None for child in children]
    before = [cpu_s(pid) if pid else 0.0 for pid in pids]
    with progress(console, f"{plan.phase} {name}", plan.count) as advance:

        def watch(done: int, errors: int) -> None:
            spent.rss_peak_mib = max(spent.rss_peak_mib, stack_rss_mib(stage, name))
            advance(done, errors)

        stretch = follow(plan, stage.cores.client, watch)
    after = [cpu_s(pid) if pid else 0.0 for pid in pids]
    spent.cpu_s, spent.simulator_cpu_s, spent.proxy_cpu_s = (
        end - begin for begin, end in zip(before, after, strict=True)
    )
    spent.wall_s, spent.client_cpu_s = stretch.wall_s, stretch.client_cpu_s
    return spent


def stack_rss_mib(stage: Stage, name: StackName) -> float:
    """0 for a team's own endpoint, whose memory we cannot read."""
    child = stage.stacks[name].child
    return rss_mib(child.pid) if child else 0.0
