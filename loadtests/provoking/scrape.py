"""What the workers of a stack say of themselves at /metrics."""

import contextlib
import http.client
from collections.abc import Mapping

import psutil

from loadtests.provoking.upstream import Broken

SCRAPES = 200


def samples(exposition: str) -> dict[str, float]:
    """The values of Prometheus's text format by name."""
    lines = (line for line in exposition.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def each_worker(host: str, port: int, parent: int, workers: int) -> list[Mapping[str, float]]:
    """Which worker accepts a connection is chance: asks until each has answered; Broken after SCRAPES."""
    answered: dict[int, Mapping[str, float]] = {}
    for _ in range(SCRAPES):
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            text = response.read().decode()
            pid = _holder(parent, connection.sock.getsockname()[1])
        finally:
            connection.close()
        if pid is not None and response.status == 200:
            answered[pid] = samples(text)
        if len(answered) == workers:
            return list(answered.values())
    raise Broken(f"{len(answered)} of {workers} workers answer GET /metrics")


def _holder(parent: int, client_port: int) -> int | None:
    """The process that holds the other end of a connection."""
    for process in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            for link in process.net_connections("tcp"):
                if getattr(link.raddr, "port", None) == client_port:  # () when listening
                    return process.pid
    return None
