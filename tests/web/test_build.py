"""fastapi_app/page/ is what the sources give, byte for byte."""

from pathlib import Path

import pytest

from tests.npm import NpmFailed, run
from tests.web.npm import WEB, change, checkout

PAGE = WEB.parent / "fastapi_app/page"
NAMES = {"index.html", "page.js", "page.css"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def built(copy: Path) -> dict[str, bytes]:
    run(copy, "run", "build", "--", "--outDir", "page")
    return contents(copy / "page")


def test_a_fresh_build_gives_the_committed_files(tmp_path: Path) -> None:
    fresh, committed = built(checkout(tmp_path)), contents(PAGE)
    assert set(fresh) == set(committed) == NAMES
    assert [name for name in NAMES if fresh[name] != committed[name]] == []


def test_a_source_that_was_changed_is_seen(tmp_path: Path) -> None:
    copy = checkout(tmp_path)
    change(copy, "src/App.tsx", "One prompt, two deliveries", "One prompt")
    assert built(copy)["page.js"] != contents(PAGE)["page.js"]


def test_the_types_hold(tmp_path: Path) -> None:
    copy = checkout(tmp_path)
    run(copy, "run", "types")
    change(copy, "src/verdict.ts", "batch.text === stream.text", "batch.text === stream.txt")
    with pytest.raises(NpmFailed, match=r"src/verdict\.ts"):
        run(copy, "run", "types")


def test_nothing_is_loaded_from_elsewhere() -> None:
    """No font, script or image of another host, and nothing that the page's own policy would refuse."""
    page = (PAGE / "index.html").read_text("utf-8")
    style = (PAGE / "page.css").read_text("utf-8")
    assert "//" not in page
    assert "url(" not in style
    assert "@import" not in style
    assert "<style" not in page
    assert "</script>" in page
    assert "sourceMappingURL" not in (PAGE / "page.js").read_text("utf-8")


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (WEB / "package-lock.json").read_text("utf-8")
