"""The collecting side of a Locust run: the one process that has it whole deals, writes and shows progress."""

import logging
import signal
from typing import Any

import psutil
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests.client import greenlets
from loadtests.client.collector import Collector
from loadtests.client.load_side import BATCH_MESSAGE
from loadtests.scenarios import Plan

DEAL_MESSAGE = "deal"
HALT_MESSAGE = "halt"
PROGRESS_S = 1.0
LAST_BATCHES_S = 5.0
INCOMPLETE = 1
logger = logging.getLogger(__name__)


class Conductor:
    """In the master of a distributed run, or in the only process of a local one."""

    def __init__(self, environment: Environment, plan: Plan) -> None:
        assert environment.runner is not None
        self._environment = environment
        self._runner = environment.runner
        self._collector = Collector(plan)
        self._dealt: list[str | None] = []
        self._all_closed = greenlets.flag()
        self._broken = False
        self._runner.register_message(BATCH_MESSAGE, self._take)
        hooks: Any = environment.events  # Locust's hooks have no types
        hooks.spawning_complete.add_listener(self._deal)
        hooks.quitting.add_listener(self._end)
        self._showing = greenlets.spawn(self._show)

    def interrupt(self) -> None:
        """Ends the run as Ctrl-C should: raised in a signal's own greenlet, it reaches the main one alone."""
        if self._dealt:
            raise KeyboardInterrupt
        # Locust is still waiting for its workers, and would leave those it started behind.
        for child in psutil.Process().children():
            child.send_signal(signal.SIGTERM)
        self._say()
        raise SystemExit(0)

    def _deal(self, user_count: int, **_: Any) -> None:
        """Every index goes to a worker that has users, whichever Locust gave them to."""
        if self._dealt:
            return
        self._dealt = self._with_users()
        for worker, client_id in enumerate(self._dealt):
            place = {"worker": worker, "workers": len(self._dealt)}
            self._runner.send_message(DEAL_MESSAGE, place, client_id)

    def _with_users(self) -> list[str | None]:
        if isinstance(self._runner, MasterRunner):
            return [name for name, node in self._runner.clients.items() if node.user_count]
        return [None]

    def _take(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._collector.take(msg.data)
        if self._collector.closed >= len(self._dealt) and not self._all_closed.is_set():
            self._all_closed.set()
            greenlets.spawn(self._runner.quit)

    def _show(self) -> None:
        while True:
            greenlets.sleep(PROGRESS_S)
            self._say()
            if lost := self._lost():
                logger.error("%d load processes are gone; their samples are missing", lost)
                self._broken = True
                greenlets.spawn(self._runner.quit)
                return

    def _say(self) -> None:
        print(self._collector.progress(), flush=True)

    def _lost(self) -> int:
        """How many workers have left before their share was played."""
        if not isinstance(self._runner, MasterRunner) or self._all_closed.is_set():
            return 0
        clients = self._runner.clients
        there = {name for name in clients if name not in {node.id for node in clients.missing}}
        return sum(name not in there for name in self._dealt)

    def _end(self, **_: Any) -> None:
        """Locust quits: the plan is played, or somebody interrupted it and what there is must be saved."""
        self._showing.kill(block=False)
        if self._dealt and not self._all_closed.is_set():
            self._runner.send_message(HALT_MESSAGE)
            self._all_closed.wait(LAST_BATCHES_S)
        self._say()
        self._collector.close()
        self._environment.process_exit_code = INCOMPLETE if self._broken else 0
