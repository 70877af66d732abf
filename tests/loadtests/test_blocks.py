"""The order of the counted blocks: every request once a stack and way, and no way favoured by time."""

from hypothesis import given
from hypothesis import strategies as st

from loadtests.blocks import Block, blocks


def test_without_nginx_it_is_a_b_b_a() -> None:
    assert blocks(5) == [
        Block("legacy_flask", "direct", "A1", range(3)),
        Block("fastapi_app", "direct", "B1", range(3)),
        Block("fastapi_app", "direct", "B2", range(3, 5)),
        Block("legacy_flask", "direct", "A2", range(3, 5)),
    ]


def test_each_stack_has_the_same_middle_by_each_way() -> None:
    found = blocks(4, 4)
    places: dict[tuple[str, str], list[int]] = {}
    for place, block in enumerate(found):
        places.setdefault((block.stack, block.way), []).append(place)
    assert len(places) == 4
    assert {sum(two) for two in places.values()} == {len(found) - 1}


@given(st.integers(1, 60), st.integers(0, 60))
def test_every_request_is_sent_once_by_each_way(requests: int, proxied: int) -> None:
    found = blocks(requests, proxied)
    assert len({block.phase for block in found}) == len(found)
    for stack in ("legacy_flask", "fastapi_app"):
        for way, count in (("direct", requests), ("nginx", proxied)):
            mine = [block.indices for block in found if (block.stack, block.way) == (stack, way)]
            assert sorted(index for indices in mine for index in indices) == list(range(count))
