"""Answers in flight: as many as there are slots, one more is refused, and none is lost on the way out."""

import resource
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from shared.errors import Overloaded
from shared.slots import DESCRIPTORS_APART, Slots, affordable


def test_as_many_as_there_are_and_not_one_more() -> None:
    slots = Slots(3)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(slots.taken())
        assert slots.in_use == 3
        with pytest.raises(Overloaded) as refused, slots.taken():
            raise AssertionError("a fourth was let in")
        assert refused.value.headers == {"Retry-After": "1"}
        assert slots.in_use == 3
    assert slots.in_use == 0


def test_a_slot_is_free_again_however_its_answer_ended() -> None:
    slots = Slots(1)
    for error in (None, RuntimeError, KeyboardInterrupt):
        try:
            with slots.taken():
                if error:
                    raise error
        except (RuntimeError, KeyboardInterrupt):
            pass
        assert slots.in_use == 0


def test_threads_share_them() -> None:
    slots, most, full = Slots(4), 0, threading.Barrier(16)
    lock = threading.Lock()

    def ask() -> None:
        nonlocal most
        full.wait()
        for _ in range(300):
            with suppress(Overloaded), slots.taken(), lock:
                most = max(most, slots.in_use)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most <= 4
    assert slots.in_use == 0


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield 256
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_more_than_there_are_descriptors_for(
    few_descriptors: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert affordable(1000) == (few_descriptors - DESCRIPTORS_APART) // 2
    assert "256 descriptors" in caplog.text


def test_a_limit_that_is_enough_changes_nothing(
    few_descriptors: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert affordable(10) == 10
    assert caplog.text == ""
