"""What deploy/nginx.conf promises, over real sockets; each promise is missed without the line that keeps it."""

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import psutil
import pytest
import uvloop
from websockets.exceptions import InvalidStatus

from loadtests.http2 import take_http2
from loadtests.nginx import Change, Proxy, proxied
from loadtests.streams import Asking
from tests.apps.exchange import JSON, Answer, opened, post, send
from tests.conftest import Stack
from tests.deploy.listener import FIRST, HELD, REST, WAIT_S, Listener, listening
from tests.fastapi_app.session_client import until
from tests.fastapi_app.test_websocket import answered
from tests.servers import free_port

SECRET = "sesame-open-never-log-this"
EVENTS = {"Accept": "text/event-stream"}
TOO_LARGE = b"x" * (1024 * 1024 + 1)


@dataclass(frozen=True)
class Site:
    """nginx before two listeners."""

    proxy: Proxy
    legacy: Listener
    streaming: Listener

    def asked(self, method: str, target: str, **headers: str) -> Answer:
        """One request; a header's name has _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return send(self.proxy.url, method, target, None, named)

    def stack(self, method: str, target: str, **headers: str) -> str:
        """The name of the one who answered."""
        return str(self.asked(method, target, **headers).json()["stack"])


Check = Callable[[Site], None]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def listeners() -> Iterator[tuple[Listener, Listener]]:
    with listening("legacy") as legacy, listening("streaming") as streaming:
        yield legacy, streaming


@contextmanager
def before(listeners: tuple[Listener, Listener], home: Path, *changes: Change) -> Iterator[Site]:
    legacy, streaming = listeners
    with proxied(home, [streaming.url], [legacy.url], changes) as proxy:
        yield Site(proxy, legacy, streaming)


@pytest.fixture(scope="module")
def site(listeners: tuple[Listener, Listener], home: Path) -> Iterator[Site]:
    with before(listeners, home / "shipped") as shipped:
        yield shipped


# Each promise as a check.


def events_and_sessions_are_asked_of_the_streaming_stack(site: Site) -> None:
    for key in map(str, range(8)):
        assert site.stack("GET", "/chat?prompt=hi", Authorization=key, **EVENTS) == "streaming"
        assert site.stack("POST", "/chat", Authorization=key, **EVENTS) == "streaming"
        assert site.stack("POST", "/chat/sessions", Authorization=key) == "streaming"
        assert (
            site.stack("GET", "/chat/sessions/a/events?ticket=t", Authorization=key) == "streaming"
        )


def a_get_without_events_is_asked_of_the_batch_stack(site: Site) -> None:
    asked = {site.stack("GET", "/chat?prompt=hi", Authorization=str(n)) for n in range(40)}
    assert asked == {"legacy"}


def a_client_stays_on_its_side_of_the_share(site: Site) -> None:
    sides = [[site.stack("POST", "/chat", Authorization=str(n)) for n in range(40)] for _ in "ab"]
    assert sides[0] == sides[1]
    assert 1 <= sides[0].count("streaming") <= 12


def an_id_is_passed_or_made(site: Site) -> None:
    for given in ("A.b_c-9", "f" * 128):
        site.asked("GET", "/chat", X_Request_ID=given)
        assert site.legacy.last().headers.get_all("X-Request-ID") == [given]
    for wrong in ("", "two words", "f" * 129, "<script>"):
        site.asked("GET", "/chat", X_Request_ID=wrong)
        assert re.fullmatch("[0-9a-f]{32}", site.legacy.last().headers["X-Request-ID"])


def what_a_client_says_of_itself_is_dropped(site: Site) -> None:
    site.asked("GET", "/chat", X_Forwarded_For="1.2.3.4", X_Forwarded_Proto="https")
    headers = site.legacy.last().headers
    assert headers.get_all("X-Forwarded-For") == ["127.0.0.1"]
    assert headers.get_all("X-Forwarded-Proto") == ["http"]


def connections_to_a_stack_are_kept(site: Site) -> None:
    for _ in range(20):
        site.asked("GET", "/chat")
    assert len({seen.peer for seen in site.legacy.seen[-20:]}) <= len(workers(site.proxy))


def metrics_are_for_the_host_alone(site: Site) -> None:
    assert site.asked("GET", "/metrics").status == 404
    assert all(seen.target != "/metrics" for seen in (site.legacy.last(), site.streaming.last()))


def what_is_too_large_has_the_one_error_body(site: Site) -> None:
    answer = send(site.proxy.url, "POST", "/chat", TOO_LARGE, {**JSON, "X-Request-ID": "big"})
    assert answer.status == 413
    assert is_the_error_body(answer, "body_too_large", "big")


def http_2_is_offered_over_tls(site: Site) -> None:
    assert spoken(site.proxy, "h2", "http/1.1") == "h2"
    assert spoken(site.proxy, "http/1.1") == "http/1.1"
    asking = Asking("by-h2", target="/chat?prompt=hi", headers=tuple(EVENTS.items()))
    [taken] = uvloop.run(take_http2(site.proxy.ports.tls, site.proxy.certificate, [asking]))
    assert (taken.status, json.loads(taken.body)) == (200, {"stack": "streaming"})
    assert site.streaming.last().headers["X-Forwarded-Proto"] == "https"


def port_80_sends_to_tls(site: Site) -> None:
    answer = send(f"http://127.0.0.1:{site.proxy.ports.redirect}", "POST", "/chat?prompt=a%20b")
    assert answer.status == 308
    assert answer.headers["Location"] == "https://127.0.0.1/chat?prompt=a%20b"


def a_reload_leaves_a_stream_whole(site: Site) -> None:
    site.streaming.go_on.clear()
    with opened(site.proxy.url, "GET", HELD) as stream:
        assert stream.read1() == FIRST
        old = workers(site.proxy)
        site.proxy.reload()
        until(lambda: workers(site.proxy) - old and all(map(shuts_down, old)))
        assert site.stack("POST", "/chat", **EVENTS) == "streaming"
        site.streaming.go_on.set()
        assert rest_of(stream.read1) == REST


def no_query_is_logged(site: Site) -> None:
    for target in (f"/chat?prompt={SECRET}", f"/chat/sessions/x/events?ticket={SECRET}"):
        site.asked("GET", target)
        site.asked("GET", target, X_Long="x" * 40_000)
        send(site.proxy.url, "POST", target, TOO_LARGE)
        send(f"http://127.0.0.1:{site.proxy.ports.redirect}", "GET", target)
    assert until(lambda: logged(site.proxy).count("/chat/sessions/x/events") >= 3)
    assert SECRET not in logged(site.proxy)


PROMISES: list[tuple[Check, Change]] = [
    (
        events_and_sessions_are_asked_of_the_streaming_stack,
        ('"~*text/event-stream"  fastapi_app;', ""),
    ),
    (a_get_without_events_is_asked_of_the_batch_stack, ('"~^GET /chat "         legacy_flask;', "")),
    (a_client_stays_on_its_side_of_the_share, ("$remote_addr$http_authorization", "$msec$request_id")),
    (an_id_is_passed_or_made, ("proxy_set_header X-Request-ID $id;", "")),
    (
        what_a_client_says_of_itself_is_dropped,
        ("X-Forwarded-For $remote_addr;", "X-Forwarded-For $proxy_add_x_forwarded_for;"),
    ),
    (connections_to_a_stack_are_kept, ("Connection $hop;", "Connection close;")),
    (metrics_are_for_the_host_alone, ("location = /metrics {", "location = /nowhere {")),
    (what_is_too_large_has_the_one_error_body, ("error_page 413 = @too_large;", "")),
    (http_2_is_offered_over_tls, ("443 ssl http2;", "443 ssl;")),
    (port_80_sends_to_tls, ("return 308 https", "return 302 https")),
    (a_reload_leaves_a_stream_whole, ("worker_shutdown_timeout 310s;", "worker_shutdown_timeout 1ms;")),
    (no_query_is_logged, ("$request_method $uri $server", "$request_method $request_uri $server")),
]  # fmt: skip


@pytest.mark.parametrize("check", [check for check, _ in PROMISES])
def test_it_is_kept(check: Check, site: Site) -> None:
    check(site)


@pytest.mark.parametrize(("check", "change"), PROMISES)
def test_it_is_missed_without_its_line(
    check: Check, change: Change, listeners: tuple[Listener, Listener], home: Path
) -> None:
    with before(listeners, home / "changed", change) as changed, pytest.raises(AssertionError):
        check(changed)


# Stacks that are down, real, or have no room; clients who are slow.


def test_without_a_stack_there_is_the_one_error_body_and_no_query_in_a_log(home: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with proxied(home / "dead", [nobody]) as proxy:
        answer = send(proxy.url, "GET", f"/chat?prompt={SECRET}", None, {"X-Request-ID": "gone"})
        assert answer.status == 503
        assert is_the_error_body(answer, "no_stack", "gone")
        assert until(lambda: " gone\n" in logged(proxy))
        assert SECRET not in logged(proxy)


LEVELS: list[Change] = [("error_log /dev/null emerg;", "")]


@pytest.mark.parametrize("changes", [[], LEVELS], ids=["shipped", "the error log of the whole"])
def test_without_a_free_descriptor_no_query_is_logged(
    changes: list[Change], listeners: tuple[Listener, Listener], home: Path
) -> None:
    room = [("worker_rlimit_nofile 65536;", "worker_rlimit_nofile 30;")]
    room += [("worker_processes auto;", "worker_processes 1;")]
    with (
        before(listeners, home / f"room-{len(changes)}", *room, *changes) as site,
        ExitStack() as all_of_them,
    ):
        [worker] = workers(site.proxy)
        asking = connected(site.proxy, all_of_them)
        asking.sendall(b"GET /metrics HTTP/1.1\r\nHost: chat\r\n\r\n")
        assert asking.recv(12) == b"HTTP/1.1 404"
        while worker.num_fds() < 30:
            connected(site.proxy, all_of_them)
        asking.sendall(b"GET /chat?prompt=%b HTTP/1.1\r\nHost: chat\r\n\r\n" % SECRET.encode())
        assert until(lambda: " /chat " in logged(site.proxy))
        assert b"HTTP/1.1 503" in asking.recv(65_536)
        assert (SECRET in logged(site.proxy)) == bool(changes)


def test_slow_clients_are_cut(listeners: tuple[Listener, Listener], home: Path) -> None:
    timeouts = [
        (f"client_{part}_timeout 15s;", f"client_{part}_timeout 1s;") for part in ("header", "body")
    ]
    half = b"POST /chat HTTP/1.1\r\nHost: chat\r\nContent-Length: 9\r\n"
    with before(listeners, home / "slow", *timeouts) as site, ExitStack() as all_of_them:
        clients = [connected(site.proxy, all_of_them) for _ in "ab"]
        for client, said in zip(clients, (half, half + b"\r\nx"), strict=True):
            client.sendall(said)
        assert [client.recv(12) for client in clients] == [b"", b""]
        assert until(lambda: logged(site.proxy).count(" 408 ") == 2)


@contextmanager
def before_real(stacks: dict[str, Stack], home: Path, *changes: Change) -> Iterator[Proxy]:
    streaming, legacy = ([stacks[name].url] for name in ("fastapi_app", "legacy_flask"))
    with proxied(home, streaming, legacy, changes) as proxy:
        yield proxy


def test_real_stacks_are_reached(stacks: dict[str, Stack], home: Path) -> None:
    asked = {"prompt": "hi", "max_tokens": 5}
    with before_real(stacks, home / "real") as proxy:
        batch = send(proxy.url, "GET", "/chat?prompt=hi&max_tokens=5", None, {"X-Request-ID": "a"})
        stream = post(proxy.url, asked, {**EVENTS, "X-Request-ID": "a"})
        assert batch.headers["Content-Type"] == "application/json"
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert (batch.request_id, stream.request_id) == ("a", "a")
        by_a_stack = send(proxy.url, "GET", "/nothing").json()["error"]
        by_nginx = send(proxy.url, "POST", "/chat", TOO_LARGE).json()["error"]
        assert by_nginx.keys() == by_a_stack.keys()
        heard, code = answered(proxy.url, {"request": asked})
        assert (heard[-1]["event"], code) == ("done", 1000)


def test_without_its_line_no_websocket_passes(stacks: dict[str, Stack], home: Path) -> None:
    line = ("proxy_set_header Upgrade $http_upgrade;", "")
    with before_real(stacks, home / "no-upgrade", line) as proxy, pytest.raises(InvalidStatus):
        answered(proxy.url, {"request": {"prompt": "hi"}})


# What is looked at.


def is_the_error_body(answer: Answer, code: str, request_id: str) -> bool:
    error = answer.json()["error"] if answer.body.startswith(b"{") else {}
    message = error.pop("message", "")
    named = {"code": code, "request_id": request_id, "details": []}
    return bool(message) and error == named and answer.request_id == request_id


def connected(proxy: Proxy, until_left: ExitStack) -> socket.socket:
    address = ("127.0.0.1", proxy.ports.plain)
    return until_left.enter_context(socket.create_connection(address, WAIT_S))


def logged(proxy: Proxy) -> str:
    return "".join(path.read_text("utf-8") for path in proxy.folder.glob("*.log"))


def workers(proxy: Proxy) -> set[psutil.Process]:
    return set(psutil.Process(proxy.child.pid).children())


def shuts_down(worker: psutil.Process) -> bool:
    try:
        return "shutting down" in " ".join(worker.cmdline())
    except psutil.NoSuchProcess:
        return True


def rest_of(read: Callable[[], bytes]) -> bytes:
    try:
        return b"".join(iter(read, b""))
    except (OSError, HTTPException):
        return b"broken off"


def spoken(proxy: Proxy, *offered: str) -> str | None:
    context = ssl.create_default_context(cafile=proxy.certificate)
    context.set_alpn_protocols(list(offered))
    with (
        socket.create_connection(("127.0.0.1", proxy.ports.tls), WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.selected_alpn_protocol()
