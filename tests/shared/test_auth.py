"""Who calls: keys are known by their hash, and all of them are compared."""

import hashlib
import hmac
import logging

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


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer ", "Bearer    ", "Bearer \t"])
def test_no_key_is_no_key_even_where_its_hash_is_listed(authorization: str) -> None:
    with pytest.raises(Unauthorized):
        KeyRing((entry("nobody", ""),)).identify(authorization)


@pytest.mark.parametrize("key", ["first", "third", "wrong"])
def test_every_key_is_compared_whichever_it_is(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    compared = []
    compare = hmac.compare_digest

    def counted(known: bytes, digest: bytes) -> bool:
        compared.append(known)
        return compare(known, digest)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    try:
        RING.identify(f"Bearer {key}")
    except Unauthorized:
        assert key == "wrong"
    assert compared == [hashlib.sha256(each).digest() for each in (b"first", b"second", b"third")]


@pytest.mark.parametrize("reached", [None, ("127.0.0.1", 1), ("::1", 1), ("/run/chat.sock", None)])
def test_without_keys_this_machine_is_let_in(reached: tuple[str, int | None] | None) -> None:
    assert KeyRing(()).identify(None, reached) == ANONYMOUS


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "2001:db8::1"])
def test_without_keys_nobody_beyond_is_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture, address: str
) -> None:
    ring = KeyRing(())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(Unauthorized):
                ring.identify("Bearer first", (address, 80))
    assert [record.getMessage() for record in caplog.records] == [
        f"without CHAT_API_KEYS nobody is answered beyond loopback: {address}"
    ]


def test_with_keys_it_does_not_matter_where_a_key_arrives() -> None:
    assert RING.identify("Bearer first", ("10.0.0.1", 80)) == Caller("ada")
