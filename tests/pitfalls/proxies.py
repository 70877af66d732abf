"""nginx as it is shipped, with some of its lines changed, in front of an app of an entry."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.nginx import Change, Proxy, missing, program, proxied

BUFFERING = ("proxy_buffering off;", "proxy_buffering on;")
# So that an answer shows that nginx has done what it had to do before.
_ONE_WORKER = ("worker_processes auto;", "worker_processes 1;")


@contextmanager
def nginx(upstream: str, folder: Path, *changes: Change) -> Iterator[Proxy]:
    """nginx with one worker, all of whose requests go to `upstream`; raises StartError, ChangeError."""
    home = Path(tempfile.mkdtemp(prefix="nginx-", dir=folder))
    with proxied(home, [upstream], changes=(_ONE_WORKER, *changes)) as proxy:
        yield proxy


def version() -> str:
    """Such as 1.22.1; "none" where nginx is missing."""
    if "nginx" in missing():
        return "none"
    said = subprocess.run([program("nginx"), "-v"], capture_output=True, text=True, check=True)
    return said.stderr.strip().rpartition("/")[2]
