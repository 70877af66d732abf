"""An answer being given: what streamed and whole answers share is a script, a clock, and exactly one end."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from loadtests.profiles import Script
from loadtests.simulation import wire
from loadtests.simulation.connection import Connection
from loadtests.simulation.pacing import Pacer
from loadtests.simulation.timeline import Entry


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked for, and the fault it will meet."""

    answer_id: str
    model: str
    script: Script
    fault: str
    include_usage: bool

    @property
    def usage(self) -> dict[str, Any]:
        script = self.script
        return wire.usage(script.prompt_tokens, len(script.pieces), script.cached_tokens)


class Stage(Protocol):
    """Where answers are given."""

    @property
    def pacer(self) -> Pacer: ...

    def ended(self, answer: "Answer", late_ns: Sequence[int]) -> None:
        """Hears once of every answer, and how late its tokens were through no fault of the reader."""


class Answer(ABC):
    """One answer on one connection; `entry` is filled in while it is given."""

    def __init__(self, call: Call, entry: Entry, connection: Connection, stage: Stage) -> None:
        self.entry = entry
        self.begun = False
        self._call = call
        self._script = call.script
        self._connection = connection
        self._stage = stage
        self._over = False
        self._start_ns = 0

    def begin(self, now: int) -> bool:
        """Starts the script's clock at `now`; False when the reader left while waiting."""
        if self._over:
            return False
        self.begun = True
        self.entry.queued_ns = now - self.entry.received_ns
        self._start_ns = now
        self._stage.pacer.add(now + self._first_due(), self)
        return True

    @abstractmethod
    def advance(self, now: int) -> int | None:
        """Writes what is due and gives the next deadline, both in monotonic nanoseconds."""

    @abstractmethod
    def resumed(self) -> None:
        """The reader has caught up."""

    def disconnected(self, now: int) -> None:
        """The reader has left: generation stops here."""
        if not self._over:
            self.entry.disconnected_ns = now
            self._left(self._script.due(now - self._start_ns) if self.begun else 0)

    @abstractmethod
    def _left(self, due: int) -> None:
        """Ends the answer after a disconnect, when `due` tokens have had their deadline."""

    @abstractmethod
    def _first_due(self) -> int:
        """Nanoseconds from the start to the first call of `advance`."""

    def _end(self, late_ns: Sequence[int] = ()) -> None:
        self._over = True
        self._stage.ended(self, late_ns)

    def _reset(self) -> None:
        self._connection.answer = None
        self._connection.reset()
