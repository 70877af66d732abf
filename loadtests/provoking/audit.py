"""What must hold after all rows: nothing is held on to, every answer is recorded once, no log tells secrets."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from loadtests.provoking import peers
from loadtests.provoking.asking import PROMPT, ask
from loadtests.provoking.evidence import expect
from loadtests.provoking.ground import (
    DESCRIPTORS,
    IN_FLIGHT,
    PROVIDER_KEY,
    QUEUED,
    TASKS,
    Ground,
)
from loadtests.provoking.records import Records
from loadtests.provoking.secrets_rows import CLIENT_KEY, FORGED
from loadtests.provoking.upstream import PAUSE_S, Broken

WARM_STREAMS = 16
SETTLED_WITHIN_S = 10.0
SETTLE_S = 0.2
SECRETS = (PROMPT, peers.PROMPT, PROVIDER_KEY, CLIENT_KEY)


@dataclass(frozen=True, slots=True)
class Held:
    """What a stack holds; descriptors but for those of its connections to the upstream, which it may pool."""

    descriptors: int
    tasks: int
    in_flight: int
    queued_bytes: int

    @classmethod
    def of(cls, ground: Ground) -> "Held":
        # One of the simulator's connections is the one that asks.
        pooled = int(ground.upstream.stats()["open_connections"]) - 1
        now = {name: int(value) for name, value in ground.metrics().items()}
        return cls(now[DESCRIPTORS] - pooled, now[TASKS], now[IN_FLIGHT], now[QUEUED])

    def exceeds(self, baseline: "Held") -> bool:
        return any(
            getattr(self, name) > getattr(baseline, name)
            for name in ("descriptors", "tasks", "in_flight", "queued_bytes")
        )

    def __str__(self) -> str:
        return (
            f"{self.descriptors} descriptors, {self.tasks} tasks, {self.in_flight} answers, "
            f"{self.queued_bytes} bytes"
        )


def baseline(ground: Ground) -> Held:
    """What the stack holds once it has given its first answers, and idles."""
    count = WARM_STREAMS * ground.variant.workers
    with ThreadPoolExecutor(count) as pool:
        names = [f"warm-{number}" for number in range(count)]
        for asked in pool.map(lambda name: ask(ground, name, "sim:instant", max_tokens=5), names):
            expect(asked.answer.endings == ["done"], f"the warm-up got {asked}")
    ask(ground, "warm-batch", "sim:instant", stream=False)
    ground.idle(SETTLED_WITHIN_S)
    _let_linger(ground)
    return Held.of(ground)


def nothing_held(ground: Ground, at_first: Held) -> str:
    """Waits until the stack holds no more than at first; Broken otherwise."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while True:
        _let_linger(ground)
        if not (held := Held.of(ground)).exceeds(at_first):
            return str(held)
        if time.monotonic() > deadline:
            raise Broken(f"{held}; at first {at_first}")


def clean_exit(ground: Ground) -> str:
    """Once the stack has been stopped: its status is 0, and nothing unforeseen is in its log."""
    expect(ground.exit_status == 0, f"exit status {ground.exit_status}")
    log = ground.child.log
    expect(b"Traceback" not in log.read_bytes(), f"a traceback in {log}")
    return "exit status 0"


def _let_linger(ground: Ground) -> None:
    """Until the tasks of the connections that asked before are gone, too."""
    time.sleep(ground.variant.lingers_s + SETTLE_S)


def recorded_once(ground: Ground) -> str:
    """Every request that the upstream saw has one record, and no record has a second one."""
    asked = ground.upstream.ended()
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while missing := sorted(asked.keys() - ground.records().keys()):
        if time.monotonic() > deadline:
            raise Broken(f"{len(missing)} answers without a record, such as {missing[0]}")
        time.sleep(5 * PAUSE_S)
    return f"{len(asked)} upstream requests"


def once(out: Path) -> str:
    """No request id is twice in any file of records below this directory."""
    count = 0
    for path in sorted(out.rglob("*.jsonl")):
        records = Records(path).by_id()
        count += len(records)
        if twice := [name for name, found in records.items() if len(found) > 1]:
            raise Broken(f"{len(twice)} answers twice in {path}, such as {twice[0]}")
    return f"{count} records"


def silent_logs(out: Path) -> str:
    """No log and no record below this directory holds a prompt, a key, or a line that a client wrote."""
    files = sorted([*out.rglob("*.log"), *out.rglob("*.jsonl")])
    expect(files, f"no logs in {out}")
    for path in files:
        written = path.read_bytes()
        for secret in SECRETS:
            expect(secret.encode() not in written, f"{path} holds {secret!r}")
        for end in (b"\n", b"\r"):
            expect(end + FORGED.encode() not in written, f"{path} has a line that a client wrote")
    return f"{len(files)} files"
