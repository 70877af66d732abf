"""What `make drops` prints, from what summary.json holds."""

from typing import Any

from rich.table import Table

from loadtests.idle.sides import BEFORE


def table(sides: dict[str, Any]) -> Table:
    """Silences by size, and what was dropped in them."""
    shown = Table("silence", "answers", title="Dropped in a silent stretch")
    for name in sides:
        shown.add_column(name, justify="right")
    for rows in zip(*(one["sizes"] for one in sides.values()), strict=True):
        first = rows[0]
        shown.add_row(_size(first), f"{first['answers']:,}", *(str(row["dropped"]) for row in rows))
    total = [str(one["dropped"]) for one in sides.values()]
    shown.add_row("all", f"{sides[BEFORE]['answers']:,}", *total)
    quiet = [f"{one['longest_quiet_s']:.1f} s" for one in sides.values()]
    shown.add_row("longest time without a byte", "", *quiet)
    return shown


def _size(size: dict[str, Any]) -> str:
    if size["most_s"] is None:
        return f"above {size['above_s']:g} s"
    return f"{size['above_s']:g} to {size['most_s']:g} s"


def conclusion(summary: dict[str, Any]) -> str:
    waited, had = summary["sides"][BEFORE]["waited_s"], summary["dropped_had_share"]
    claim, computed = summary["claims"][0], summary["computed"]
    lines = [
        f"{claim.id}, {claim.verdict}: {claim.measured}.",
        f"Computed: behind the {computed['shipped_idle_s']} s that are shipped, "
        f"{computed['dropped_a_day_behind_shipped_idle']:.1f} a day without heartbeats; and "
        f"{computed['share_beyond_token_timeout']:.1%} of these silences are beyond the "
        f"CHAT_TOKEN_TIMEOUT_S of {computed['token_timeout_s']:g} s, after which the stack says `failure`: "
        "raise it for a model that thinks or calls tools.",
    ]
    if waited and had:
        lines.insert(
            0,
            f"Who was dropped had {had.p50:.0%} of the text (by construction, half of the tokens), waited "
            f"{waited.p50:.0f} s for more, and got neither `done` nor `failure`.",
        )
    return "\n".join(lines)
