"""A real nginx in front of an app, from a configuration that stands beside this file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pitfalls.programs import path_of, running
from tests.servers import free_port

HERE = Path(__file__).parent


@contextmanager
def nginx(name: str, upstream: str, folder: Path) -> Iterator[str]:
    """The address of nginx, run by `<name>.conf`; raises ProgramMissing.

    In the file `@PORT@` stands for the port, `@UPSTREAM@` for the app's address.
    """
    program, port = path_of("nginx", package="nginx"), free_port()
    template = (HERE / f"{name}.conf").read_text("utf-8")
    home = Path(tempfile.mkdtemp(prefix="nginx-", dir=folder))
    conf = home / "nginx.conf"
    conf.write_text(template.replace("@PORT@", str(port)).replace("@UPSTREAM@", upstream), "utf-8")
    arguments = [program, "-p", f"{home}/", "-c", str(conf), "-e", "stderr"]
    with running(arguments, port, home):
        yield f"http://127.0.0.1:{port}"
