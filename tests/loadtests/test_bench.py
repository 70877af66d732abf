"""The bench's promise: it holds, or the command fails."""

import pytest

from loadtests.bench import LEAST_RATIO, MOST_US, OURS, RECIPE, summarise


def _holds(ours: float, recipe: float) -> object:
    return summarise({OURS: [ours], RECIPE: [recipe]}, streams=1)["holds"]


def test_cheap_enough_and_cheaper_than_the_recipe() -> None:
    assert _holds(MOST_US, MOST_US * LEAST_RATIO) is True


@pytest.mark.parametrize(
    ("ours", "recipe"), [(MOST_US + 0.1, 1000.0), (20.0, 20.0 * LEAST_RATIO - 0.1)]
)
def test_a_relay_that_costs_too_much_fails(ours: float, recipe: float) -> None:
    assert _holds(ours, recipe) is False


def test_the_median_of_the_rounds_counts() -> None:
    summary = summarise({OURS: [10.0, 90.0, 12.0], RECIPE: [100.0]}, streams=1)
    relays = summary["relays"]
    assert isinstance(relays, dict)
    assert relays[OURS]["us_per_token"] == 12.0
    assert relays[RECIPE]["ratio"] == round(100.0 / 12.0, 2)
