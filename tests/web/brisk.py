"""The simulator with a model of a test's own length: `python -m tests.web.brisk TOKENS MILLISECONDS SIGMA`."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.profiles import Profile, write_script
from loadtests.simulation.upstream import Options
from loadtests.simulator import serve
from tests.servers import Simulator, _child, _first_line

SEED = Options().seed


def brisk(tokens: int, generation_ms: float, gap_sigma: float = 0.0) -> Profile:
    """A model that begins after 0.4 s; with a sigma of 0.6, one pause in thirty is three times the median."""
    return Profile("brisk", 400, generation_ms, tokens, gap_sigma=gap_sigma)


def said(profile: Profile, request_id: str, prompt: str, max_tokens: int | None = None) -> str:
    """What the model answers to this prompt."""
    return write_script(SEED, request_id, profile, f"user: {prompt}", max_tokens).text


@contextmanager
def simulator(directory: Path, profile: Profile) -> Iterator[Simulator]:
    """This model, listening; whatever the name of the model that is asked for."""
    shape = map(str, (profile.tokens, profile.generation_ms, profile.gap_sigma))
    with _child("simulator", ["tests.web.brisk", *shape], directory, {}) as (process, log):
        ready = json.loads(_first_line(process, log))
        yield Simulator("simulator", ready["url"].removesuffix("/v1"), process, log)


if __name__ == "__main__":
    _tokens, _generation_ms, _gap_sigma = map(float, sys.argv[1:])
    serve(Options(brisk(int(_tokens), _generation_ms, _gap_sigma)))
