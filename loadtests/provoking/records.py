"""The records that a stack writes, one an answer, as they come."""

import json
import threading
from pathlib import Path
from typing import Any

from loadtests.provoking.upstream import Broken

Record = dict[str, Any]
"""One line: `shared.streamlog.Record`."""


class Records:
    """The JSON lines that a stack writes, one an answer; threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._offset = 0
        self._by_id: dict[str, list[Record]] = {}

    def by_id(self) -> dict[str, list[Record]]:
        """All records so far; a line that is no JSON raises Broken."""
        with self._lock:
            if self.path.exists():
                with self.path.open("rb") as file:
                    file.seek(self._offset)
                    whole, newline, _ = file.read().rpartition(b"\n")
                self._offset += len(whole + newline)
                for line in whole.splitlines():
                    record = _parsed(line)
                    self._by_id.setdefault(record["request_id"], []).append(record)
            return {name: list(records) for name, records in self._by_id.items()}


def _parsed(line: bytes) -> Record:
    try:
        record: Record = json.loads(line)
    except ValueError:
        raise Broken(f"a record that is no JSON: {line[:80]!r}") from None
    return record
