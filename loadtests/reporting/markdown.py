"""report.md: the comparison, the claims and the method for a pull request or a README."""

from loadtests.reporting import breakdown_tables, comparison
from loadtests.reporting.breakdown_tables import PairTable
from loadtests.reporting.comparison import Cells, ComparisonRow
from loadtests.reporting.figures import Summary

HEAD = """\
| | Flask, batch: p50 | p95 | p99 | FastAPI, streaming: p50 | p95 | p99 | change of p50 |
|---|--:|--:|--:|--:|--:|--:|--:|
"""
CLAIMS = """\
| claim | article | measured | verdict |
|---|---|---|---|
"""


def report(summary: Summary, notes: list[str]) -> str:
    """The whole report.md; `notes` are sentences on method and on what was not measured."""
    parts = [
        f"# {comparison.headline(summary)}",
        comparison.explanation(summary),
        _validity(summary),
        table(summary),
        *breakdown(summary),
        "## The articles' figures",
        claims(summary),
        "## Method",
        "\n".join(f"- {note}" for note in notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(summary: Summary) -> str:
    """The comparison table alone, as the README quotes it from a committed results file."""
    return HEAD + "\n".join(_row(row) for row in comparison.rows(summary))


def breakdown(summary: Summary) -> list[str]:
    """The tables of article B, each with its heading and note; none for other runs."""
    if summary.breakdown is None:
        return []
    found = breakdown_tables.tables(summary.breakdown)
    return [part for one in found for part in (f"## {one.title}", pairs(one), one.note)]


def pairs(table: PairTable) -> str:
    """One of them alone."""
    heads = [f"{column.name}: {part}" for column in table.columns for part in column.parts]
    lines = [("", *heads), ("---", *["--:"] * len(heads))]
    lines += [
        (label.strip(), *(cell for pair in cells for cell in pair)) for label, cells in table.rows
    ]
    return "\n".join(_line(line) for line in lines)


def claims(summary: Summary) -> str:
    """The claims table alone."""
    lines = (
        (claim.id, claim.article, claim.measured, f"**{claim.verdict}**")
        for claim in summary.claims
    )
    return CLAIMS + "\n".join(_line(line) for line in lines)


def _validity(summary: Summary) -> str:
    if summary.valid:
        return "Valid run: the harness was not the limit."
    return "**INVALID run.**\n\n" + "\n".join(f"- {reason}" for reason in summary.invalid_reasons)


def _row(row: ComparisonRow) -> str:
    unit = f", {row.unit}" if row.unit else ""
    note = f"<br><sub>{row.note}</sub>" if row.note else ""
    return _line((row.label + unit + note, *_cells(row.legacy), *_cells(row.streaming), row.change))


def _cells(cells: Cells) -> tuple[str, str, str]:
    around = f"<br><sub>{cells.interval}</sub>" if cells.interval else ""
    return cells.p50 + around, cells.p95, cells.p99


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
