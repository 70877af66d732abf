"""Many streams on one HTTP/2 connection, through nginx as it is shipped, in front of the app that streams."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.http2 import NoHttp2, take_http2
from loadtests.http2_session import Goaway
from loadtests.nginx import Proxy, proxied
from loadtests.profiles import INSTANT, write_script
from loadtests.streams import Asking, Taken, take
from tests.conftest import MAX_BODY_BYTES, Stack
from tests.servers import free_port

SEED, PROMPT, TOKENS = 7, "hello", 20
GOAWAY = 7


@pytest.fixture(scope="module")
def proxy(stacks: dict[str, Stack], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxied(tmp_path_factory.mktemp("nginx"), [stacks["fastapi_app"].url]) as running:
        yield running


def asking(request_id: str, model: str = "sim:instant", prompt: str = PROMPT) -> Asking:
    body = {"prompt": prompt, "model": model, "max_tokens": TOKENS, "stream": True}
    return Asking(request_id, json.dumps(body).encode())


def text(taken: Taken) -> str:
    return "".join(
        json.loads(event.data)["text"] for event in taken.events() if event.name == "delta"
    )


def script_text(request_id: str, prompt: str = PROMPT) -> str:
    return write_script(SEED, request_id, INSTANT, f"user: {prompt}", TOKENS).text


async def test_more_streams_than_a_connection_may_have_are_all_answered(proxy: Proxy) -> None:
    told: list[str] = []
    crowd = [asking(f"h2-{number}") for number in range(150)]
    taken = await take_http2(
        proxy.ports.tls, proxy.certificate, crowd, told=lambda one: told.append(one.request_id)
    )
    assert [one.request_id for one in taken] == [one.request_id for one in crowd]
    assert sorted(told) == sorted(one.request_id for one in crowd)
    assert {(one.status, one.trouble, one.ending) for one in taken} == {(200, "", "done")}
    assert all(text(one) == script_text(one.request_id) for one in taken)
    assert all(one.asked_ns < one.reads[0][0] <= one.reads[-1][0] <= one.ended_ns for one in taken)
    logged = proxy.access_log.read_text()
    assert logged.count(" HTTP/2.0 200 ") == 150


async def test_it_reads_what_http1_reads(proxy: Proxy) -> None:
    body = asking("either").body
    one, other = Asking("h1", body), Asking("h2", body)
    first = await take(proxy.ports.plain, [one])
    second = await take_http2(proxy.ports.tls, proxy.certificate, [other])
    names = ("content-type", "cache-control")
    assert [first[0].headers[name] for name in names] == [second[0].headers[name] for name in names]
    assert (first[0].headers["x-request-id"], second[0].headers["x-request-id"]) == ("h1", "h2")
    assert (text(first[0]), text(second[0])) == (script_text("h1"), script_text("h2"))


async def test_a_get_and_bodies_of_any_size(proxy: Proxy) -> None:
    long, huge = "x" * 40_000, "x" * 2 * MAX_BODY_BYTES
    crowd = [
        Asking("get", target=f"/chat?prompt={PROMPT}"),
        asking("long", prompt=long),
        asking("huge", prompt=huge),  # more than the server takes at first, and than the app takes
    ]
    got, sent, refused = await take_http2(proxy.ports.tls, proxy.certificate, crowd, connections=2)
    assert (got.ending, sent.ending) == ("done", "done")
    assert text(sent) == script_text("long", long)
    assert (refused.status, refused.trouble) == (413, "")


async def test_a_connection_that_runs_out_is_followed_by_another(
    streaming: Stack, tmp_path: Path
) -> None:
    few = [("keepalive_timeout 65s;", "keepalive_timeout 65s; keepalive_requests 4;")]
    crowd = [asking(f"away-{number}", "sim:instant+pause-0.2") for number in range(8)]
    with proxied(tmp_path, [streaming.url], changes=few) as proxy:
        taken = await take_http2(proxy.ports.tls, proxy.certificate, crowd)
    assert {(one.trouble, one.ending) for one in taken} == {("", "done")}
    assert all(text(one) == script_text(one.request_id) for one in taken)


async def test_a_stream_that_is_reset_says_so_and_the_others_go_on(
    streaming: Stack, tmp_path: Path
) -> None:
    impatient = [("proxy_read_timeout 310s;", "proxy_read_timeout 200ms;")]
    crowd = [asking("reset", "sim:instant+pause-20"), asking("whole")]
    with proxied(tmp_path, [streaming.url], changes=impatient) as proxy:
        reset, whole = await take_http2(proxy.ports.tls, proxy.certificate, crowd)
    assert reset.trouble == "reset (INTERNAL_ERROR)"
    assert reset.ending == "dropped"
    assert text(reset)
    assert script_text("reset").startswith(text(reset))
    assert (whole.trouble, whole.ending) == ("", "done")


async def test_a_server_without_http2_is_one_clear_error(streaming: Stack, tmp_path: Path) -> None:
    old = [("listen 443 ssl http2;", "listen 443 ssl;")]
    with proxied(tmp_path, [streaming.url], changes=old) as proxy:
        with pytest.raises(NoHttp2, match=f"port {proxy.ports.tls} speaks no HTTP/2"):
            await take_http2(proxy.ports.tls, proxy.certificate, [asking("old")])
        with pytest.raises(NoHttp2, match=f"port {proxy.ports.plain} speaks no HTTP/2"):
            await take_http2(proxy.ports.plain, proxy.certificate, [asking("plain")])


async def test_where_nothing_listens_every_answer_says_so(proxy: Proxy) -> None:
    taken = await take_http2(free_port(), proxy.certificate, [asking("nobody")])
    assert [(one.trouble, one.status) for one in taken] == [("no connection", 0)]


frames = st.lists(st.tuples(st.integers(0, 9), st.binary(min_size=8, max_size=40)), max_size=8)


@given(frames, st.data())
def test_only_goaway_is_taken_out_however_the_bytes_are_cut(
    given_frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    whole = b"".join(_frame(*frame) for frame in given_frames)
    goaway, kept, at = Goaway(), b"", 0
    while at < len(whole):
        size = data.draw(st.integers(1, len(whole) - at))
        kept += goaway.feed(whole[at : at + size])
        at += size
    aways = [payload for kind, payload in given_frames if kind == GOAWAY]
    last = int.from_bytes(aways[-1][:4], "big") % 2**31 if aways else None
    assert kept == b"".join(_frame(*frame) for frame in given_frames if frame[0] != GOAWAY)
    assert goaway.last_stream == last


def _frame(kind: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, 0]) + bytes(4) + payload
