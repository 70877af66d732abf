"""The hook's own tests, in node against real servers, and mutants of it that they find."""

from pathlib import Path

import pytest

from tests.npm import NpmFailed, run
from tests.web.npm import change, checkout

MUTANTS = {
    "what comes twice is read twice": (
        "lastId.ts",
        "seq <= this.#seq",
        "seq < this.#seq - 5",
        "goes on behind its last event",
    ),
    "each retry buys another answer": (
        "sessions.ts",
        '"Idempotency-Key": key',
        '"Idempotency-Key": key + freshKey()',
        "goes on behind its last event",
    ),
    "the LF of a CRLF that is cut ends another line": (
        "sse.ts",
        "&& this.#afterCr;",
        "&& this.#afterCr && at > 0;",
        "lines that end with CRLF",
    ),
}


def test_the_hook(tmp_path: Path) -> None:
    assert "# fail 0" in run(checkout(tmp_path), "test")


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_hook_with_a_defect_fails(tmp_path: Path, mutant: str) -> None:
    name, old, new, noticed_by = MUTANTS[mutant]
    copy = checkout(tmp_path)
    change(copy, f"src/chat/{name}", old, new)
    with pytest.raises(NpmFailed, match=f"not ok .*{noticed_by}"):
        run(copy, "test")
