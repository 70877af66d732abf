"""The collecting side of a Locust run, in the one process that has it whole: deals, writes, shows progress, ends."""

import logging
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests.collector import Collector
from loadtests.load_side import BATCH_MESSAGE
from loadtests.scenarios import Plan

DEAL_MESSAGE = "deal"
HALT_MESSAGE = "halt"
PROGRESS_S = 1.0
LAST_BATCHES_S = 5.0
INCOMPLETE = 1
logger = logging.getLogger(__name__)


class Conductor:
    """Master of a distributed run, or the only process of a local one."""

    def __init__(self, environment: Environment, plan: Plan) -> None:
        assert environment.runner is not None
        self._environment = environment
        self._runner = environment.runner
        self._collector = Collector(plan)
        self._dealt: list[str | None] = []
        self._all_closed = Event()
        self._interrupted = True
        self._runner.register_message(BATCH_MESSAGE, self._take)
        environment.events.spawning_complete.add_listener(self._deal)
        environment.events.quitting.add_listener(self._end)
        self._showing = gevent.spawn(self._show)

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
        if self._collector.closed >= len(self._dealt):
            self._all_closed.set()
            self._interrupted = False
            gevent.spawn(self._runner.quit)

    def _show(self) -> None:
        while True:
            gevent.sleep(PROGRESS_S)
            print(self._collector.progress(), flush=True)
            if lost := self._lost():
                logger.error("%d load processes are gone; their samples are missing", len(lost))
                self._interrupted = False
                gevent.spawn(self._runner.quit)
                return

    def _lost(self) -> list[str | None]:
        if not isinstance(self._runner, MasterRunner) or self._all_closed.is_set():
            return []
        missing = {node.id for node in self._runner.clients.missing}
        return [name for name in self._dealt if name in missing or name not in self._runner.clients]

    def _end(self, **_: Any) -> None:
        """Locust quits: the plan is played, or somebody interrupted it and what there is must be saved."""
        self._showing.kill(block=False)
        if self._dealt and not self._all_closed.is_set():
            self._runner.send_message(HALT_MESSAGE)
            self._all_closed.wait(LAST_BATCHES_S)
        print(self._collector.progress(), flush=True)
        self._collector.close()
        fine = self._collector.complete or self._interrupted
        self._environment.process_exit_code = 0 if fine else INCOMPLETE
