"""What cog writes into migration_guide.md: its listings, diffs, tables and figures are printed here."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from guide.mirror import ONLY_IN
from guide.regions import LEFT, RIGHT, ROOT, regions, text_of, twins
from loadtests.ledger import load_ledger
from loadtests.reporting import breakdown_tables, markdown
from loadtests.reporting.figures import Summary
from shared.errors import InternalError, ServiceError
from shared.settings import Settings

RESULTS = ROOT / "results"
CONTEXT = 3
FENCES = {".py": "python", ".conf": "nginx", ".toml": "toml", ".service": "ini"}


def diff(path: str, *names: str) -> None:
    """The difference between the two apps in regions of a mirrored file, such as `routes.py` and `body`."""
    print("```diff")
    print(f"--- {LEFT}/{path}\n+++ {RIGHT}/{path}")
    for name in names:
        legacy = _text(f"{LEFT}/{path}", name, missing=True)
        streaming = _text(f"{RIGHT}/{path}", name)
        _, _, *hunks = difflib.unified_diff(legacy, streaming, lineterm="", n=CONTEXT)
        for line in hunks:
            print(f"@@ {name} @@" if line.startswith("@@") else line.rstrip())
    print("```")


def listing(path: str, *names: str) -> None:
    """A file of the project, or regions of it."""
    source = (ROOT / path).read_text("utf-8")
    texts = ["\n".join(_text(path, name, head=False)) for name in names] or [source.strip("\n")]
    print(f"```{FENCES[path[path.rindex('.') :]]}")
    print("\n\n\n".join(texts))
    print("```")


def _text(path: str, name: str, *, head: bool = True, missing: bool = False) -> list[str]:
    source = (ROOT / path).read_text("utf-8")
    for region in regions(source):
        if region.name == name:
            return text_of(source, region, head=head)
    if missing:
        return []
    raise ValueError(f"{path} has no region {name}")


def say(template: str) -> None:
    """A paragraph with figures of the committed runs: `{compare[answers][compared]:,}`."""
    print(template.format_map(_Results()))


class _Results(dict[str, Any]):
    """results/<name>/summary.json by name."""

    def __missing__(self, name: str) -> Any:
        return json.loads((RESULTS / name / "summary.json").read_text("utf-8"))


def measured(*ids: str) -> None:
    """What an article says, and what the committed runs measured."""
    runs = (json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*/summary.json")))
    claims = {claim["id"]: claim for run in runs for claim in run.get("claims", ())}
    rows = (
        (one["article"], one["measured"], f"**{one['verdict']}**")
        for one in (claims[name] for name in ids)
    )
    _table(("an article says", "measured", "verdict"), rows)


def production() -> None:
    """Both stacks with article B's answers, directly and through nginx, and where the time goes."""
    text = (RESULTS / "production" / "summary.json").read_bytes()
    found = msgspec.json.decode(text, type=Summary).breakdown
    tables = breakdown_tables.tables(found) if found else []
    print("\n\n".join(f"**{one.title}.** {one.note}\n\n{markdown.pairs(one)}" for one in tables))


def knobs(*groups: str) -> None:
    """What the committed `make knobs` says of each knob, in these groups of its rows."""
    rows = (
        (row["name"], *_turned(row["figures"]))
        for group in groups
        for row in _Results()["knobs"]["rows"]
        if row["group"] == group
    )
    head = (
        "",
        "first text, ms: p50",
        "p99",
        "gap, ms: p50",
        "held back",
        "µs a token: app",
        "nginx",
    )
    _table(head, rows)


def _turned(figures: dict[str, Any]) -> Iterator[str]:
    first, gap = figures["first_content_ms"], figures["gap_ms"]
    yield from (f"{first['p50']:,.0f}", f"{first['p99']:,.0f}")
    yield f"{gap['p50']:,.0f}" if gap else ""
    yield f"{figures['held']} of {figures['streams']}" if figures["held"] else ""
    yield from (f"{figures['app_us']:.0f}", f"{figures['proxy_us']:.0f}")


def settings() -> None:
    """Every setting with its default."""
    rows = (
        (f"`{variable(name)}`", _shown(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    _table(("variable", "default", ""), rows)


def variable(name: str) -> str:
    """The environment's name of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"CHAT_{name.upper()}"


def _shown(value: object) -> str:
    if value in (None, (), ""):
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def error_codes() -> None:
    """Every error that a client or a log may see."""
    rows = (
        (
            f"`{one.code}`",
            str(one.status),
            "yes" if one.retryable else "",
            escape(one.message, quote=False),
        )
        for one in error_classes()
    )
    _table(("code", "status", "worth a retry", "what the client reads"), rows)


def error_classes() -> list[type[ServiceError]]:
    """Each class of the tree that has a code of its own, by status."""
    with_code = (one for one in _tree(ServiceError) if "code" in vars(one) or one is InternalError)
    return sorted(with_code, key=lambda one: (one.status, one.code))


def _tree(parent: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for child in parent.__subclasses__():
        yield child
        yield from _tree(child)


def files() -> None:
    """Every file of the two apps: its twin's purpose, or why it has none."""
    both = (
        (
            f"`{name}`",
            _lines(f"{LEFT}/{name}"),
            _lines(f"{RIGHT}/{name}"),
            _purpose(f"{RIGHT}/{name}"),
        )
        for name in twins()
    )
    alone = ((f"`{path}`", "", _lines(path), reason) for path, reason in ONLY_IN.items())
    _table(("file", "lines in Flask", "in FastAPI", ""), [*both, *alone])


def _lines(path: str) -> str:
    file = ROOT / path
    return str(len(file.read_text("utf-8").splitlines())) if file.is_file() else ""


def _purpose(path: str) -> str:
    found = re.search(r'"""(.*?)(?:"""|\n\n)', (ROOT / path).read_text("utf-8"), re.DOTALL)
    assert found
    return " ".join(found[1].split())


def commands() -> None:
    """Every target of the Makefile, as `make help` has it."""
    _table(("command", ""), ((f"`make {name}`", text) for name, text in targets(ROOT)))


def targets(root: Path) -> list[tuple[str, str]]:
    """The targets that `make help` lists, with what it says of each."""
    makefile = (root / "Makefile").read_text("utf-8")
    return re.findall(r"^([a-z-]+):.*?## (.*)$", makefile, re.MULTILINE)


def ledger(*slugs: str) -> None:
    """The listed differences in behaviour; those of some steps, which lead to the table of all."""
    rows = (
        (_entry(one.id, whole=not slugs), one.flask, one.fastapi, one.why)
        for one in load_ledger(ROOT / "differences.toml")
        if not slugs or one.guide in slugs
    )
    _table(("difference", "Flask", "FastAPI", "why"), rows)


def _entry(name: str, *, whole: bool) -> str:
    return f'<a id="{name}"></a>`{name}`' if whole else f"[`{name}`](#{name})"


def pitfalls() -> None:
    """The catalogue of pitfalls."""
    from tests.pitfalls import table
    from tests.pitfalls.catalogue import catalogue

    print(table.markdown(catalogue()), end="")


def myths() -> None:
    """What the articles say, and what the committed `make myths` measured."""
    _said(group="articles")


def proxied_myths() -> None:
    """The same of what the step on the proxy deals with."""
    _said(guide="proxy")


def _said(**where: str) -> None:
    from tests.pitfalls import table

    items = _Results()["myths"]["items"]
    print(table.said(item for item in items if where.items() <= item.items()), end="")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    print(f"| {' | '.join(head)} |")
    print(f"|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(map(_cell, row))} |")


def _cell(text: str) -> str:
    """Without what would end a cell."""
    return text.replace("|", "&#124;")
