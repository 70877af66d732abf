"""Serves the streaming stack with uvicorn."""

import argparse
import sys

import uvicorn
from fastapi import FastAPI

from shared.settings import Settings, SettingsError

from .app import create_app
from .services import open_services


def app() -> FastAPI:
    """The application as uvicorn loads it, once a worker: `uvicorn --factory fastapi_app.__main__:app`."""
    settings = Settings.load()
    return create_app(settings, open_services(settings))


def main() -> int:
    """`python -m fastapi_app`; returns 2 for settings that are not allowed."""
    parser = argparse.ArgumentParser("fastapi_app", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    try:
        settings = Settings.load()
        settings.check_host(options.host)
    except SettingsError as error:
        print(f"fastapi_app: {error}", file=sys.stderr)
        return 2
    _uvicorn(options)
    return 0


def _uvicorn(options: argparse.Namespace) -> None:
    """One event loop a worker; the access log stays off, since it would write query strings, and so prompts."""
    uvicorn.run(
        "fastapi_app.__main__:app",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        loop="uvloop",
        http="httptools",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=30,
    )


if __name__ == "__main__":
    sys.exit(main())
