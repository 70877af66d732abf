"""Requests whose provider is in trouble: every fault of the simulator, asked for by the name of the model."""

from collections.abc import Iterator
from urllib.parse import urlencode

from loadtests.equality.answered import ACCEPT
from loadtests.equality.probes import Probe, get, post
from loadtests.simulation.faults import FAULTS, NONE

PROFILE = "sim:instant"


def faulty() -> Iterator[Probe]:
    """Each fault in each form of a request."""
    for fault in FAULTS:
        if fault != NONE:
            yield from _forms(f"fault {fault}", f"{PROFILE}+{fault}")
    yield from _forms("no such model", "sim:nowhere")


def _forms(name: str, model: str) -> Iterator[Probe]:
    asking = {"prompt": "hi", "model": model, "max_tokens": 40}
    yield post(f"{name}, POST", asking)
    yield post(f"{name}, stream true", {**asking, "stream": True})
    yield post(f"{name}, Accept", asking, ACCEPT)
    yield get(f"{name}, GET", f"/chat?{urlencode(asking)}")
