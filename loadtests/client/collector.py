"""Samples on their way from the load processes to the files of a run, whole and each once."""

import json
from pathlib import Path

import msgspec

from loadtests.samples import LineFile, Sample, Stalls, encode_line
from loadtests.scenarios import Plan


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has to report: lines of both files; `number` counts the worker's batches."""

    worker: int
    number: int
    samples: bytes
    done: int
    errors: int
    stalls: bytes
    last: bool


class Outbox:
    """Gathers a worker's samples and stalls into batches."""

    def __init__(self, plan: Plan, worker: int) -> None:
        self._plan = plan
        self._worker = worker
        self._lines: list[bytes] = []
        self._errors = 0
        self._number = 0
        self.total = 0

    def add(self, sample: Sample) -> None:
        self._lines.append(encode_line(sample))
        self._errors += sample.error is not None
        self.total += 1

    def batch(self, lateness_us: list[int], last: bool) -> dict[str, object]:
        """All that was gathered since the last batch, as Locust's messages take it."""
        lines, errors = self._lines, self._errors
        self._lines, self._errors = [], 0
        self._number += 1
        stalls = Stalls(
            stack=self._plan.stack,
            phase=self._plan.phase,
            worker=self._worker,
            lateness_us=lateness_us,
            way=self._plan.way,
        )
        batch = Batch(
            worker=self._worker,
            number=self._number,
            samples=b"".join(lines),
            done=len(lines),
            errors=errors,
            stalls=encode_line(stalls) if lateness_us else b"",
            last=last,
        )
        return msgspec.structs.asdict(batch)


class Collector:
    """Writes the batches of all workers; one that comes twice counts once."""

    def __init__(self, plan: Plan) -> None:
        out = Path(plan.out)
        self._samples = LineFile(out / plan.samples)
        self._stalls = LineFile(out / plan.stalls)
        self._of = plan.count
        self._seen: dict[int, int] = {}
        self._closed: set[int] = set()
        self.done = 0
        self.errors = 0

    @property
    def closed(self) -> int:
        """How many workers have sent their last batch."""
        return len(self._closed)

    def take(self, message: dict[str, object]) -> None:
        """Writes a batch; a message that was sent again is dropped."""
        batch = msgspec.convert(message, Batch)
        if batch.number <= self._seen.get(batch.worker, 0):
            return
        self._seen[batch.worker] = batch.number
        self._samples.append(batch.samples)
        self._stalls.append(batch.stalls)
        self.done += batch.done
        self.errors += batch.errors
        if batch.last:
            self._closed.add(batch.worker)

    def progress(self) -> str:
        """One line of JSON: requests done, errors among them, and requests in all."""
        return json.dumps({"done": self.done, "errors": self.errors, "of": self._of})

    def close(self) -> None:
        self._samples.close()
        self._stalls.close()
