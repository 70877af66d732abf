"""One relay under clients who read nothing: held for as long as they like, or cut by the send timeout."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.audience.generated import await_end, ended, in_flight
from loadtests.drink import request
from loadtests.stage import Stage
from loadtests.unread.holding import (
    Relay,
    Sample,
    gauge,
    grows,
    held,
    look,
    released,
    watch,
    were_cut,
)
from loadtests.unread.relays import OURS, QUEUED, RECIPE, Torrent, raised, recipe_queued

TOKENS_A_SECOND = {OURS: 20_000, RECIPE: 5_000, QUEUED: 5_000}
"""Of all answers together: about half of what each relay can carry on a core."""
MOST_CLIENTS = {OURS: 900, RECIPE: 40, QUEUED: 40}
"""Of 200 streams, the recipe's loop is so busy with the first that its connections for the others time out."""
FASTEST = 4_000
LEFT_OPEN_S = 2.0
WARM_S = 10.0
CUT_S = 3
"""The send timeout where it is at work; where clients are held it lies beyond the hold."""
CUT_MOST_S = 90.0
LOOK_S = 0.2
IN_FLIGHT = "chat_answers_in_flight"
TELL_EVERY_S = 15.0
KIB = 1024
ASKED = request("GET", "/chat?prompt=Tell+me+everything.")


class Held(msgspec.Struct, frozen=True):
    """A relay at the end of the hold; sizes are KiB a connection.

    `served` are the clients with a stream of the upstream. `rss` is the process's growth over its size without
    clients, `queued` what waits in it, `downstream` and `upstream` what waits in the kernel for its sockets.
    `closed_s` is how long its streams outlived their clients, None for longer than LEFT_OPEN_S, when there were
    `left_open` of them still.
    """

    held_s: float
    clients: int
    served: int
    rss_kib: float
    rss_peak_kib: float
    queued_kib: float
    queued_peak_kib: float
    downstream_kib: float
    upstream_kib: float
    tokens: float
    grows: bool
    closed_s: float | None
    left_open: int


class Cut(msgspec.Struct, frozen=True):
    """Our stack with its send timeout at work on two waves of clients; the worse figure of the two.

    `seconds` is from the first request to the end of the last answer of the first wave, None when a wave had no
    end in time. `rss` is KiB a client: the peak of the first wave, of the second, and what is left. What
    outlived the cut is counted while the clients are still there.
    """

    send_timeout_s: int
    clients: int
    cut: int
    seconds: float | None
    answers_in_flight: int
    queued_bytes: int
    kernel_bytes: int
    rss_peak_kib: float
    rss_again_kib: float
    rss_kib: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How many clients are held, for how long at least, and where the logs go."""

    clients: int
    seconds: int
    logs: Path

    def clients_of(self, name: str) -> int:
        """As many as a relay can serve at once: what is compared is the cost of one."""
        return min(self.clients, MOST_CLIENTS[name])

    @property
    def most_s(self) -> int:
        """A relay that goes on taking more is watched for so long."""
        return 3 * self.seconds

    def torrent(self, name: str) -> Torrent:
        """What a relay's upstream writes: longer than any client stays."""
        longest_s = self.most_s + round(2 * CUT_MOST_S)
        return Torrent(min(FASTEST, TOKENS_A_SECOND[name] // self.clients_of(name)), longest_s)

    def settings(self, send_timeout_s: int | None = None) -> dict[str, str]:
        """Of our stack: nothing but the send timeout ends an answer, and without one nothing does."""
        torrent = self.torrent(OURS)
        never = torrent.seconds + 60
        return {
            "CHAT_SEND_TIMEOUT_S": str(send_timeout_s or never),
            "CHAT_TOKEN_TIMEOUT_S": str(never),
            "CHAT_ANSWER_TIMEOUT_S": str(never),
            "CHAT_MAX_ANSWER_TOKENS": str(torrent.tokens),
        }


Tell = Callable[[str], None]


def hold(name: str, plan: Plan, tell: Tell) -> Held:
    """Clients that stay to the end of the hold, and then leave; raises StartError."""
    clients = plan.clients_of(name)
    with raised(name, plan.torrent(name), plan.logs, plan.settings()) as (relay, stage):
        before = _warmed_up(relay, stage)
        with held(relay.port, ASKED, clients):
            teller = _teller(relay, before, clients, tell)
            samples = watch(relay, plan.seconds, plan.most_s, teller)
        closed_s, left = released(relay, LEFT_OPEN_S)
        # One that has not let go by now would not end for a SIGTERM either.
        relay.child.stop(signal.SIGKILL if left else signal.SIGTERM)
        await_end(stage, LEFT_OPEN_S)
        tokens = sum(made.paid for made in ended(stage))
    last, kib = samples[-1], KIB * clients
    queued = [_queued(one, before, clients) for one in samples]
    return Held(
        held_s=round(last.at_s, 1),
        clients=clients,
        served=last.streams,
        rss_kib=round((last.rss - before.rss) / kib, 1),
        rss_peak_kib=round((max(one.rss for one in samples) - before.rss) / kib, 1),
        queued_kib=round(queued[-1] / KIB, 1),
        queued_peak_kib=round(max(queued) / KIB, 1),
        downstream_kib=round(last.downstream / kib, 1),
        upstream_kib=round(last.upstream / kib, 1),
        tokens=round(tokens / clients, 1),
        grows=grows(samples),
        closed_s=closed_s,
        left_open=left,
    )


def cut(plan: Plan) -> Cut:
    """The same clients against our stack with a short send timeout, twice; raises StartError."""
    with raised(OURS, plan.torrent(OURS), plan.logs, plan.settings(CUT_S)) as (relay, stage):
        before = _warmed_up(relay, stage)
        first, second = _wave(relay, stage, plan), _wave(relay, stage, plan)

    def kib(rss: int) -> float:
        return round((rss - before.rss) / KIB / plan.clients, 1)

    return Cut(
        send_timeout_s=CUT_S,
        clients=plan.clients,
        cut=min(first.cut, second.cut),
        seconds=None if None in (first.seconds, second.seconds) else first.seconds,
        answers_in_flight=max(first.in_flight, second.in_flight),
        queued_bytes=max(first.after.queued or 0, second.after.queued or 0),
        kernel_bytes=max(first.after.downstream, second.after.downstream),
        rss_peak_kib=kib(first.peak),
        rss_again_kib=kib(second.peak),
        rss_kib=kib(second.after.rss),
    )


@dataclass(frozen=True, slots=True)
class _Wave:
    seconds: float | None
    peak: int
    after: Sample
    in_flight: int
    cut: int


def _wave(relay: Relay, stage: Stage, plan: Plan) -> _Wave:
    """Clients that come and are cut; what is left of them is looked at before they read."""
    started, peak, seconds = time.monotonic(), 0, None
    with held(relay.port, ASKED, plan.clients) as clients:
        while seconds is None and time.monotonic() - started < CUT_MOST_S:
            time.sleep(LOOK_S)
            peak = max(peak, look(relay).rss)
            if not (gauge(relay, IN_FLIGHT) or in_flight(stage)):
                seconds = round(time.monotonic() - started, 1)
        after, running = look(relay), round(gauge(relay, IN_FLIGHT))
        return _Wave(seconds, peak, after, running, were_cut(clients))


def _warmed_up(relay: Relay, stage: Stage) -> Sample:
    """The relay without clients, when it has served one and has loaded what it needs."""
    with held(relay.port, ASKED, 1):
        deadline = time.monotonic() + WARM_S
        while not look(relay).given:
            if time.monotonic() > deadline:
                raise relay.child.failed("gave a client nothing")
            time.sleep(LOOK_S)
    await_end(stage, LEFT_OPEN_S)
    ended(stage)
    return look(relay)


def _queued(one: Sample, before: Sample, clients: int) -> float:
    """Bytes a client that wait in the process: as it says itself, or else by what went in and out."""
    if one.queued is not None:
        return one.queued / clients
    return recipe_queued(one.taken - before.taken, one.given - before.given, clients)


def _teller(relay: Relay, before: Sample, clients: int, tell: Tell) -> Callable[[Sample], None]:
    """Says now and then how far a hold is."""
    due_s = TELL_EVERY_S

    def hear(one: Sample) -> None:
        nonlocal due_s
        if one.at_s < due_s:
            return
        due_s += TELL_EVERY_S
        rss, kernel = one.rss - before.rss, one.downstream + one.upstream
        waits = _queued(one, before, clients)
        tell(
            f"  {relay.name}, {one.at_s:.0f} s: a client has {rss / KIB / clients:.0f} KiB of memory, "
            f"{waits / KIB:.1f} KiB waiting in the process and {kernel / KIB / clients:.0f} KiB in the kernel"
        )

    return hear
