"""Scripts are a pure function of the request, cheap to write, and as the profiles say."""

import json
import statistics
import timeit
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.profiles import (
    ARTICLE,
    CHATTY,
    INSTANT,
    PRODUCTION,
    PROFILES,
    Profile,
    cacheable_prefix,
    count_tokens,
    write_script,
)
from loadtests.simulation.vocabulary import PHRASES, cut, json_bodies

profiles = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


@given(st.text())
def test_the_pieces_of_a_text_join_to_it_again(text: str) -> None:
    assert "".join(cut(text)) == text


def test_every_piece_has_its_json() -> None:
    bodies = json_bodies()
    assert {piece for phrase in PHRASES for piece in cut(phrase)} == set(bodies)
    assert all(json.loads(b'"' + body + b'"') == piece for piece, body in bodies.items())


def test_the_text_is_like_a_models() -> None:
    script = write_script(7, "r7-000001", ARTICLE, "hello")
    text = "".join(write_script(7, str(n), ARTICLE, "hello").text for n in range(20))
    assert 2 < len(script.text) / len(script.pieces) < 6
    assert "\n\n" in text
    assert any("\u4e00" <= char <= "\u9fff" for char in text)
    assert any(char > "\uffff" for char in text)


@profiles
def test_the_same_request_has_the_same_script_and_another_a_different_one(profile: Profile) -> None:
    script = write_script(7, "r7-000001", profile, "hello")
    assert write_script(7, "r7-000001", profile, "hello") == script
    others = [(8, "r7-000001", "hello"), (7, "r7-000002", "hello"), (7, "r7-000001", "hullo")]
    assert all(write_script(s, i, profile, p).text != script.text for s, i, p in others)


@profiles
@given(request_id=st.text(), prompt=st.text(), limit=st.integers(1, 3000))
def test_a_limit_cuts_the_same_script(
    profile: Profile, request_id: str, prompt: str, limit: int
) -> None:
    whole = write_script(7, request_id, profile, prompt)
    short = write_script(7, request_id, profile, prompt, limit)
    kept = min(limit, len(whole.pieces))
    assert short.pieces == whole.pieces[:kept]
    assert short.offsets_ns == whole.offsets_ns[:kept]
    assert short.finish_reason == ("length" if kept < len(whole.pieces) else "stop")


@pytest.mark.parametrize(
    ("profile", "tokens", "first_ms", "last_ms"),
    [(ARTICLE, 500, 1200, 7600), (PRODUCTION, 2100, 164, 9100), (INSTANT, 500, 0, 0)],
    ids=lambda value: getattr(value, "name", None),
)
def test_even_profiles(profile: Profile, tokens: int, first_ms: float, last_ms: float) -> None:
    script = write_script(7, "r7-000001", profile, "hello")
    gaps = {after - before for before, after in pairwise(script.offsets_ns)}
    assert len(script.pieces) == len(script.offsets_ns) == tokens
    assert script.offsets_ns[0] == pytest.approx(first_ms * 1e6)
    assert script.offsets_ns[-1] == pytest.approx(last_ms * 1e6)
    assert max(gaps) - min(gaps) <= 1


def test_chatty_varies_around_its_medians() -> None:
    scripts = [write_script(7, f"r7-{n:06d}", CHATTY, "hi") for n in range(1000)]
    first_ms = [script.offsets_ns[0] / 1e6 for script in scripts]
    lengths = [len(script.pieces) for script in scripts]
    gaps = [b - a for script in scripts for a, b in pairwise(script.offsets_ns)]
    assert statistics.median(first_ms) == pytest.approx(CHATTY.first_token_ms, rel=0.1)
    assert statistics.median(lengths) == pytest.approx(CHATTY.tokens, rel=0.1)
    assert statistics.median(gaps) == pytest.approx(CHATTY.gap_ns, rel=0.1)
    assert statistics.mean(first_ms) > statistics.median(first_ms) * 1.05
    assert min(gaps) > 0


def test_prefill_is_proportional_to_the_prompt() -> None:
    short, long = "x" * 4, "x" * 40_000
    steady = Profile("steady", 100, 1000, 10, prefill_us_per_token=150)
    before, after = (write_script(7, "r", steady, prompt).offsets_ns[0] for prompt in (short, long))
    expected_us = 150 * (count_tokens(long) - count_tokens(short))
    assert (after - before) / 1e3 == pytest.approx(expected_us)


def test_a_cached_prefix_saves_its_share_of_the_first_token() -> None:
    cold, warm = (write_script(7, "r", CHATTY, "x" * 1000, cached=c) for c in (False, True))
    assert warm.offsets_ns[0] / cold.offsets_ns[0] == pytest.approx(1 - CHATTY.prefix_discount)
    assert (cold.cached_tokens, warm.cached_tokens) == (0, CHATTY.prefix_tokens)
    assert warm.pieces == cold.pieces


def test_only_long_prompts_of_a_caching_profile_have_a_prefix() -> None:
    size = CHATTY.prefix_tokens * 4
    assert cacheable_prefix(CHATTY, "x" * size + "tail") == "x" * size
    assert cacheable_prefix(CHATTY, "x" * (size - 1)) is None
    assert cacheable_prefix(ARTICLE, "x" * size) is None


@profiles
def test_a_script_takes_well_under_a_millisecond(profile: Profile) -> None:
    write_script(7, "warm", profile, "hello")
    ids = iter(range(1000))
    rounds = timeit.repeat(
        lambda: write_script(7, str(next(ids)), profile, "hi"), number=50, repeat=5
    )
    assert min(rounds) / 50 < 1e-3
