"""`make slow-readers`: clients who read nothing, against our stack, the articles' recipe and its queue (B3).

The clients ask for an answer that does not come to an end, and take nothing of it. What a relay reads from the
upstream meanwhile has to wait in the relay or in the kernel, and has to be paid for.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from loadtests.interrupt import interruptible
from loadtests.options import OptionError, folder, whole
from loadtests.processes import StartError
from loadtests.reporting.reader_claims import Memory, b3
from loadtests.unread.holding import ETHERNET_MSS, RECEIVE_BUFFER
from loadtests.unread.relays import NAMES, OURS
from loadtests.unread.standstill import CUT_S, KIB, LEFT_OPEN_S, Cut, Held, Plan, cut, hold
from shared.settings import Settings

CLOSED_WITHIN_S = 1.0
AGAIN = 1.25
"""The peak of a second wave of clients, to that of the first: what was cut is free to be used again."""
READ_BYTES = 8 * 1024
"""Text in one read of the upstream: of 256 KiB at most, where two hundred bytes of JSON bring some five."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", default="200")
    parser.add_argument("--hold", default="60", help="seconds that they stay, at least")
    parser.add_argument("--out", default="out/slow-readers")


def main(arguments: argparse.Namespace) -> int:
    """0 when our stack keeps its promises, 1 when not, 2 for a bad option, 130 when interrupted."""
    console = Console()
    try:
        out = folder("OUT", arguments.out)
        clients = whole("CLIENTS", arguments.clients, 1, 900)
        plan = Plan(clients, whole("HOLD", arguments.hold, 1, 3600), out / "logs")
    except OptionError as error:
        print(f"slow-readers: {error}", file=sys.stderr)
        return 2
    tell = partial(console.print, soft_wrap=True)
    tell(_estimate(plan))
    path = out / "summary.json"
    path.unlink(missing_ok=True)
    try:
        with interruptible():
            relays = {name: hold(name, plan, tell) for name in NAMES}
            summary = summarise(relays, cut(plan))
    except (StartError, OSError) as error:
        print(f"slow-readers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted: every process is stopped, nothing was kept.")
        return 130
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    console.print(_table(relays))
    tell(_conclusion(summary))
    console.print(f"  {path}", highlight=False)
    for failure in summary["failures"]:
        print(f"slow-readers: {failure}", file=sys.stderr)
    return 0 if summary["holds"] else 1


def summarise(relays: dict[str, Held], was_cut: Cut) -> dict[str, Any]:
    """What summary.json holds; `failures` are the promises of our stack that were not kept."""
    failures = _failures(relays[OURS], was_cut)
    return {
        "clients": was_cut.clients,
        "client": {"receive_buffer_bytes": 2 * RECEIVE_BUFFER, "mss_bytes": ETHERNET_MSS},
        "relays": relays,
        "cut": was_cut,
        "promise": {"most_queued_kib": most_queued_kib(), "closed_within_s": CLOSED_WITHIN_S},
        "claims": [b3([_memory(name, held) for name, held in relays.items()])],
        "failures": failures,
        "holds": not failures,
    }


def most_queued_kib() -> float:
    """What our process may hold for a client: the queue, which one read may take beyond its limit, and as much
    again in the transport, as the chunk that was taken from the queue last."""
    return 2 * (Settings.load().queue_bytes + READ_BYTES) / KIB


def _failures(ours: Held, was_cut: Cut) -> list[str]:
    most = most_queued_kib()
    promises = {
        f"{ours.queued_peak_kib:.1f} KiB a client waited in our process, {most:.0f} may": (
            ours.queued_peak_kib <= most
        ),
        f"{ours.served} of {ours.clients} clients were served": ours.served == ours.clients,
        "our stack still read from the upstream when the hold ended": not ours.grows,
        f"upstream requests ran for more than {CLOSED_WITHIN_S:g} s after their clients had left": (
            ours.closed_s is not None and ours.closed_s <= CLOSED_WITHIN_S
        ),
        f"{was_cut.cut} of {was_cut.clients} clients were cut by the send timeout": (
            was_cut.cut == was_cut.clients
        ),
        f"{was_cut.answers_in_flight} answers and {was_cut.queued_bytes} bytes outlived the cut": (
            was_cut.answers_in_flight == was_cut.queued_bytes == 0
        ),
        f"clients after those that were cut took {was_cut.rss_again_kib:.0f} KiB each, not "
        f"{was_cut.rss_peak_kib:.0f} again": was_cut.rss_again_kib <= AGAIN * was_cut.rss_peak_kib,
        f"{was_cut.kernel_bytes} bytes stayed in the kernel behind the cut": was_cut.kernel_bytes
        == 0,
    }
    return [text for text, kept in promises.items() if not kept]


def _memory(name: str, held: Held) -> Memory:
    return Memory(name, held.clients, held.rss_kib, held.queued_kib, held.grows)


def _estimate(plan: Plan) -> str:
    least_s = len(NAMES) * (plan.seconds + 5) + 30
    return (
        f"{plan.clients} clients who read nothing, held for {plan.seconds} s against each of {len(NAMES)} "
        f"relays, or up to {plan.most_s} s while one takes more; then cut after {CUT_S} s: "
        f"about {least_s} s, at most {least_s + 2 * len(NAMES) * plan.seconds} s."
    )


ROWS: dict[str, Callable[[Held], str]] = {
    "clients, and those served": lambda held: f"{held.clients}, {held.served}",
    "memory of the process, KiB": lambda held: f"{held.rss_kib:,.0f}",
    "at its peak": lambda held: f"{held.rss_peak_kib:,.0f}",
    "waiting in the process, KiB": lambda held: f"{held.queued_kib:,.1f}",
    "in the kernel for the client, KiB": lambda held: f"{held.downstream_kib:,.0f}",
    "in the kernel from the model, KiB": lambda held: f"{held.upstream_kib:,.0f}",
    "tokens that the model made": lambda held: f"{held.tokens:,.0f}",
    "held for": lambda held: f"{held.held_s:.0f} s",
    "takes more at the end": lambda held: "yes" if held.grows else "no",
    f"upstream open {LEFT_OPEN_S:.0f} s after all left": lambda held: f"{held.left_open} requests",
}


def _table(relays: dict[str, Held]) -> Table:
    table = Table("", title="A client who reads nothing")
    for name in relays:
        table.add_column(name, justify="right")
    for title, shown in ROWS.items():
        table.add_row(title, *(shown(held) for held in relays.values()))
    return table


def _conclusion(summary: dict[str, Any]) -> str:
    was_cut, claim = summary["cut"], summary["claims"][0]
    return (
        f"Send timeout of {was_cut.send_timeout_s} s: {was_cut.cut} of {was_cut.clients} clients cut, the last "
        f"after {was_cut.seconds} s; memory {was_cut.rss_peak_kib:.0f} KiB a client, of as many after them "
        f"{was_cut.rss_again_kib:.0f} KiB, {was_cut.rss_kib:.0f} KiB when all are gone.\n"
        f"B3, {claim.verdict}: {claim.measured}."
    )
