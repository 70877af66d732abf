"""How long models are silent in the middle of an answer, seeded. Pure.

No source gives this distribution for the articles' traffic, so it is an assumption, made before anything was
measured: log-normal, as durations of work are, through two points.

- The median is 5 s: a search or a query of a database, and the model's turn on what it brought.
- Nineteen in twenty end within 30 s, the default of CHAT_TOKEN_TIMEOUT_S: who leaves it at that expects few
  silences beyond it.
- Every answer has one, as in a service where each answer calls a tool or thinks; where only some do, there are
  fewer drops in proportion.
"""

import math
import random
from statistics import NormalDist

MEDIAN_S, MOST_S = 5.0, 30.0
MOST = 0.95
SIGMA = math.log(MOST_S / MEDIAN_S) / NormalDist().inv_cdf(MOST)
LONGEST_S = 3600.0
_NORMAL = NormalDist(math.log(MEDIAN_S), SIGMA)


def drawn(count: int, seed: int) -> list[float]:
    """The silences of so many answers, in seconds; none is longer than LONGEST_S."""
    rng = random.Random(seed)
    return [min(LONGEST_S, rng.lognormvariate(_NORMAL.mean, SIGMA)) for _ in range(count)]


def share_beyond(seconds: float) -> float:
    """The share of silences that are longer, by the distribution and not by a draw."""
    return 1 - _NORMAL.cdf(math.log(seconds))
