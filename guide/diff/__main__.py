"""`make diff` after the terminal's diff: writes the page and says on stderr where it is."""

import argparse
import sys
from errno import ENOENT
from pathlib import Path

from guide.diff.page import page
from guide.diff.story import Story, story
from guide.mirror import ONLY_IN
from guide.regions import LEFT, RIGHT, ROOT
from guide.steps import steps
from loadtests.ledger import LedgerError, load_ledger

GUIDE, LEDGER = "migration_guide.md", "differences.toml"


def main() -> int:
    """Returns 2, after one line, for a file that is missing or cannot be read."""
    parser = argparse.ArgumentParser("guide.diff", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/diff"), help="directory of the page")
    options = parser.parse_args()
    try:
        path = write(options.out)
    except (OSError, ValueError, LedgerError) as error:
        print(f"diff: {_said(error)}", file=sys.stderr)
        return 2
    print(f"side by side, with the guide: {path}", file=sys.stderr)
    return 0


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def write(out: Path, root: Path = ROOT) -> Path:
    """Writes index.html from the apps, the guide and the ledger under `root`; raises what `read` does."""
    guide = (root / GUIDE).read_text("utf-8")
    html = page(read(root, guide), guide)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "index.html"
    path.write_text(html, "utf-8")
    return path


def read(root: Path, guide: str) -> Story:
    """The story of the apps under `root`; raises OSError, ValueError and LedgerError."""
    left, right = (_sources(root / app) for app in (LEFT, RIGHT))
    return story(left, right, ONLY_IN, steps(guide), load_ledger(root / LEDGER))


def _sources(app: Path) -> dict[str, str]:
    """The text of each file of an app by its name; what is built is no source."""
    if not app.is_dir():
        raise FileNotFoundError(ENOENT, "no such directory", str(app))
    return {
        path.name: path.read_text("utf-8", "replace") for path in app.iterdir() if path.is_file()
    }


if __name__ == "__main__":
    sys.exit(main())
