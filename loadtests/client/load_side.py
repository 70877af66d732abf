"""The sending side of a Locust run, in each load process: plays its deal and reports its samples."""

import gc
import time
from typing import Any

from locust.env import Environment

from loadtests.client import greenlets
from loadtests.client.collector import Outbox
from loadtests.client.exchange import Exchanger
from loadtests.client.player import Deal, Player
from loadtests.client.ticker import Ticker
from loadtests.corpus import Corpus
from loadtests.samples import Sample
from loadtests.scenarios import Plan

BATCH_MESSAGE = "batch"
REPORT_S = 1.0


class LoadSide:
    """Plays the share that is dealt to it; samples leave once a second, and when the share is played."""

    def __init__(
        self, environment: Environment, plan: Plan, deal: Deal, corpus: Corpus, exchanger: Exchanger
    ) -> None:
        assert environment.runner is not None
        self._send = environment.runner.send_message
        # Locust's hooks have no types.
        self._fire: Any = environment.events.request.fire
        self.player = Player(plan, deal, corpus, exchanger, self._take)
        self._outbox = Outbox(plan, deal.worker)
        self._over = False
        # What is there by now stays: a collection that walks it would stall every reader.
        gc.freeze()
        self._ticker = Ticker()
        greenlets.spawn(self._report)

    @property
    def played(self) -> bool:
        """Whether every request of the share has its sample."""
        return self._outbox.total >= self.player.share

    def finish(self) -> None:
        """Sends the last batch; requests that are still under way are given up and leave no sample."""
        if not self._over:
            self._flush(last=True)

    def _report(self) -> None:
        # A share may be empty: there are more workers than requests.
        self._flush(last=self.played)
        while not self._over:
            greenlets.sleep(REPORT_S)
            self._flush()

    def _take(self, sample: Sample) -> None:
        if self._over:
            return
        self._outbox.add(sample)
        self._tell_locust(sample)
        if self.played:
            self._flush(last=True)

    def _flush(self, last: bool = False) -> None:
        if self._over:
            return
        if last:
            self._over = True
            self._ticker.stop()
        self._send(BATCH_MESSAGE, self._outbox.batch(self._ticker.take(), last))

    def _tell_locust(self, sample: Sample) -> None:
        """Two entries in Locust's own statistics, both counted from the time that the schedule gave."""
        about: dict[str, Any] = {
            "request_type": sample.kind,
            "response_length": sample.chars,
            "context": {},
        }
        if sample.kind == "stream" and sample.first_ns is not None:
            first_ms = (sample.first_ns - sample.scheduled_ns) / 1e6
            self._fire(name="first content", response_time=first_ms, exception=None, **about)
        end_ns = time.monotonic_ns() if sample.last_ns is None else sample.last_ns
        total_ms = (end_ns - sample.scheduled_ns) / 1e6
        self._fire(name="total", response_time=total_ms, exception=sample.error, **about)
