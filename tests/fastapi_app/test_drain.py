"""The drain, in a real loop: who is told what, and when the server may go."""

import asyncio
from contextlib import ExitStack

import pytest

from fastapi_app import drain as module
from fastapi_app.drain import Drain
from shared.errors import Draining


class Answer:
    """An answer that ends when it is cut, or only when it is abandoned, or never."""

    queued_bytes = 0

    def __init__(self, drain: Drain, ends_at: str) -> None:
        self.heard: list[str] = []
        self._ends_at = ends_at
        self._held = ExitStack()
        self._held.enter_context(drain.counting(self))

    def cut(self) -> None:
        self._hear("cut")

    def abandon(self) -> None:
        self._hear("abandon")

    def end(self) -> None:
        self._held.close()

    def _hear(self, word: str) -> None:
        self.heard.append(word)
        if word == self._ends_at:
            self.end()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 0.05)


async def test_new_work_is_refused_from_the_start_of_a_drain() -> None:
    drain = Drain(60)
    drain.check()
    answer = Answer(drain, "never")
    leading = asyncio.ensure_future(drain.lead(60))
    await asyncio.sleep(0)
    with pytest.raises(Draining):
        drain.check()
    assert answer.heard == []
    answer.end()
    await asyncio.wait_for(leading, 1)


async def test_with_nothing_running_it_is_over_at_once() -> None:
    await asyncio.wait_for(Drain(60).lead(60), 1)


async def test_what_still_runs_after_the_grace_is_cut_and_what_does_not_end_is_abandoned() -> None:
    drain = Drain(60)
    quick, slow, deaf = (Answer(drain, word) for word in ("cut", "abandon", "never"))
    await asyncio.wait_for(drain.lead(0.05), 2)
    assert quick.heard == ["cut"]
    assert slow.heard == deaf.heard == ["cut", "abandon"]
    assert drain.running == {deaf}


async def test_it_is_over_when_the_last_answer_ends() -> None:
    drain = Drain(60)
    answers = [Answer(drain, "never") for _ in range(3)]
    left = asyncio.Event()
    drain.begin(left.set)
    for answer in answers:
        assert not left.is_set()
        await asyncio.sleep(0)
        answer.end()
    await asyncio.wait_for(left.wait(), 1)
    assert all(answer.heard == [] for answer in answers)


async def test_a_second_signal_ends_the_grace() -> None:
    drain, left = Drain(60), asyncio.Event()
    answer = Answer(drain, "cut")
    drain.begin(left.set)
    await asyncio.sleep(0)
    drain.begin(left.set)
    await asyncio.wait_for(left.wait(), 1)
    assert answer.heard == ["cut"]


async def test_without_grace_they_are_cut_at_once() -> None:
    drain, left = Drain(60), asyncio.Event()
    answer = Answer(drain, "cut")
    drain.begin(left.set, grace=False)
    await asyncio.wait_for(left.wait(), 1)
    assert answer.heard == ["cut"]
