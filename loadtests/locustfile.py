"""Locust users that replay a plan: `locust -f loadtests/locustfile.py --headless --plan plan.json`.

Locust spawns the users, spreads them over processes and hosts, and carries their messages; pace, clock and
samples are the plan's own, so that its waiting and rounded statistics stand beside the measurement, not in it.
"""

import signal
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, ClassVar

from locust import User, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from loadtests.client import greenlets
from loadtests.client.conductor import DEAL_MESSAGE, HALT_MESSAGE, Conductor
from loadtests.client.exchange import Exchanger, side_of
from loadtests.client.http_pool import HttpPool
from loadtests.client.load_side import LoadSide
from loadtests.client.player import Deal
from loadtests.corpus import CorpusError, open_corpus
from loadtests.scenarios import Plan, PlanError, read_plan
from loadtests.targets import TargetsError, load_targets

START_NS = 100_000_000
"""Between the deal and the first request, so that nothing of the start-up is measured."""
UNUSABLE = 2


class Replay(User):
    """A reader who sends requests of the plan until there are none left."""

    dealt: ClassVar[greenlets.Box[LoadSide]] = greenlets.Box()

    @task
    def replay(self) -> None:
        self.dealt.get().player.play()
        raise StopUser


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--plan", required=True, help="a JSON file: what to send where, how fast")


def prepare(environment: Environment, **_: Any) -> None:
    """Reads the plan, and takes the side or sides that this process is on."""
    assert environment.parsed_options is not None
    try:
        plan = read_plan(Path(environment.parsed_options.plan))
        if not isinstance(environment.runner, MasterRunner):
            _take_load_side(environment, plan)
        if not isinstance(environment.runner, WorkerRunner):
            _take_collecting_side(environment, plan)
    except (PlanError, TargetsError, CorpusError) as error:
        sys.stderr.write(f"locustfile: {error}\n")
        sys.exit(UNUSABLE)


def _take_collecting_side(environment: Environment, plan: Plan) -> None:
    options = environment.parsed_options
    assert options is not None
    conductor = Conductor(environment, plan)
    keepers = options.expect_workers if isinstance(environment.runner, MasterRunner) else 1
    if options.num_users is None:
        options.num_users = plan.users if plan.rate is None else keepers
    # All at once: it is the plan that spreads their starts.
    options.spawn_rate = options.num_users
    options.only_summary = True
    # By default Ctrl-C would end whichever reader happens to run.
    greenlets.on_signal(signal.SIGINT, conductor.interrupt)


def _take_load_side(environment: Environment, plan: Plan) -> None:
    """Everything that can fail or takes time is done here; the deal only starts the clock."""
    assert environment.runner is not None
    targets = load_targets(plan.targets)
    corpus = open_corpus(plan.corpus, plan.seed)
    exchanger = Exchanger(side_of(targets, plan.answers), HttpPool(plan.url), plan.timeout_s)
    sides: list[LoadSide] = []

    def deal(environment: Environment, msg: Any, **_: Any) -> None:
        place = Deal(**msg.data, start_ns=time.monotonic_ns() + START_NS)
        sides.append(LoadSide(environment, plan, place, corpus, exchanger))
        Replay.dealt.set(sides[0])

    def halt(**_: Any) -> None:
        for side in sides:
            side.finish()

    environment.runner.register_message(DEAL_MESSAGE, deal)
    environment.runner.register_message(HALT_MESSAGE, halt)
    hooks: Any = environment.events  # Locust's hooks have no types
    hooks.quitting.add_listener(halt)


_hooks: Any = events
_hooks.init_command_line_parser.add_listener(add_options)
_hooks.init.add_listener(prepare)
