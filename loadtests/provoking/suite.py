"""All rows on one variant: the stacks they need, side by side, and the audit behind them."""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.provoking import audit
from loadtests.provoking.ground import Broken, Ground, Row, Variant, raised

HELD = (
    "descriptors, tasks and gauges at their baseline",
    "after all rows; exit 0, no traceback logged",
)
ONCE = ("every answer recorded once", "each request that the upstream saw has one record, none two")
LOGS = ("logs hold no prompt and no key", "nor a line that a client wrote; logs and records")
AUDITS = (HELD, ONCE, LOGS)
AT_ONCE = 3
"""Stacks of a variant that are up side by side."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the promise of a row held on a variant, and what was seen."""

    row: str
    promise: str
    variant: str
    held: bool
    evidence: str
    took_s: float


@dataclass
class Suite:
    """The rows on a variant; `told` hears of each verdict at once, from any thread."""

    variant: Variant
    rows: Sequence[Row]
    out: Path
    told: Callable[[Verdict], None]
    long: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    _audited: dict[str, list[tuple[bool, str]]] = field(default_factory=dict)
    _settled: set[str] = field(default_factory=set)
    _telling: threading.Lock = field(default_factory=threading.Lock)

    @property
    def audits(self) -> list[tuple[str, str]]:
        """Those that are made: what is held is looked at behind rows that share a stack."""
        return [one for one in AUDITS if one != HELD or not all(row.alone for row in self.rows)]

    def run(self) -> None:
        """Returns when every row and every audit has its verdict, or soon after `stopped` is set."""
        shutil.rmtree(self.out, ignore_errors=True)
        stacks = [
            (rows, self.out / f"stack-{number}")
            for number, rows in enumerate(groups(self.rows, self.long))
        ]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for rows, out in stacks:
                if not rows[0].alone:
                    pool.submit(self._on_one_stack, rows, out)
        # What looks at the clock of a whole process needs the machine for itself.
        for rows, out in stacks:
            if rows[0].alone:
                self._on_one_stack(rows, out)
        self._audit(LOGS, lambda: audit.silent_logs(self.out))
        self._audit(ONCE, lambda: audit.once(self.out))
        for name, promise in self.audits:
            seen = self._audited.get(name, [])
            broken = [evidence for held, evidence in seen if not held]
            evidence = "; ".join(broken or [evidence for _, evidence in seen])
            self._tell(name, promise, bool(seen) and not broken, evidence or "not looked at")

    def _on_one_stack(self, rows: Sequence[Row], out: Path) -> None:
        if self.stopped.is_set():
            return
        settings = rows[0].environment(self.long)
        try:
            with raised(self.variant, out, settings, long=self.long) as ground:
                self._provoke(ground, rows)
        except Exception as error:  # noqa: BLE001 - whatever it was, these rows have no verdict yet
            for row in rows:
                self._tell(row.name, row.promise, False, f"no stack: {_said(error)}")
            return
        if not rows[0].alone:
            self._audit(HELD, lambda: audit.clean_exit(ground))

    def _provoke(self, ground: Ground, rows: Sequence[Row]) -> None:
        at_first = audit.baseline(ground)
        together = [row for row in rows if row.together]
        with ThreadPoolExecutor(max(1, len(together))) as pool:
            for row in together:
                pool.submit(self._row, ground, row)
        for row in rows:
            if not row.together:
                self._row(ground, row)
        if not rows[0].alone:
            self._audit(HELD, lambda: audit.nothing_held(ground, at_first))
            self._audit(ONCE, lambda: audit.recorded_once(ground))

    def _row(self, ground: Ground, row: Row) -> None:
        if self.stopped.is_set():
            return
        began = time.monotonic()
        held, evidence = outcome(lambda: row.provoke(ground))
        self._tell(row.name, row.promise, held, evidence, time.monotonic() - began)

    def _audit(self, kind: tuple[str, str], look: Callable[[], str]) -> None:
        self._audited.setdefault(kind[0], []).append(outcome(look))

    def _tell(self, row: str, promise: str, held: bool, evidence: str, took_s: float = 0.0) -> None:
        with self._telling:
            if row not in self._settled and not self.stopped.is_set():
                self._settled.add(row)
                self.told(Verdict(row, promise, self.variant.name, held, evidence, took_s))


def groups(rows: Sequence[Row], long: bool) -> list[list[Row]]:
    """Rows that share a stack; one that is alone is a group by itself."""
    shared: dict[object, list[Row]] = {}
    for row in rows:
        key = row.name if row.alone else frozenset(row.environment(long).items())
        shared.setdefault(key, []).append(row)
    return list(shared.values())


def outcome(look: Callable[[], str]) -> tuple[bool, str]:
    """Whether it held, and the evidence in one line; whatever a row raises is a promise that does not hold."""
    try:
        return True, look()
    except Exception as error:  # noqa: BLE001 - the row's failure, not ours: the other rows go on
        return False, _said(error)


def _said(error: Exception) -> str:
    said = " ".join(str(error).split())
    return said if isinstance(error, Broken) else f"{type(error).__name__}: {said}"
