"""Serves the streaming stack: with uvicorn, or with gunicorn's own asgi worker."""

import argparse
import asyncio
import math
import resource
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from fastapi import FastAPI
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gasgi import ASGIWorker
from uvicorn.supervisors import Multiprocess

from shared.settings import Settings, SettingsError

from .app import create_app
from .connection import bound
from .services import open_services

_BACKLOG = 2048  # connections that wait to be accepted
KEEP_ALIVE_S = 75  # more than the 60 s of a proxy, which then closes first


# region: app
def app() -> FastAPI:
    """The application as a server loads it, once a worker: `uvicorn --factory fastapi_app.__main__:app`."""
    settings = Settings.load()
    return create_app(settings, open_services(settings))


# region: main
def main() -> int:
    """`python -m fastapi_app`; returns 2 for settings that are not allowed."""
    parser = argparse.ArgumentParser("fastapi_app", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--server", choices=("uvicorn", "gunicorn"), default="uvicorn")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    options = parser.parse_args()
    try:
        settings = Settings.load()
        settings.check_host(options.host)
        settings.check_workers(options.workers)
    except SettingsError as error:
        print(f"fastapi_app: {error}", file=sys.stderr)
        return 2
    _use_all_descriptors()
    if options.server == "gunicorn":
        _Gunicorn(settings, options).run()
    else:
        try:
            listener = _listen(options)
        except OSError as error:
            where = f"{options.host}:{options.port}"
            print(f"fastapi_app: cannot listen on {where}: {error.strerror}", file=sys.stderr)
            return 1
        bound(listener, settings)
        _uvicorn(listener, settings, options)
    return 0


# region: serve
def _listen(options: argparse.Namespace) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.create_server((options.host, options.port), family=family)
    listener.set_inheritable(True)
    host, port = listener.getsockname()[:2]
    print(f"fastapi_app: listening on {host}:{port}", file=sys.stderr)
    return listener


def _uvicorn(listener: socket.socket, settings: Settings, options: argparse.Namespace) -> None:
    """One event loop a worker; the access log stays off, since it would write query strings, and so prompts."""
    config = uvicorn.Config(
        "fastapi_app.__main__:app",
        factory=True,
        workers=options.workers,
        loop=options.loop,
        http="fastapi_app.connection:Connection",
        access_log=False,
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,  # it would cost memory and time for each of many short messages
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_worker_healthcheck=30,  # a worker that starts on a busy machine is not a dead one
        # The app has led its drain by then: nothing is left but connections that idle.
        timeout_graceful_shutdown=1,
    )
    # uvicorn raises the signal that ended it once more; to whoever started us, a drain is a clean exit.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt):
        if options.workers > 1:
            Multiprocess(config, sockets=[listener]).run()
        else:
            uvicorn.Server(config).run(sockets=[listener])


class _Gunicorn(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own asgi worker; with it a client may take as long as it likes to send its headers."""

    def __init__(self, settings: Settings, options: argparse.Namespace) -> None:
        self._settings = settings
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        chosen = {
            "bind": f"[{self._options.host}]:{self._options.port}",  # of IPv6 or not
            "workers": self._options.workers,
            "worker_class": "asgi",
            "asgi_loop": self._options.loop,
            "keepalive": KEEP_ALIVE_S,
            "timeout": 120,
            "graceful_timeout": math.ceil(self._settings.drain_grace_s) + 5,
            "control_socket_disable": True,
            "when_ready": self._when_ready,
            "post_worker_init": _prepare,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> FastAPI:
        return app()

    def _when_ready(self, arbiter: Any) -> None:
        for listener in arbiter.LISTENERS:
            bound(listener.sock, self._settings)


def _prepare(worker: Any) -> None:
    """SIGTERM begins the app's drain, and the worker is told at its end; its queue is as deep as uvicorn's."""

    def leave() -> None:
        # What is still connected then only idles, and is not worth a second grace.
        worker.cfg.set("graceful_timeout", 0)
        worker.handle_exit_signal()
        # It would notice within a second and more; cancelled, its loop goes on to its shutdown at once.
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "cr_code", None) is ASGIWorker._serve.__code__:
                task.cancel()

    def deepen() -> None:
        # asyncio leaves a listener that it is given with a queue of 100.
        if not worker.servers:
            worker.loop.call_later(0.1, deepen)
        for listener in worker.sockets:
            listener.sock.listen(_BACKLOG)

    worker.loop.call_soon(deepen)
    drain = worker.asgi.state.services.drain
    worker.loop.add_signal_handler(signal.SIGTERM, drain.begin, leave)


def _use_all_descriptors() -> None:
    """Raises the soft limit of open files, often 1,024, to the hard one; an answer takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
