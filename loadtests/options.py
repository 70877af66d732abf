"""The options of a run, checked before anything is started."""

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from loadtests.corpus import CorpusError, read_corpus
from loadtests.profiles import PROFILES
from loadtests.scenarios import SCENARIOS, Article, OpenLoop
from loadtests.targets import TargetsError, load_targets

LONGEST_RUN = 1_000_000


class OptionError(Exception):
    """An option cannot be used; one line says which, and what is allowed."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """A run that can be started; `rate` is requests a second of an open loop, None for a closed one."""

    requests: int
    users: int
    profile: str
    rate: float | None
    out: Path
    seed: int
    corpus: Path | None
    legacy_url: str | None
    streaming_url: str | None
    targets: Path | None
    workers: int
    processes: int
    proxied: int = 0
    """How many of the requests are sent to each stack once more, through nginx."""

    @property
    def article(self) -> Article:
        """The source article that the run is judged by."""
        return "A" if self.own_endpoints else SCENARIOS[self.profile].article

    @property
    def own_endpoints(self) -> bool:
        return self.legacy_url is not None

    @property
    def answer_s(self) -> float:
        """What the simulated model takes for an answer, at the median."""
        profile = PROFILES[self.profile]
        return (profile.first_token_ms + profile.generation_ms) / 1000

    @property
    def threads(self) -> int:
        """Threads a worker of the batch stack: one a user and some to spare, so that it never queues."""
        return 1000 if self.rate else max(100, self.users + 32)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every value is taken as text here, so that `checked` can name what is wrong with it.

    What is empty is the scenario's: the one of the profile.
    """
    defaults = {
        "requests": "",
        "users": "",
        "profile": "article",
        "rate": "",
        "out": "",
        "seed": "7",
        "corpus": "",
        "legacy-url": "",
        "streaming-url": "",
        "targets": "",
        "workers": "1",
        "processes": "1",
    }
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", default=default)


def checked(given: argparse.Namespace) -> RunOptions:
    """The options as values; raises OptionError for the first that cannot be used."""
    if given.profile not in PROFILES:
        raise OptionError(f"PROFILE={given.profile}: there are {', '.join(sorted(PROFILES))}")
    scenario = SCENARIOS[given.profile]
    rate = _rate(given.rate)
    if not (given.rate or given.users) and isinstance(scenario.pace, OpenLoop):
        rate = scenario.pace.rate
    requests = whole("REQUESTS", given.requests or str(scenario.requests), 1, LONGEST_RUN)
    options = RunOptions(
        requests=requests,
        users=whole("USERS", given.users or str(scenario.users), 1, 20_000),
        profile=given.profile,
        rate=rate,
        out=folder("OUT", given.out or scenario.out),
        seed=whole("SEED", given.seed, 0, 2**31),
        corpus=_file("CORPUS", given.corpus),
        legacy_url=url("LEGACY_URL", given.legacy_url),
        streaming_url=url("STREAMING_URL", given.streaming_url),
        targets=_file("TARGETS", given.targets),
        workers=whole("WORKERS", given.workers, 1, 64),
        processes=whole("PROCESSES", given.processes, 1, 64),
        proxied=0 if given.legacy_url else math.ceil(requests * scenario.proxied),
    )
    _check_together(options)
    return options


def _check_together(options: RunOptions) -> None:
    if (options.legacy_url is None) != (options.streaming_url is None):
        raise OptionError("LEGACY_URL and STREAMING_URL go together")
    try:
        load_targets(options.targets, os.environ)
        if options.corpus:
            read_corpus(options.corpus)
    except (TargetsError, CorpusError) as error:
        raise OptionError(str(error)) from None
    for name, url in (("LEGACY_URL", options.legacy_url), ("STREAMING_URL", options.streaming_url)):
        if url:
            _check_reachable(name, url)


def whole(name: str, text: str, least: int, most: int) -> int:
    """Raises OptionError for what is no whole number, or one outside."""
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise OptionError(f"{name}={text}: a whole number from {least:,} to {most:,} is needed")


def decimal(name: str, text: str, least: float, most: float) -> float:
    """Raises OptionError for what is no number, or one outside."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if least <= value <= most:
        return value
    raise OptionError(f"{name}={text}: a number from {least:g} to {most:g} is needed")


def folder(name: str, text: str) -> Path:
    """Raises OptionError for the name of a file."""
    if Path(text).exists() and not Path(text).is_dir():
        raise OptionError(f"{name}={text}: there is a file of this name")
    return Path(text)


def _rate(text: str) -> float | None:
    if not text:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if 0 < rate <= 100_000:
        return rate
    raise OptionError(f"RATE={text}: requests a second, above 0 and at most 100,000, are needed")


def _file(name: str, text: str) -> Path | None:
    if text and not Path(text).is_file():
        raise OptionError(f"{name}={text}: there is no such file")
    return Path(text) if text else None


def url(name: str, text: str) -> str | None:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise OptionError(f"{name}={text}: a URL such as http://127.0.0.1:8000 is needed")
    return text.rstrip("/") or None


def _check_reachable(name: str, url: str) -> None:
    """Any answer will do; it is the connection that is asked for."""
    try:
        httpx2.get(url, timeout=5.0)
    except httpx2.HTTPError as error:
        raise OptionError(f"{name}={url}: cannot be reached ({type(error).__name__})") from None
