"""The options of `make readers`, checked before anything is started."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from loadtests.audience.patience import Habits
from loadtests.options import OptionError, decimal, folder, whole
from loadtests.profiles import PROFILES, Profile


@dataclass(frozen=True, slots=True)
class Chosen:
    """Readers, and readers a second."""

    readers: int
    rate: float
    profile: str
    seed: int
    habits: Habits
    out: Path

    @property
    def model(self) -> Profile:
        return PROFILES[self.profile]

    @property
    def answer_s(self) -> float:
        return (self.model.first_token_ms + self.model.generation_ms) / 1000

    @property
    def threads(self) -> int:
        """So many that no reader of the batch stack waits for a thread: that is `make sweep`'s subject."""
        return max(100, round(1.5 * self.rate * self.answer_s))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    habits = Habits()
    parser.add_argument("--readers", default="400")
    parser.add_argument("--rate", default="8", help="readers a second")
    parser.add_argument("--patience", default=str(habits.patience_s), help="its median, in seconds")
    parser.add_argument("--words", default=str(habits.words_a_minute), help="read in a minute")
    parser.add_argument("--early", default=str(habits.early), help="share that leaves at a glance")
    parser.add_argument("--profile", default="article")
    parser.add_argument("--seed", default="7")
    parser.add_argument("--out", default="out/readers")


def checked(given: argparse.Namespace) -> Chosen:
    """Raises OptionError for the first option that cannot be used."""
    if given.profile not in PROFILES:
        raise OptionError(f"PROFILE={given.profile}: there are {', '.join(sorted(PROFILES))}")
    habits = Habits(
        patience_s=decimal("PATIENCE", given.patience, 0.01, 3600),
        words_a_minute=decimal("WORDS", given.words, 1, 100_000),
        early=decimal("EARLY", given.early, 0, 1),
    )
    return Chosen(
        readers=whole("READERS", given.readers, 1, 100_000),
        rate=decimal("RATE", given.rate, 0.1, 50),
        profile=given.profile,
        seed=whole("SEED", given.seed, 0, 2**31),
        habits=habits,
        out=folder("OUT", given.out),
    )
