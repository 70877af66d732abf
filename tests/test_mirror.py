"""The mirror (law 2): each file has its twin, with the same public names in the same order."""

import ast
import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

import pytest

from guide.mirror import ONLY_IN
from guide.regions import LEFT, RIGHT, ROOT


def differences(root: Path, only_in: Mapping[str, str] = ONLY_IN) -> list[str]:
    """What breaks the mirror under `root`, one line each; empty when it holds."""
    left, right = (_files(root / name) for name in (LEFT, RIGHT))
    alone = {f"{LEFT}/{path}" for path in left - right} | {
        f"{RIGHT}/{path}" for path in right - left
    }
    return [
        *(f"{path} has no twin and no reason in ONLY_IN" for path in sorted(alone - {*only_in})),
        *(f"{path} is in ONLY_IN and does not stand alone" for path in sorted({*only_in} - alone)),
        *(line for path in sorted(left & right) for line in _names_apart(root, path)),
    ]


def _files(app: Path) -> set[str]:
    return {path.name for path in app.iterdir()} - {"__pycache__"}


def _names_apart(root: Path, path: str) -> Iterator[str]:
    if not path.endswith(".py"):
        return
    twins = [public_names((root / app / path).read_text("utf-8")) for app in (LEFT, RIGHT)]
    for ours, theirs in zip_longest(*twins):
        if ours != theirs:
            yield f"{path}: {LEFT} has {ours} where {RIGHT} has {theirs}"
            return


def public_names(source: str) -> list[str]:
    """The module's own public names, in the order in which they are first bound; no imports."""
    names = (name for node in ast.parse(source).body for name in _bound(node))
    return list(dict.fromkeys(name for name in names if not name.startswith("_")))


def _bound(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [item.id for target in targets for item in _targets(target)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _targets(target: ast.expr) -> list[ast.Name]:
    return [node for node in ast.walk(target) if isinstance(node, ast.Name)]


def test_the_apps_mirror_each_other() -> None:
    assert differences(ROOT) == []


def test_each_file_that_stands_alone_has_a_reason() -> None:
    assert all(len(reason.split()) >= 3 for reason in ONLY_IN.values())


def test_public_names_are_read_in_order_and_without_imports() -> None:
    source = (
        "import os\nB: int = 1\nA, _b = 1, 2\nclass C: x = 1\nasync def d(): ...\ndef _e(): ..."
    )
    assert public_names(source) == ["B", "A", "C", "d"]


def _lone_file(root: Path) -> str:
    (root / RIGHT / "extra.py").touch()
    return "extra.py has no twin"


def _missing_file(root: Path) -> str:
    (root / RIGHT / "routes.py").unlink()
    return "legacy_flask/routes.py has no twin"


def _renamed(root: Path) -> str:
    path = root / LEFT / "errors.py"
    first = public_names(path.read_text("utf-8"))[0]
    path.write_text(path.read_text("utf-8").replace(first, "renamed_by_the_mutant"), "utf-8")
    return "renamed_by_the_mutant"


def _one_name_more(root: Path) -> str:
    with (root / LEFT / "routes.py").open("a", encoding="utf-8") as file:
        file.write("\n\ndef one_more() -> None: ...\n")
    return "one_more"


def _stale_reason(root: Path) -> str:
    (root / RIGHT / "sse.py").unlink()
    return "fastapi_app/sse.py is in ONLY_IN"


@pytest.mark.parametrize(
    "mutate", [_lone_file, _missing_file, _renamed, _one_name_more, _stale_reason]
)
def test_a_mutant_breaks_the_mirror(tmp_path: Path, mutate: Callable[[Path], str]) -> None:
    for name in (LEFT, RIGHT):
        shutil.copytree(ROOT / name, tmp_path / name)
    before = differences(tmp_path)
    complaint = mutate(tmp_path)
    assert any(complaint in line for line in set(differences(tmp_path)) - set(before))
