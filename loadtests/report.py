"""The comparison of a run, written for people and for programs, from the files of the run alone."""

import argparse
import sys
from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtests.reporting import breakdown_tables, comparison, markdown, method
from loadtests.reporting.breakdown_tables import PairTable
from loadtests.reporting.comparison import ComparisonRow
from loadtests.reporting.figures import Summary
from loadtests.reporting.records import RunFileError
from loadtests.reporting.summary import measure

PICTURES = (".png", ".svg", ".pdf")


def write(out: Path) -> Summary:
    """Writes summary.json, report.md and report.html into a run directory and returns the summary.

    Raises RunFileError, with a message of one line, when a file of the run is missing or broken.
    """
    from loadtests.reporting import page  # matplotlib takes a second to import

    measured = measure(out)
    summary = measured.summary
    encoded = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    (out / "summary.json").write_bytes(encoded + b"\n")
    text = markdown.report(summary, method.notes(measured))
    (out / "report.md").write_text(text, encoding="utf-8")
    (out / "report.html").write_text(page.page(measured), encoding="utf-8")
    return summary


def picture(out: Path, path: Path) -> None:
    """Draws the report's picture for a README, as PNG or whatever the suffix of `path` says."""
    from loadtests.reporting import poster  # as above

    poster.draw(measure(out), path)


def table(summary: Summary) -> RenderableType:
    """The comparison and the claims for a terminal."""
    found = summary.breakdown
    pairs = [_pairs(one) for one in breakdown_tables.tables(found)] if found else []
    return Group(_headline(summary), _comparison(summary), Text(), *pairs, _claims(summary))


def _headline(summary: Summary) -> Text:
    text = Text(comparison.headline(summary), style="bold" if summary.valid else "bold red")
    for reason in summary.invalid_reasons:
        text.append(f"\n  {reason}", style="not bold red")
    return text


def _comparison(summary: Summary) -> Table:
    grid = Table(box=None, header_style="dim", pad_edge=False)
    grid.add_column("")
    for stack, style in (("Flask", "yellow"), ("FastAPI", "cyan")):
        for quantile in ("p50", "p99"):
            grid.add_column(f"{stack}\n{quantile}", justify="right", style=style, no_wrap=True)
    grid.add_column("change\nof p50", justify="right", no_wrap=True)
    for row in comparison.rows(summary):
        grid.add_row(*_cells(row))
    answers = summary.answers
    grid.add_row("Answers identical", "", "", f"{answers.identical:,}", f"of {answers.compared:,}")
    return grid


def _cells(row: ComparisonRow) -> tuple[Text, str, str, str, str, str]:
    label = Text(f"{row.label}, {row.unit}" if row.unit else row.label)
    if row.note == comparison.BATCH_NOTE:
        label.append(f"\n  {row.note}", style="dim")
    a, b = row.legacy, row.streaming
    return label, a.p50, a.p99, b.p50, b.p99, row.change


def _pairs(table: PairTable) -> Group:
    grid = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("", overflow="fold")
    for column in table.columns:
        style = {"legacy_flask": "yellow", "fastapi_app": "cyan", None: ""}[column.stack]
        stack = breakdown_tables.NAMES[column.stack] if column.stack else ""
        for head, part in zip((f"{stack}\n{column.place}", "\n"), column.parts, strict=True):
            heading = f"{head}\n{part}"
            grid.add_column(heading, justify="right", style=style, no_wrap=True, min_width=7)
    for label, pairs in table.rows:
        grid.add_row(label, *(cell for pair in pairs for cell in pair))
    return Group(Text(table.title, style="bold"), grid, Text(f"{table.note}\n", style="dim"))


def _claims(summary: Summary) -> Table:
    grid = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("", "the article", "measured here", "verdict"):
        grid.add_column(name)
    for claim in summary.claims:
        grid.add_row(claim.id, Text(claim.article), Text(claim.measured), claim.verdict)
    return grid


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m loadtests report`."""
    parser.add_argument("out", type=Path, help="directory of a finished run")
    parser.add_argument(
        "--picture", type=_picture, metavar="FILE", help="also draw a picture (.png, .svg)"
    )


def _picture(text: str) -> Path:
    if Path(text).suffix not in PICTURES:
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(PICTURES)}")
    return Path(text)


def main(args: argparse.Namespace) -> int:
    """Writes the report again and prints the table; 0 for a valid run, 1 for another, 2 for broken files."""
    try:
        summary = write(args.out)
        if args.picture:
            picture(args.out, args.picture)
    except (RunFileError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    Console().print(table(summary))
    for name in ("report.html", "report.md", "summary.json"):
        print(args.out / name)
    return 0 if summary.valid else 1
