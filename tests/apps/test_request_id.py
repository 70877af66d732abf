"""X-Request-ID is taken when it is well-formed, made when not, returned always, and passed upstream."""

import pytest

from tests.apps.exchange import post, send
from tests.conftest import Stack

WELL_FORMED = ["r7-000123", "A.b_c-9", "x", "f" * 128]
MALFORMED = ["", " ", "two words", "f" * 129, "semi;colon", "a/b", "<script>", "caf\xe9", "a,b"]


@pytest.mark.parametrize("offered", WELL_FORMED)
def test_a_well_formed_id_is_kept(stack: Stack, offered: str) -> None:
    answer = send(stack.url, "GET", "/healthz", headers={"X-Request-ID": offered})
    assert answer.request_id == offered


@pytest.mark.parametrize("offered", MALFORMED)
def test_any_other_is_replaced(stack: Stack, offered: str) -> None:
    answer = send(stack.url, "GET", "/nothing", headers={"X-Request-ID": offered})
    assert answer.request_id != offered
    assert answer.request_id.isalnum()
    assert answer.json()["error"]["request_id"] == answer.request_id


def test_each_request_without_one_gets_its_own(stack: Stack) -> None:
    ids = {send(stack.url, "GET", "/healthz").request_id for _ in range(20)}
    assert len(ids) == 20


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_passed_upstream(stack: Stack, stream: bool) -> None:
    offered = f"up-{stack.name}-{stream}"
    answer = post(stack.url, {"prompt": "hi", "stream": stream}, {"X-Request-ID": offered})
    assert (answer.status, answer.request_id) == (200, offered)
    assert stack.simulator.ended(offered)["status"] == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_made_one_is_passed_upstream_too(stack: Stack, stream: bool) -> None:
    answer = post(stack.url, {"prompt": "hi", "stream": stream})
    assert stack.simulator.ended(answer.request_id)["tokens"] == 500


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("PUT", "/chat"), ("POST", "/chat"), ("GET", "/chat")]
)
def test_errors_carry_it(stack: Stack, method: str, path: str) -> None:
    answer = send(stack.url, method, path, headers={"X-Request-ID": "on-errors"})
    assert answer.status >= 400
    assert answer.request_id == answer.json()["error"]["request_id"] == "on-errors"
