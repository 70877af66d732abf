"""Plans and scenarios."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.profiles import PROFILES
from loadtests.scenarios import SCENARIOS, Plan, PlanError, read_plan

SMALL: dict[str, Any] = {
    "stack": "legacy_flask",
    "phase": "A1",
    "url": "http://127.0.0.1:1",
    "out": "out",
    "run": "r7",
    "count": 3,
}


def test_a_plan_comes_back_from_its_file(tmp_path: Path) -> None:
    plan = Plan(**SMALL, rate=2.5, model="sim", max_tokens=4, first=10)
    path = tmp_path / "plan.json"
    path.write_bytes(msgspec.json.encode(plan))
    assert read_plan(path) == plan
    assert plan.request_id(10) == "r7-000010"


def test_the_stack_says_how_answers_come_unless_the_plan_does() -> None:
    plan = Plan(**SMALL)
    streaming = msgspec.structs.replace(plan, stack="fastapi_app")
    assert (plan.answers, streaming.answers) == ("batch", "stream")
    assert msgspec.structs.replace(streaming, kind="batch").answers == "batch"


def test_stalls_of_a_warm_up_are_kept_apart() -> None:
    assert Plan(**SMALL).stalls == "stalls.jsonl"
    assert Plan(**SMALL, samples="warm-up.jsonl").stalls == "warm-up-stalls.jsonl"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"userz": 3}, "unknown field `userz`"),
        ({"count": "many"}, "Expected `int`, got `str`"),
        ({"count": -1}, "must not be negative"),
        ({"users": 0}, "must be above zero"),
        ({"rate": 0}, "must be above zero"),
        ({"timeout_s": 0}, "must be above zero"),
        ({"kind": "both"}, "Invalid enum value 'both'"),
    ],
)
def test_a_wrong_plan_is_one_clear_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(msgspec.json.encode(SMALL | change))
    with pytest.raises(PlanError) as raised:
        read_plan(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_a_missing_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"none\.json: No such file"):
        read_plan(tmp_path / "none.json")


def test_scenarios_name_profiles_that_there_are() -> None:
    assert set(SCENARIOS) == {"article", "production", "chatty", "instant"}
    assert {scenario.profile for scenario in SCENARIOS.values()} <= set(PROFILES)
