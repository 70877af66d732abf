"""The sweep's arithmetic: where a load is found between two that were measured."""

import pytest

from loadtests.sweep import load_at


def test_the_load_is_interpolated_between_the_two_around_it() -> None:
    assert load_at({100: 0.0, 110: 760.0, 120: 1520.0}, 800.0) == 111


def test_the_first_load_that_is_over_it_already_is_the_answer() -> None:
    assert load_at({50: 900.0, 100: 2000.0}, 800.0) == 50


def test_a_load_that_never_reaches_it_has_no_answer() -> None:
    assert load_at({50: 3.0, 100: 4.0}, 800.0) is None


@pytest.mark.parametrize("order", [(100, 110), (110, 100)])
def test_the_order_of_measuring_does_not_matter(order: tuple[int, ...]) -> None:
    medians = {100: 0.0, 110: 1000.0}
    assert load_at({users: medians[users] for users in order}, 500.0) == 105
