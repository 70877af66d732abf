"""The load of one process: sends the requests dealt to it, by users or by a schedule, each exactly once."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loadtests.client import greenlets
from loadtests.client.exchange import Exchanger, Outcome
from loadtests.client.reading import Answer
from loadtests.client.schedule import dealt, poisson_offsets_ns, stagger_ns
from loadtests.corpus import Corpus
from loadtests.samples import Sample, text_sha
from loadtests.scenarios import Plan
from loadtests.targets import Request, request_for

NS_PER_S = 1_000_000_000
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deal:
    """Which worker of how many this is; `start_ns` is the beginning of its schedule on its own clock."""

    worker: int
    workers: int
    start_ns: int


class Player:
    """Plays a plan's share of one worker; `on_sample` is called once for each of its requests."""

    def __init__(
        self,
        plan: Plan,
        deal: Deal,
        corpus: Corpus,
        exchanger: Exchanger,
        on_sample: Callable[[Sample], None],
    ) -> None:
        self._plan = plan
        self._deal = deal
        self._corpus = corpus
        self._exchanger = exchanger
        self._on_sample = on_sample

        self._mine = dealt(plan.first, plan.count, deal.worker, deal.workers)
        self._next = iter(self._mine)
        self._users = 0

    @property
    def share(self) -> int:
        """How many requests are this worker's."""
        return len(self._mine)

    def play(self) -> None:
        """One Locust user: a reader of a closed loop, or the one that keeps the schedule of an open one."""
        if self._plan.rate is None:
            self._play_closed(self._joined())
        else:
            self._play_open(self._plan.rate)

    def _joined(self) -> int:
        """The number of this user among those of all workers."""
        number = self._users * self._deal.workers + self._deal.worker
        self._users += 1
        return number

    def _play_closed(self, user: int) -> None:
        plan = self._plan
        due_ns = self._deal.start_ns + stagger_ns(user, plan.users, plan.stagger_s)
        for index in self._next:
            request, wire = self._prepared(index)
            sleep_until(due_ns)
            self._send(index, request, wire, due_ns)
            due_ns = time.monotonic_ns()

    def _play_open(self, rate: float) -> None:
        sending = greenlets.group()
        for index, due_ns in self._arrivals(rate):
            request, wire = self._prepared(index)
            sleep_until(due_ns)
            sending.spawn(self._send, index, request, wire, due_ns)
        sending.join()

    def _arrivals(self, rate: float) -> Iterator[tuple[int, int]]:
        plan, deal = self._plan, self._deal
        offsets = poisson_offsets_ns(plan.seed, rate, plan.count)
        for index, offset_ns in enumerate(offsets, start=plan.first):
            if index in self._mine:
                yield index, deal.start_ns + offset_ns

    def _prepared(self, index: int) -> tuple[Request, bytes]:
        plan = self._plan
        chat = self._corpus.request(index)
        changes = {"model": plan.model, "max_tokens": plan.max_tokens}
        chat = chat.model_copy(update={name: to for name, to in changes.items() if to is not None})
        request = request_for(self._exchanger.side, chat, plan.request_id(index))
        return request, self._exchanger.pool.wire(request)

    def _send(self, index: int, request: Request, wire: bytes, due_ns: int) -> None:
        try:
            outcome = self._exchanger.exchange(request, wire)
        except Exception:
            # A defect of ours may cost one sample, and not make a run that never ends.
            logger.exception("request %d", index)
            outcome = Outcome(due_ns, error="defect")
        self._on_sample(self._sample(index, due_ns, outcome))

    def _sample(self, index: int, due_ns: int, outcome: Outcome) -> Sample:
        answer = outcome.answer or Answer()
        text = "".join(answer.text)
        stamps = answer.chunk_ns if outcome.body_ns is None else [outcome.body_ns]
        return Sample(
            stack=self._plan.stack,
            phase=self._plan.phase,
            index=index,
            request_id=self._plan.request_id(index),
            kind=self._plan.answers,
            status=outcome.status,
            error=outcome.error,
            scheduled_ns=due_ns,
            start_ns=outcome.start_ns,
            headers_ns=outcome.headers_ns,
            first_ns=stamps[0] if stamps else None,
            last_ns=stamps[-1] if stamps else None,
            text_sha=text_sha(text, answer.finish_reason) if outcome.answer else None,
            chars=len(text),
            finish_reason=answer.finish_reason,
            completion_tokens=answer.completion_tokens,
            chunk_us=[(stamp - outcome.start_ns) // 1000 for stamp in answer.chunk_ns],
            chunk_chars=[len(piece) for piece in answer.text] if answer.chunk_ns else [],
            worker=self._deal.worker,
            way=self._plan.way,
        )


def sleep_until(due_ns: int) -> None:
    """Lets the other greenlets run until a time of the monotonic clock; gevent's own sleep may end early."""
    while (left_ns := due_ns - time.monotonic_ns()) > 0:
        greenlets.sleep(left_ns / NS_PER_S)
