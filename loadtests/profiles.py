"""What the simulated model says and when: frozen profiles, and scripts as a pure function of the request."""

import hashlib
import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import accumulate, chain, islice
from typing import Literal

from loadtests.simulation.vocabulary import phrases

FinishReason = Literal["stop", "length"]

CHARS_PER_TOKEN = 4
_DRAWS = 8192


@dataclass(frozen=True, slots=True)
class Profile:
    """Medians and spreads of a simulated model; a sigma of 0 makes the quantity constant.

    `first_token_ms` is the time to first token of an empty prompt, `generation_ms` the time from the first
    to the last token of an answer of `tokens` tokens. Sigmas are of the natural logarithm (log-normal
    distributions). `prefix_discount` is the share of the time to first token that is saved when the prompt's
    first `prefix_tokens` are cached.
    """

    name: str
    first_token_ms: float
    generation_ms: float
    tokens: int
    first_token_sigma: float = 0.0
    gap_sigma: float = 0.0
    length_sigma: float = 0.0
    prefill_us_per_token: float = 0.0
    prefix_tokens: int = 0
    prefix_discount: float = 0.0

    @property
    def gap_ns(self) -> float:
        """Median time between two tokens, in nanoseconds."""
        return self.generation_ms * 1e6 / (self.tokens - 1)


ARTICLE = Profile("article", first_token_ms=1200, generation_ms=6400, tokens=500)
"""Claim A1: 1.2 s to the first token, then 500 tokens over 6.4 s."""

PRODUCTION = Profile("production", first_token_ms=164, generation_ms=8936, tokens=2100)
"""Article B: the model takes 9,100 ms (B2) for 2,100 tokens (B5). Streaming shows its first byte after 180 ms
(B1), of which 4 + 12 ms are the endpoint's own (B2): 164 ms are left for the first token."""

CHATTY = Profile(
    "chatty",
    first_token_ms=420,
    generation_ms=4500,
    tokens=250,
    first_token_sigma=0.45,
    gap_sigma=0.5,
    length_sigma=0.6,
    prefill_us_per_token=150,
    prefix_tokens=64,
    prefix_discount=0.4,
)
"""Uneven traffic: log-normal times and lengths, prefill by prompt length, the prefix cache of A7."""

INSTANT = Profile("instant", first_token_ms=0, generation_ms=0, tokens=500)
"""No delays at all: what is left is the cost of the stack."""

PROFILES = {profile.name: profile for profile in (ARTICLE, PRODUCTION, CHATTY, INSTANT)}


@dataclass(frozen=True, slots=True)
class Script:
    """One answer: `pieces` of text, and for each the nanoseconds from the start to its deadline."""

    pieces: Sequence[str]
    offsets_ns: Sequence[int]
    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def due(self, elapsed_ns: int, start: int = 0) -> int:
        """How many tokens have their deadline at or before `elapsed_ns`, given that `start` of them have."""
        return bisect_right(self.offsets_ns, elapsed_ns, start)


def count_tokens(text: str) -> int:
    """Prompt tokens as billed: one for every four characters, at least one."""
    return max(1, -(-len(text) // CHARS_PER_TOKEN))


def cacheable_prefix(profile: Profile, prompt: str) -> str | None:
    """The part of the prompt that a prefix cache would keep, None when it is too short or there is no cache."""
    size = profile.prefix_tokens * CHARS_PER_TOKEN
    return prompt[:size] if profile.prefix_discount and len(prompt) >= size else None


def write_script(
    seed: int,
    request_id: str,
    profile: Profile,
    prompt: str,
    max_tokens: int | None = None,
    *,
    cached: bool = False,
) -> Script:
    """The answer to a request: equal arguments give equal scripts, in any process, streamed or not."""
    rng = random.Random(_digest(seed, request_id, profile.name, prompt))
    length = _length(rng, profile)
    prompt_tokens = count_tokens(prompt)
    first_ns = _first_token_ns(rng, profile, prompt_tokens, cached)
    kept = length if max_tokens is None else max(1, min(length, max_tokens))
    # Drawn in this order, a limit changes neither the times nor the words before it.
    offsets_ns = _offsets(rng, profile, first_ns, kept)
    return Script(
        pieces=_pieces(rng, kept),
        offsets_ns=offsets_ns,
        finish_reason="length" if kept < length else "stop",
        prompt_tokens=prompt_tokens,
        cached_tokens=profile.prefix_tokens if cached else 0,
    )


def paused(script: Script, pause_ns: int) -> Script:
    """The same words, with `pause_ns` nanoseconds of silence behind the first half of them (rounded down)."""
    half = len(script.pieces) // 2
    before, after = script.offsets_ns[:half], script.offsets_ns[half:]
    return replace(script, offsets_ns=(*before, *(due + pause_ns for due in after)))


def _digest(*parts: object) -> int:
    joined = "\0".join(map(str, parts)).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "big")


def _length(rng: random.Random, profile: Profile) -> int:
    drawn = round(profile.tokens * math.exp(profile.length_sigma * rng.gauss(0, 1)))
    return min(max(drawn, 1), 4 * profile.tokens)


def _first_token_ns(rng: random.Random, profile: Profile, prompt_tokens: int, cached: bool) -> int:
    scheduling_ms = profile.first_token_ms * math.exp(profile.first_token_sigma * rng.gauss(0, 1))
    whole_ms = scheduling_ms + profile.prefill_us_per_token * prompt_tokens / 1e3
    return round(whole_ms * 1e6 * (1 - profile.prefix_discount if cached else 1))


def _pieces(rng: random.Random, count: int) -> tuple[str, ...]:
    shortest = min(map(len, phrases()))
    chosen = rng.choices(phrases(), k=count // shortest + 1)
    return tuple(islice(chain.from_iterable(chosen), count))


def _offsets(rng: random.Random, profile: Profile, first_ns: int, count: int) -> Sequence[int]:
    if not profile.gap_sigma:
        return _even_offsets(first_ns, profile.gap_ns, count)
    start = rng.randrange(_DRAWS)
    gaps = _gaps(profile)[start : start + count - 1]
    return tuple(accumulate(gaps, initial=first_ns))


@lru_cache(maxsize=1024)
def _even_offsets(first_ns: int, gap_ns: float, count: int) -> Sequence[int]:
    return tuple(first_ns + round(gap_ns * index) for index in range(count))


@cache
def _gaps(profile: Profile) -> Sequence[int]:
    """Log-normal gaps, drawn once: a script takes a stretch of them, a slice instead of a draw a token."""
    rng = random.Random(profile.name)
    draws = [
        round(profile.gap_ns * math.exp(profile.gap_sigma * rng.gauss(0, 1))) for _ in range(_DRAWS)
    ]
    return tuple(draws + draws[: 4 * profile.tokens])
