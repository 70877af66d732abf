"""What cog writes into migration_guide.md: its listings, diffs and tables are printed here."""

import difflib
import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from guide.mirror import ONLY_IN
from guide.regions import LEFT, RIGHT, ROOT, regions, text_of, twins
from loadtests.ledger import load_ledger
from shared.errors import InternalError, ServiceError
from shared.settings import Settings

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


def settings() -> None:
    """Every setting with its default."""
    rows = (
        (f"`{variable(name)}`", _shown(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    table(("variable", "default", ""), rows)


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
    table(("code", "status", "worth a retry", "what the client reads"), rows)


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
    table(("file", "lines in Flask", "in FastAPI", ""), [*both, *alone])


def _lines(path: str) -> str:
    file = ROOT / path
    return str(len(file.read_text("utf-8").splitlines())) if file.is_file() else ""


def _purpose(path: str) -> str:
    found = re.search(r'"""(.*?)(?:"""|\n\n)', (ROOT / path).read_text("utf-8"), re.DOTALL)
    assert found
    return " ".join(found[1].split())


def commands() -> None:
    """Every target of the Makefile, as `make help` has it."""
    table(("command", ""), ((f"`make {name}`", text) for name, text in targets(ROOT)))


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
    table(("difference", "Flask", "FastAPI", "why"), rows)


def _entry(name: str, *, whole: bool) -> str:
    return f'<a id="{name}"></a>`{name}`' if whole else f"[`{name}`](#{name})"


def pitfalls() -> None:
    """The catalogue of pitfalls."""
    from tests.pitfalls.catalogue import catalogue
    from tests.pitfalls.table import markdown

    print(markdown(catalogue()), end="")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """A table of Markdown."""
    print(f"| {' | '.join(head)} |")
    print(f"|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(map(_cell, row))} |")


def _cell(text: str) -> str:
    """Without what would end a cell."""
    return text.replace("|", "&#124;")
