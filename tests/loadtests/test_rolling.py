"""A rolling deploy: what is counted of it, what fails it, and what a proxy does between its backends."""

import json
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path

import msgspec
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from loadtests.audience.generated import Generated
from loadtests.deploying.access_log import sent_again
from loadtests.deploying.clients import Ending, Journey, ending
from loadtests.deploying.outcome import Model, Outcome, Seen, is_whole, outcome, silences
from loadtests.deploying.site import Site, site
from loadtests.nginx import proxied
from loadtests.profiles import INSTANT
from loadtests.rolling import LONG, MUTANTS, SHORT, Mutant, Plan, conclude, deploy, summarise
from loadtests.streams import Asking, Taken, take
from tests.loadtests.commands import interrupted, refused, started, told

pytestmark = pytest.mark.timeout(240)  # several deploys at once, on a busy machine
SECOND = 1_000_000_000
CLIENTS = 12
ANSWER_S = 0.8
GRACES_S = {LONG: 20.0, SHORT: 0.2}
SMALL = Plan(
    CLIENTS,
    INSTANT.name,
    seed=7,
    out=Path(),
    answer_s=ANSWER_S,
    model=f"sim:{INSTANT.name}+pause-{ANSWER_S}",
    settings={"CHAT_RECONNECT_S": "0.5"},
)
BODY = b'{"prompt":"hi"}'
MODEL = Model(7, INSTANT)


# --- what is counted


def _event(name: str, data: object, event_id: str = "") -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def _delta(text: str, event_id: str = "") -> bytes:
    return _event("delta", {"text": text}, event_id)


DONE = _event("done", {"id": "a"})
DRAINING = _event("failure", {"code": "draining"})


def _taken(
    request_id: str, *events: bytes, status: int = 200, from_s: float = 0.0, to_s: float = 1.0
) -> Taken:
    reads = [(round((from_s + 0.5) * SECOND), event) for event in events]
    asked_ns, ended_ns = round(from_s * SECOND), round(to_s * SECOND)
    return Taken(request_id, asked_ns, status, reads=reads, ended_ns=ended_ns, trouble="")


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (_taken("a", _delta("x"), DONE), "finished"),
        (_taken("a", _delta("x"), DRAINING), "draining"),
        (_taken("a", _delta("x"), _event("failure", {"code": "gap"})), "failed"),
        (_taken("a", _delta("x")), "broken off"),
        (_taken("a"), "broken off"),
        (_taken("a", status=503), "refused"),
        (_taken("a", status=0), "refused"),
    ],
)
def test_how_a_response_ended(taken: Taken, said: Ending) -> None:
    assert ending(taken) == said


def _session(*streams: tuple[bytes, ...]) -> list[Taken]:
    return [_taken("s", *events) for events in streams]


def test_a_resumed_text_is_whole_with_every_event_once() -> None:
    text = MODEL.script("s").text
    half = len(text) // 2
    one, two, done = (
        _delta(text[:half], "7-1"),
        _delta(text[half:], "9-2"),
        _event("done", {"id": "a"}, "9-3"),
    )
    script = MODEL.script("s")
    assert is_whole(_session((one, DRAINING), (two, done)), script)
    assert is_whole(_session((one, two, done)), script)
    assert is_whole(_session((_delta(text), DONE)), script)
    assert not is_whole(_session((one, DRAINING), (done,)), script)
    assert not is_whole(_session((one, DRAINING), (one, two, done)), script)
    assert not is_whole(_session((one, DRAINING), (_delta(text[half + 1 :], "9-2"), done)), script)
    empty = _delta("", "9-2")
    assert not is_whole(_session((one, empty), (_delta(text[half:], "9-2"), done)), script)


def _made(request_id: str, tokens: int) -> Generated:
    return Generated(request_id, 200, 0, 1, 2, tokens, 0, None, [])


def _seen(*journeys: Journey, made: tuple[Generated, ...] = ()) -> Outcome:
    seen = Seen(2.0, 10 * SECOND, 20 * SECOND, (), journeys, made, Counter({"503": 1}))
    return outcome(seen, MODEL)


def _whole(name: str, from_s: float) -> Taken:
    return _taken(name, _delta(MODEL.script(name).text), DONE, from_s=from_s)


def test_what_is_counted_of_journeys() -> None:
    text = MODEL.script("s").text
    asked = _taken("s", status=201, from_s=11)
    resumed = Journey(
        "session",
        asked,
        [
            _taken("s", _delta(text[:4], "1-1"), DRAINING, from_s=11, to_s=12),
            _taken("s", _delta(text[4:], "2-2"), _event("done", {}, "2-3"), from_s=12.5, to_s=14),
        ],
    )
    again = Journey("plain", None, [_taken("p-0", _delta("x"), DRAINING), _whole("p-1", 15)])
    killed = Journey("plain", None, [_taken("k", _delta("x"), from_s=16)])
    refused = Journey("session", _taken("r", status=503, from_s=17))
    made = (_made("s", 100), _made("s", 500), _made("p-0", 50), _made("p-1", 500), _made("k", 9))
    found = _seen(resumed, again, killed, refused, made=made)
    assert (found.answers, found.finished, found.whole) == (4, 2, 2)
    assert (found.told, found.asked_again, found.resumed) == (2, 1, 1)
    assert (found.broken_off, found.lost, found.refused) == (1, 1, 1)
    assert (found.tokens, found.twice) == (1_159, 159)
    assert found.requests == 6
    assert found.silence_ms is not None
    assert (found.silence_ms.max, found.silence_ms.n) == (1_000, 1)
    assert found.first_content_before_ms is not None
    assert found.first_content_before_ms.n == 1
    assert found.first_content_during_ms is not None
    assert found.first_content_during_ms.n == 3


def test_a_stream_that_brings_no_text_ends_no_silence() -> None:
    assert list(silences([_taken("s", DRAINING), _taken("s", DRAINING)])) == []


HOPS = st.lists(st.sampled_from(("502", "503", "504")), max_size=3)


@given(st.lists(st.tuples(HOPS, st.sampled_from(("200", "503")))))
def test_the_access_log_says_what_was_sent_again(requests: list[tuple[list[str], str]]) -> None:
    lines = [
        f"127.0.0.1 2026-01-01T00:00:00+00:00 POST /chat HTTP/1.1 {last} 10 0.065 "
        f"{', '.join(f'127.0.0.1:{port}' for port in range(len(hops) + 1))} "
        f"{', '.join((*hops, last))} {', '.join(('-',) * len(hops) + ('0.001',))} r-1\n"
        for hops, last in requests
    ]
    refused = '127.0.0.1 2026-01-01T00:00:00+00:00 GET / HTTP/1.1 400 0 0.000 - - - "\n'
    assert sent_again([*lines, refused]) == Counter(hop for hops, _ in requests for hop in hops)


# --- the deploy itself


@pytest.fixture(scope="module")
def deploys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """Each with everything of its own, at once."""

    def begin(name: str, which: str, mutant: Mutant) -> Future[Outcome]:
        plan = replace(SMALL, out=tmp_path_factory.mktemp(name), mutant=mutant)
        return pool.submit(deploy, plan, which, GRACES_S[which], lambda _: None)

    with ThreadPoolExecutor() as pool:
        yield {
            "clean": begin("clean", SHORT, Mutant()),
            "no-resend": begin("no-resend", LONG, MUTANTS["no-resend"]),
            "killed": begin("killed", SHORT, MUTANTS["killed"]),
        }


def test_nothing_is_lost_and_nothing_refused(
    deploys: dict[str, Future[Outcome]], tmp_path: Path
) -> None:
    one, printed = deploys["clean"].result(), StringIO()
    console = Console(file=printed, width=120)
    status = conclude({SHORT: one}, replace(SMALL, out=tmp_path), console)
    summary = json.loads((tmp_path / "summary.json").read_bytes())
    assert (status, summary["failures"], summary["holds"]) == (0, [], True)
    assert str(tmp_path / "summary.json") in printed.getvalue()
    assert [each.answers > 0 for each in one.backends] == [True, True]
    assert (one.lost, one.refused, one.broken_off) == (0, 0, 0)
    assert one.finished == one.whole > CLIENTS
    assert (one.told > 0, one.resumed > 0, one.twice > 0) == (True, True, True)
    assert sum(one.sent_again.values()) > 0


def test_without_asking_another_backend_requests_are_refused(
    deploys: dict[str, Future[Outcome]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = deploys["no-resend"].result()
    assert conclude({LONG: one}, replace(SMALL, out=tmp_path), Console(file=StringIO())) == 1
    [said] = capsys.readouterr().err.splitlines()
    assert said == f"rolling: long grace: {one.refused} requests were refused"
    assert "503" not in one.sent_again


def test_within_the_grace_every_stream_comes_to_its_end(
    deploys: dict[str, Future[Outcome]],
) -> None:
    one = deploys["no-resend"].result()
    assert (one.told, one.lost, one.broken_off, one.twice) == (0, 0, 0, 0)
    assert one.finished == one.answers


def test_a_backend_that_is_killed_loses_plain_streams_and_no_session(
    deploys: dict[str, Future[Outcome]],
) -> None:
    one = deploys["killed"].result()
    assert (one.lost > 0, one.resumed > 0, one.finished) == (True, True, one.whole)
    assert summarise({SHORT: one}, SMALL)["holds"] is False


@pytest.mark.parametrize(
    ("which", "broken"),
    [
        (SHORT, {"refused": 1}),
        (SHORT, {"lost": 1}),
        (SHORT, {"broken_off": 1}),
        (SHORT, {"whole": 0}),
        (SHORT, {"resumed": 0}),
        (SHORT, {"requests": 0}),
        (LONG, {"told": 1}),
    ],
)
def test_each_promise_can_be_broken(
    which: str, broken: dict[str, object], deploys: dict[str, Future[Outcome]]
) -> None:
    one = msgspec.structs.replace(
        deploys["clean"].result(), **({"told": 0} if which == LONG else {})
    )
    assert summarise({which: one}, SMALL)["failures"] == []
    failures = summarise({which: msgspec.structs.replace(one, **broken)}, SMALL)["failures"]
    assert len(msgspec.convert(failures, list[str])) == 1


# --- between two backends


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("up"), INSTANT.name, 7, {}) as running:
        yield running


@contextmanager
def _hole() -> Iterator[str]:
    """A host that is gone: it neither takes a connection nor refuses it."""
    with ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _mute() -> Iterator[tuple[str, list[bytes]]]:
    """A stack that takes requests, which are kept, and says nothing."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def listen() -> None:
            with suppress(OSError), listener.accept()[0] as one:
                while data := one.recv(65_536):
                    heard.append(data)

        pool.submit(listen)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def test_a_host_that_is_gone_costs_a_second_and_no_answer(up: Site) -> None:
    _, stays = up.backends
    folder = up.proxy.folder.parent / "gone"
    with _hole() as gone, proxied(folder, (gone, stays.url)) as proxy:
        statuses = [_asked(proxy.ports.plain, target="/readyz").status for _ in range(2)]
        again = sent_again(proxy.access_log.read_text().splitlines())
    assert (statuses, again) == ([200, 200], {"504": 1})


def _hear(url: str, chat: dict[str, str]) -> str:
    """The name of the first event."""
    with connect(url, close_timeout=0) as one:
        one.send(json.dumps({"request": chat}))
        return str(json.loads(one.recv(20))["event"])


def _asked(port: int, body: bytes = b"", target: str = "/chat") -> Taken:
    [taken] = uvloop.run(take(port, (Asking("r", body, target=target),)))
    return taken


def test_a_web_socket_goes_to_a_backend_that_stays(up: Site) -> None:
    leaving, _ = up.backends
    door, own = "/chat/ws", {"prompt": "hi"}
    paused = {**own, "model": f"sim:{INSTANT.name}+pause-10"}
    with connect(f"ws://127.0.0.1:{leaving.port}{door}", close_timeout=0) as under_way:
        under_way.send(json.dumps({"request": paused}))
        under_way.recv()
        leaving.child.process.send_signal(signal.SIGTERM)
        while _asked(leaving.port, target="/readyz").status == 200:
            assert leaving.child.process.poll() is None
        with pytest.raises(InvalidStatus) as refused:
            _hear(f"ws://127.0.0.1:{leaving.port}{door}", own)
        assert refused.value.response.status_code == 503
        assert json.loads(refused.value.response.body or b"")["error"]["code"] == "draining"
        through = f"ws://127.0.0.1:{up.proxy.ports.plain}{door}"
        assert [_hear(through, own) for _ in range(4)] == ["delta"] * 4
        assert leaving.child.process.poll() is None
    again = sent_again(up.proxy.access_log.read_text().splitlines())
    assert again["503"] > 0


@pytest.mark.parametrize(
    ("too_late", "asked"), [("proxy_next_upstream_timeout 250ms;", 1), ("", 2)]
)
def test_a_stack_that_was_asked_and_says_nothing_is_the_last_one(
    too_late: str, asked: int, tmp_path: Path
) -> None:
    changes = (
        ("proxy_read_timeout 310s;", "proxy_read_timeout 300ms;"),
        ("proxy_next_upstream_timeout 305s;", too_late),
    )
    with (
        _mute() as (one, by_one),
        _mute() as (two, by_two),
        proxied(tmp_path, (one, two), changes=changes) as proxy,
    ):
        assert _asked(proxy.ports.plain, BODY).status == 503
        assert len([heard for heard in (by_one, by_two) if heard]) == asked


# --- the command


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--streams", "1"), "STREAMS=1"),
        (("--streams", "many"), "STREAMS=many"),
        (("--profile", "nonsense"), "PROFILE=nonsense"),
        (("--mutant", "nonsense"), "MUTANT=nonsense"),
        (("--seed", "-1"), "SEED=-1"),
    ],
)
def test_a_bad_option_is_one_line(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused("rolling", options, said, tmp_path, capsys)


def test_an_interrupted_deploy_stops_what_it_started(tmp_path: Path) -> None:
    crowd = ("--streams", "4", "--mutant", "killed", "--profile", "instant")
    run = started("rolling", *crowd, "--out", str(tmp_path))
    interrupted(run, told("under way"), tmp_path, 5)
