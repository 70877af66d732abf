"""The id of a request: the client's own when it is well-formed, else a new one."""

import pytest

from shared.telemetry import choose_request_id


@pytest.mark.parametrize("offered", ["a", "r7-000123", "A.b_c-9", "x" * 128])
def test_a_well_formed_id_is_kept(offered: str) -> None:
    assert choose_request_id(offered) == offered


@pytest.mark.parametrize("offered", [" a", "a  ", "\ta\t"])
def test_spaces_around_an_id_are_none_of_it(offered: str) -> None:
    assert choose_request_id(offered) == "a"


@pytest.mark.parametrize(
    "offered", [None, "", "x" * 129, "a b", "a\n", "a\r\nX: y", "é", "a;b", "٣"]
)
def test_any_other_is_replaced_by_a_new_one(offered: str | None) -> None:
    first, second = choose_request_id(offered), choose_request_id(offered)
    assert first not in (offered, second)
    assert choose_request_id(first) == first
