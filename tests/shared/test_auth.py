"""Who calls: keys are known by their hash, and all of them are compared."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth import ANONYMOUS, Caller, KeyRing
from shared.errors import Unauthorized


def entry(user: str, key: str) -> str:
    return f"{user}:{hashlib.sha256(key.encode()).hexdigest()}"


RING = KeyRing((entry("ada", "first"), entry("bob", "second"), entry("ada", "third")))


@pytest.mark.parametrize(
    ("authorization", "user"),
    [
        ("Bearer first", "ada"),
        ("bearer second", "bob"),
        ("BEARER third", "ada"),
        ("Bearer   first ", "ada"),
    ],
)
def test_a_key_names_its_user(authorization: str, user: str) -> None:
    assert RING.identify(authorization) == Caller(user)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer First",
        "Bearer first second",
        "Basic first",
        "first",
        "Bearer " + hashlib.sha256(b"first").hexdigest(),
        "Bearer " + entry("ada", "first"),
        "Bearer \ud83d",
        "Bearer ключ",
    ],
)
def test_nobody_else_is_known(authorization: str | None) -> None:
    with pytest.raises(Unauthorized) as raised:
        RING.identify(authorization)
    assert raised.value.headers == {"WWW-Authenticate": "Bearer"}


@given(st.text(st.characters()))
def test_no_header_causes_another_error(authorization: str) -> None:
    with pytest.raises(Unauthorized):
        RING.identify(authorization)
    assert KeyRing(()).identify(authorization) == ANONYMOUS


def test_a_ring_does_not_show_its_keys() -> None:
    ring = KeyRing((entry("ada", "first"),))
    assert hashlib.sha256(b"first").hexdigest() not in repr(ring)
