"""Impatient readers, seeded: how long one waits, how fast one reads, and when one has read enough. Pure.

What is from the literature:

- Patience is log-normal through two points: of 100 who see nothing happen, a quarter is gone after 5 s and
  half after 10 s (Sitaraman on S. S. Krishnan and R. K. Sitaraman, "Video Stream Quality Impacts Viewer
  Behavior", ACM IMC 2012: 23 million views). That readers of a chat are like viewers of a video is an
  assumption, and the median a setting.
- Reading: 238 words a minute of English non-fiction, most adults between 175 and 300 (M. Brysbaert, "How many
  words do we read per minute?", Journal of Memory and Language 109, 2019), taken as two standard deviations.
- Enough: at the median, readers of articles stop half-way (J. Schwartz of Chartbeat in F. Manjoo, "You Won't
  Finish This Article", Slate 2013). That this point lies anywhere with equal chance is an assumption.
- A token is three quarters of a word (the rule of thumb of OpenAI's tokenizer).

No source says how many leave an answer at a glance, having read next to nothing of it. Their share is a
setting, 0 unless given, and their moment lies anywhere in the time that the model writes.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from loadtests.profiles import Profile

WORDS_A_TOKEN = 0.75
PATIENCE_SIGMA = math.log(10 / 5) / 0.6745
"""0.6745 standard deviations lie between a normal distribution's quartile and its median."""
SLOWEST_WORDS = 80.0


@dataclass(frozen=True, slots=True)
class Habits:
    """A population: median of the patience in seconds, words a minute, share that leaves at a glance."""

    patience_s: float = 10.0
    words_a_minute: float = 238.0
    words_deviation: float = 31.25
    early: float = 0.0


@dataclass(frozen=True, slots=True)
class Reader:
    """`patience_s` is until the first visible text; `enough` is the share of the answer after which one leaves.

    One who leaves at a glance does so when the share `glance` of the model's writing time has passed.
    """

    patience_s: float
    words_a_minute: float
    enough: float
    glance: float | None

    @property
    def tokens_a_second(self) -> float:
        return self.words_a_minute / 60 / WORDS_A_TOKEN

    def stays_s(self, profile: Profile) -> float:
        """Seconds from the first visible text until this reader leaves.

        The model writes faster than anybody reads, so that a reader never waits for it.
        """
        reading_s = self.enough * profile.tokens / self.tokens_a_second
        if self.glance is None:
            return reading_s
        return min(reading_s, self.glance * profile.generation_ms / 1000)

    def tokens_read(self, profile: Profile) -> float:
        """Tokens of the answer that are read by the time one leaves; none by those who saw none."""
        return self.tokens_a_second * self.stays_s(profile)


def population(habits: Habits, count: int, seed: int) -> list[Reader]:
    """Readers who differ between two sets of habits only in what the habits say."""
    rng = random.Random(f"readers {seed}")
    return [_reader(habits, rng) for _ in range(count)]


def _reader(habits: Habits, rng: random.Random) -> Reader:
    patience_s = habits.patience_s * math.exp(PATIENCE_SIGMA * rng.gauss(0, 1))
    words = habits.words_a_minute + habits.words_deviation * rng.gauss(0, 1)
    enough, glances, glance = rng.random(), rng.random() < habits.early, rng.random()
    return Reader(patience_s, max(SLOWEST_WORDS, words), enough, glance if glances else None)


def paid(reader: Reader, profile: Profile) -> int:
    """Tokens made for this reader by a stack that streams, adds no time, and stops when the reader has left."""
    first_s = profile.first_token_ms / 1000
    if reader.patience_s < first_s:
        return 0
    return min(profile.tokens, 1 + int(reader.stays_s(profile) * 1e9 / profile.gap_ns))


def mean_paid(readers: Iterable[Reader], profile: Profile) -> float:
    """Tokens an answer, under the same ideal stack."""
    return fmean(paid(reader, profile) for reader in readers)
