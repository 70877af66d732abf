"""What a run was made with: versions, host and the shape of the servers."""

import os
import platform
from importlib.metadata import version

PACKAGES = (
    "flask",
    "gunicorn",
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "openai",
    "aiohttp",
    "pydantic",
    "msgspec",
    "locust",
)


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def host() -> dict[str, str | int]:
    return {"cpu": _cpu_model(), "cores": os.cpu_count() or 1, "kernel": platform.release()}


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = (
                line.partition(":")[2].strip() for line in lines if line.startswith("model name")
            )
            return next(names, platform.machine())
    except OSError:
        return platform.processor() or platform.machine()
