"""How far a stretch is: a bar in a terminal, and a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 15.0


@contextmanager
def progress(console: Console, label: str, count: int) -> Iterator[Callable[[int, int], None]]:
    """Gives what is to be called with the numbers of requests done and of errors among them."""
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn())
    errors_column = TextColumn("{task.fields[errors]} errors")
    with Progress(*columns, errors_column, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(label, total=count, errors=0)
        began = said = time.monotonic()

        def advance(done: int, errors: int) -> None:
            nonlocal said
            bar.update(task, completed=done, errors=errors)
            now = time.monotonic()
            if not console.is_terminal and now - said >= LINE_EVERY_S and done:
                said = now
                left = (now - began) / done * (count - done)
                print(
                    f"{label}: {done:,} of {count:,}, {errors} errors, {left:.0f} s left",
                    flush=True,
                )

        yield advance
