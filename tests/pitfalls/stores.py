"""A real redis-server that keeps nothing."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pitfalls.programs import path_of, running
from tests.servers import free_port


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The redis:// address of an empty store on a free port; raises ProgramMissing."""
    program, port = path_of("redis-server", package="redis-server"), free_port()
    home = Path(tempfile.mkdtemp(prefix="redis-", dir=folder))
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with running([program, *options, "--dir", str(home)], port, home):
        yield f"redis://127.0.0.1:{port}/0"
