"""Loopback: by address, in all the ways it is written, and by what a name stands for."""

import socket

import pytest

from shared.loopback import beyond, only_here

OURS = ["127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"]
OTHERS = ["0.0.0.0", "::", "192.168.1.7", "10.0.0.1", "169.254.1.1", "fe80::1", "::ffff:10.0.0.1"]


@pytest.mark.parametrize("address", OURS)
def test_a_loopback_address_is_only_here(address: str) -> None:
    assert only_here(address)
    assert not beyond(address)


@pytest.mark.parametrize("address", OTHERS)
def test_any_other_address_is_beyond(address: str) -> None:
    assert not only_here(address)
    assert beyond(address)


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "127.1"])
def test_a_name_is_what_it_stands_for(name: str) -> None:
    assert only_here(name)


@pytest.mark.parametrize(
    "host", ["", "0", "host.invalid", "a..b", "x" * 300, "127.0.0.1:80", "\ud83d"]
)
def test_what_stands_for_no_loopback_address_is_not_only_here(host: str) -> None:
    assert not only_here(host)


@pytest.mark.parametrize("second", ["10.0.0.1", "::"])
def test_one_address_of_a_name_beyond_loopback_is_enough(
    monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    def looked_up(host: str, port: None) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("127.0.0.1", 0)), (0, 0, 0, "", (second, 0, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    assert not only_here("both.example")


@pytest.mark.parametrize("name", ["testserver", "/run/chat.sock", "", "localhost"])
def test_a_name_is_no_address_beyond_it(name: str) -> None:
    assert not beyond(name)
