"""Ctrl-C and SIGTERM end a run alike, in an event loop too."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Coroutine, Iterator
from types import FrameType
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does, and both do where a shell in the background ignores SIGINT."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    """The result of the work in a loop of its own; raises KeyboardInterrupt when SIGINT or SIGTERM ended it.

    Raised where the signal finds the program, a KeyboardInterrupt may end up inside a protocol's callback, and
    uvloop reports and forgets it.
    """

    async def cancellable() -> T:
        task = asyncio.create_task(work)
        with _signals(task):
            return await task

    try:
        return uvloop.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


@contextlib.contextmanager
def _signals(task: asyncio.Task[Any]) -> Iterator[None]:
    """Only the main thread is told of signals; the handlers that were there come back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
