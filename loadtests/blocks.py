"""The counted stretches of a comparison in their order."""

from dataclasses import dataclass

from loadtests.reporting.records import StackName
from loadtests.scenarios import Way

FIRST_HALF: tuple[tuple[StackName, Way], ...] = (
    ("legacy_flask", "direct"),
    ("legacy_flask", "nginx"),
    ("fastapi_app", "nginx"),
    ("fastapi_app", "direct"),
)
LETTERS: dict[StackName, str] = {"legacy_flask": "A", "fastapi_app": "B"}


@dataclass(frozen=True, slots=True)
class Block:
    """Some requests of the corpus, to one stack by one way."""

    stack: StackName
    way: Way
    phase: str
    indices: range


def blocks(requests: int, proxied: int = 0) -> list[Block]:
    """A B B A: whatever drifts during the run touches both stacks, and both ways, alike.

    `requests` go to each stack, and `proxied` ones once more through nginx. A block without any is left out.
    """
    counts: dict[Way, int] = {"direct": requests, "nginx": proxied}
    first = [_block(stack, way, 1, counts[way]) for stack, way in FIRST_HALF]
    second = [_block(stack, way, 2, counts[way]) for stack, way in reversed(FIRST_HALF)]
    return [block for block in (*first, *second) if block.indices]


def _block(stack: StackName, way: Way, turn: int, count: int) -> Block:
    half = (count + 1) // 2
    indices = range(half) if turn == 1 else range(half, count)
    phase = f"{LETTERS[stack]}{turn}"
    return Block(stack, way, phase if way == "direct" else f"{phase}-{way}", indices)
