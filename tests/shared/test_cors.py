"""CORS as pure functions: a listed origin is named, any other is not, and nothing is given back unseen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cors import allowed_origin, grants, preflight

PAGE, SECOND = "https://chat.example", "http://127.0.0.1:8002"
ORIGINS = (PAGE, SECOND)
STRANGERS = [
    "https://evil.example",
    "http://chat.example",
    "https://chat.example:8443",
    "https://chat.example.evil.example",
    "https://evil-chat.example",
    "https://chat.example/",
    "https://Chat.example",
    "null",
    "*",
    "",
    f"{PAGE}, {SECOND}",
    f"{PAGE} {SECOND}",
]
METHOD, HEADERS = "Access-Control-Request-Method", "Access-Control-Request-Headers"


@pytest.mark.parametrize("origin", ORIGINS)
def test_an_answer_names_a_listed_origin(origin: str) -> None:
    assert grants(origin, ORIGINS) == {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "X-Request-ID, Retry-After",
    }


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_preflight_says_what_a_page_may_send(origin: str) -> None:
    asked = {"Origin": origin, METHOD: "PUT", HEADERS: "x-anything"}
    assert preflight("OPTIONS", asked.get, ORIGINS) == {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        "Access-Control-Allow-Headers": (
            "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-ID"
        ),
        "Access-Control-Max-Age": "600",
    }


@pytest.mark.parametrize("origin", STRANGERS)
def test_any_other_origin_is_granted_nothing(origin: str) -> None:
    assert grants(origin, ORIGINS) == {}
    assert preflight("OPTIONS", {"Origin": origin, METHOD: "POST"}.get, ORIGINS) == {}
    assert grants(origin, ()) == {}


@given(st.text())
def test_no_origin_is_given_back_unseen(origin: str) -> None:
    assert grants(origin, ORIGINS) == ({} if origin not in ORIGINS else grants(origin, (origin,)))


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"Origin": PAGE, METHOD: "POST"}),
        ("OPTIONS", {"Origin": PAGE}),
        ("OPTIONS", {METHOD: "POST"}),
        ("OPTIONS", {}),
        ("options", {"Origin": PAGE, METHOD: "POST"}),
    ],
)
def test_other_requests_are_no_preflights(method: str, headers: dict[str, str]) -> None:
    assert preflight(method, headers.get, ORIGINS) is None


def test_a_request_without_an_origin_is_granted_nothing() -> None:
    assert grants(None, ORIGINS) == {}


@pytest.mark.parametrize(
    ("listed", "sent"),
    [
        ("https://Chat.Example", "https://chat.example"),
        ("https://chat.example:443", "https://chat.example"),
        ("http://chat.example:80", "http://chat.example"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://chat.example:8080", "http://chat.example:8080"),
    ],
)
def test_an_origin_is_listed_as_people_write_it_and_compared_as_browsers_do(
    listed: str, sent: str
) -> None:
    assert grants(sent, (listed,))["Access-Control-Allow-Origin"] == sent


@pytest.mark.parametrize("wrong", ["http://chat.example", "https://chat.example:80"])
def test_the_port_of_another_scheme_is_not_implied(wrong: str) -> None:
    assert grants(wrong, ("https://chat.example:443", "http://chat.example:443")) == {}


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "anything"),
        ("http://127.0.0.1:8002", "127.0.0.1:8002"),
        ("https://app.example", "app.example"),
        ("https://app.example", "app.example:443"),
        ("http://app.example", "APP.example:80"),
        ("http://[::1]:8002", "[::1]:8002"),
        (PAGE, "app.example"),
    ],
)
def test_a_websocket_of_no_page_of_our_own_or_of_a_listed_one_may_open(
    origin: str | None, host: str
) -> None:
    assert allowed_origin(origin, host, ORIGINS)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        *((stranger, "app.example") for stranger in STRANGERS),
        *((stranger, "") for stranger in STRANGERS),
        ("http://127.0.0.1:8003", "127.0.0.1:8002"),
        ("http://127.0.0.1", "127.0.0.1:8002"),
        ("http://app.example.evil.example", "app.example"),
        ("https://app.example", "app.example:80"),
        ("http://", ""),
        ("://", ""),
        ("app.example", "app.example"),
    ],
)
def test_a_websocket_of_any_other_page_may_not(origin: str, host: str) -> None:
    assert not allowed_origin(origin, host, ORIGINS)
