"""Ctrl-C while an event loop runs: it cancels the work, and is a KeyboardInterrupt again behind it.

Raised where the signal finds the program, a KeyboardInterrupt may end up inside a protocol's callback, and
uvloop reports and forgets it.
"""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run_until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    """The result of the work in a loop of its own; raises KeyboardInterrupt when SIGINT or SIGTERM ended it."""

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
