"""Serves the batch stack with gunicorn."""

import argparse
import atexit
import math
import sys

from flask import Flask
from gunicorn.app.base import BaseApplication

from shared.settings import Settings, SettingsError

from .app import create_app
from .services import open_services

KEEP_ALIVE_S = 75  # more than the 60 s of a proxy, which then closes first


# region: app
def app() -> Flask:
    """The application as gunicorn loads it, once a worker: `gunicorn "legacy_flask.__main__:app()"`."""
    settings = Settings.load()
    services = open_services(settings)
    atexit.register(services.close)
    return create_app(settings, services)


# region: main
def main() -> int:
    """`python -m legacy_flask`; returns 2 for settings that are not allowed."""
    parser = argparse.ArgumentParser("legacy_flask", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    try:
        settings = Settings.load()
        settings.check_host(options.host)
        settings.check_workers(options.workers, resumable=False)
    except SettingsError as error:
        print(f"legacy_flask: {error}", file=sys.stderr)
        return 2
    _Gunicorn(settings, options).run()
    return 0


# region: serve
class _Gunicorn(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """A thread waits for each answer, so the threads are what bounds the answers in flight."""

    def __init__(self, settings: Settings, options: argparse.Namespace) -> None:
        self._settings = settings
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        chosen = {
            "bind": f"[{self._options.host}]:{self._options.port}",  # of IPv6 or not
            "workers": self._options.workers,
            "worker_class": "gthread",
            "threads": self._settings.legacy_threads,
            "keepalive": KEEP_ALIVE_S,
            "timeout": 120,
            "graceful_timeout": math.ceil(self._settings.drain_grace_s),
            "control_socket_disable": True,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return app()


if __name__ == "__main__":
    sys.exit(main())
