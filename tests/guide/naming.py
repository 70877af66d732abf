"""What the guide has to name and to show; each function says what is missing, one line each."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from guide.blocks import error_classes, targets, variable
from guide.mirror import ONLY_IN
from guide.regions import LEFT, RIGHT, regions, twins
from guide.steps import steps
from shared.settings import Settings

HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
BLOCK = re.compile(r"<!--=.*?=-->.*?<!--end-->", re.DOTALL)
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
FIGURE = re.compile(r"\d[\d.,]*\s?(?:%|ms|µs|us|s|min|KiB|MiB|times)(?![\w-])")


def unnamed(root: Path, text: str) -> list[str]:
    """Files, settings, error codes and make targets that the text does not name."""
    wanted = {
        "file": [*twins(root), *ONLY_IN],
        "setting": [variable(name) for name in Settings.model_fields],
        "error code": [error.code for error in error_classes()],
        "target": [f"make {name}" for name, _ in targets(root)],
    }
    return [
        f"{kind} {name} is not named"
        for kind, names in wanted.items()
        for name in names
        if not re.search(rf"`{re.escape(name)}[`= ]", text)
    ]


def unexplained(root: Path, guide: str) -> list[str]:
    """Changed lines of the two apps that lie in no region which a step of the guide shows."""
    shown = {place for step in steps(guide) for place in step.shown}
    lost = {
        f"{app}/{path}:{line} ({place}) is in no step of the guide"
        for path in twins(root)
        for app, line in changed_lines(root, path)
        if (place := f"{path}#{_region(root, app, path, line)}") not in shown
    }
    alone = {place.partition("#")[0] for place in shown}
    return sorted(lost) + [
        f"{path} is in no step of the guide"
        for path in ONLY_IN
        if path not in alone and not named(path, guide)
    ]


def named(path: str, guide: str) -> bool:
    """Whether the prose of a step explains a file that it does not show."""
    return f"`{path}`" in BLOCK.sub("", guide)


def changed_lines(root: Path, path: str) -> Iterator[tuple[str, int]]:
    """The app and number of each line that `diff -u` marks."""
    command = ["diff", "-u", f"{LEFT}/{path}", f"{RIGHT}/{path}"]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout
    left = right = 0
    for line in told.splitlines()[2:]:
        if found := HUNK.match(line):
            left, right = int(found[1]) - 1, int(found[2]) - 1
            continue
        left += line[0] in " -"
        right += line[0] in " +"
        if line[0] == "-":
            yield LEFT, left
        elif line[0] == "+":
            yield RIGHT, right


def _region(root: Path, app: str, path: str, line: int) -> str:
    found = regions((root / app / path).read_text("utf-8"))
    return next((one.name for one in found if one.first <= line <= one.last), "no region")


def typed_figures(guide: str) -> list[str]:
    """Measured quantities in the prose, which no block has written."""
    prose = FENCE.sub("", BLOCK.sub("", guide))
    return FIGURE.findall(prose)


def broken_links(root: Path, guide: str) -> list[str]:
    """Links within the guide that lead nowhere, and names of files that are not there."""
    anchors = {step.slug for step in steps(guide)} | set(re.findall(r'<a id="([^"]+)">', guide))
    links = [link for link in re.findall(r"\]\(#([^)]+)\)", guide) if link not in anchors]
    paths = re.findall(
        r"`((?:legacy_flask|fastapi_app|shared|loadtests|examples|tests|guide)/[\w./-]*)`", guide
    )
    return links + [path for path in paths if not (root / path).exists()]
