"""The corpus of parity: each request has a name of its own, and its bytes are as they are written."""

import re
from collections import Counter

from loadtests.equality.corpus import corpus, small_set
from loadtests.equality.probes import Probe, post, wire
from loadtests.equality.timing import timed
from loadtests.ledger import load_ledger
from loadtests.simulation.faults import FAULTS

OFFERED = {"X-Request-ID": "one", "Authorization": "Bearer key"}


def test_the_corpus_is_large_and_always_the_same() -> None:
    first, second = corpus("key"), corpus("key")
    assert first == second
    assert len(first) > 500
    assert len({probe.name for probe in [*first, *timed()]}) == len(first) + len(list(timed()))


def test_it_is_valid_invalid_and_odd() -> None:
    kinds = Counter(re.split(r"[:,]", probe.name)[0] for probe in corpus("key"))
    assert min(kinds[form] for form in ("POST", "stream true", "Accept", "GET")) > 30
    assert min(kinds[kind] for kind in ("body", "field", "query", "type", "key", "wire")) > 10
    assert all(kinds[f"fault {fault}"] == 4 for fault in FAULTS if fault != "none")


def test_a_small_set_is_small_and_asks_for_no_fault() -> None:
    probes = small_set(load_ledger())
    assert 150 < len(probes) < 300
    assert not [probe.name for probe in probes if b"sim:" in probe.body or "sim:" in probe.target]


def test_a_request_goes_out_as_it_is_written() -> None:
    assert wire(post("x", {"a": 1}), "host:1", "/v2", OFFERED) == (
        b"POST /v2/chat HTTP/1.1\r\nHost: host:1\r\nX-Request-ID: one\r\nAuthorization: Bearer key\r\n"
        b'Content-Type: application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    )


def test_its_own_headers_come_first() -> None:
    own = Probe("x", headers=(("x-request-id", ""), ("authorization", "none")))
    sent = wire(own, "host", "", OFFERED)
    assert (
        sent == b"GET /chat HTTP/1.1\r\nHost: host\r\nx-request-id: \r\nauthorization: none\r\n\r\n"
    )


def test_a_bare_one_has_neither_key_nor_id_and_a_raw_one_nothing_else() -> None:
    assert (
        wire(Probe("x", bare=True), "host", "", OFFERED)
        == b"GET /chat HTTP/1.1\r\nHost: host\r\n\r\n"
    )
    assert wire(Probe("x", raw=b"\x16\r\n"), "host", "/v2", OFFERED) == b"\x16\r\n"


def test_parts_are_chunks() -> None:
    sent = wire(Probe("x", "POST", parts=(b"ab", b"c" * 17)), "host", "", {})
    assert sent.endswith(
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n11\r\n" + b"c" * 17 + b"\r\n0\r\n\r\n"
    )
