"""The comparison of a run, written for people and for programs, from the files of the run alone."""

from pathlib import Path

import msgspec

from .figures import Summary
from .summary import measure


def write(out: Path) -> Summary:
    """Writes summary.json into a run directory; RunFileError when a file is broken."""
    measured = measure(out)
    encoded = msgspec.json.encode(measured.summary)
    (out / "summary.json").write_bytes(msgspec.json.format(encoded, indent=2) + b"\n")
    return measured.summary
