"""Puts a run's table into the README, between its markers; `--check` says whether it is there already."""

import argparse
import re
import shutil
import sys
from pathlib import Path

import msgspec

from loadtests import markdown
from loadtests.figures import Summary

README = Path("README.md")
RESULTS = Path("results/compare")
BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- end of results -->)", re.DOTALL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="write nothing; fail on drift")
    parser.add_argument("--take", type=Path, help="commit to this run: copy its figures and picture first")


def main(arguments: argparse.Namespace) -> int:
    """0 when the README holds the committed figures, or was made to; 1 on drift."""
    if arguments.take:
        _take(arguments.take)
    written = README.read_text(encoding="utf-8")
    right = rendered(written, (RESULTS / "summary.json").read_bytes())
    if arguments.check and written != right:
        print(f"{README} does not show {RESULTS}; make results", file=sys.stderr)
        return 1
    if written != right:
        README.write_text(right, encoding="utf-8")
    return 0


def rendered(readme: str, summary: bytes) -> str:
    """The README with the table of a summary.json between its markers."""
    decoded = msgspec.json.decode(summary, type=Summary)
    block = f"{markdown.table(decoded)}\n\n{markdown.claims(decoded)}\n"
    return BLOCK.sub(lambda found: found[1] + block + found[2], readme)


def _take(run: Path) -> None:
    from loadtests import report

    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in ("summary.json", "report.md"):
        shutil.copy(run / name, RESULTS / name)
    report.picture(run, Path("docs/report.png"))
