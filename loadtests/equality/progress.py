"""How far it is: a bar in a terminal, and a line now and then elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

LINE_EVERY_S = 5.0


@contextlib.contextmanager
def progress(console: Console, what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Gives what is to be called for each that is done, from one thread."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task, said, done = bar.add_task(what, total=total), time.monotonic(), 0

        def advance() -> None:
            nonlocal said, done
            done += 1
            bar.advance(task)
            if quiet and time.monotonic() - said >= LINE_EVERY_S:
                said = time.monotonic()
                print(f"{done} of {total} {what}" if total else f"{done} {what}", flush=True)

        yield advance
