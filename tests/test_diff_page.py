"""The page of `make diff`: no line of the apps is missing, each link leads somewhere, no other file is read."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guide.diff.__main__ import GUIDE, LEDGER, write
from guide.regions import LEFT, RIGHT, ROOT, twins
from guide.steps import steps
from tests.chromium import NAMES, Stream, browsing
from tests.diff_page import Page, complaints

PROBE = Path(__file__).with_name("diff_probe.html")
MOST_BYTES = 1_500_000
HOSTILE = '"""</script><b>&amp;</b> & \\" <!-- x --> {{ 7 * 7 }} {% raw %}"""'

STEPS = """# The guide

<!--= told("nothing") =-->
Before the first step; [the ledger](differences.toml), [a file](README.md), [out](https://example.org/).
<!--end-->

## Move one endpoint

<!--= diff("routes.py", "body", "chat") =-->
```diff
-a </script>
+b
```
<!--end-->

See [the next](#stream-it), [one difference](#sse-when-asked) and `<b>`.

### Verify

## Stream it

<!--= diff("delivery.py", "deliver") =-->
<!--end-->
<!--= listing("fastapi_app/delivery.py", "leaving") =-->
<!--end-->
<!--= listing("fastapi_app/sse.py") =-->
<!--end-->

<script>alert(1)</script>

### Verify
"""
DIFFERENCES = """[[difference]]
id = "sse-when-asked"
requests = ["stream-*"]
flask = "status 200 <b>*json*</b>"
fastapi = "status 200 event-stream"
why = "That is what `stream` & co. are for."
guide = "stream-it"
cause = ["delivery.py#deliver", "fastapi_app/stream.py"]
"""


def _apps(root: Path) -> Path:
    """Both apps, with a guide and a ledger of our own."""
    for app in (LEFT, RIGHT):
        shutil.copytree(ROOT / app, root / app)
    (root / GUIDE).write_text(STEPS, "utf-8")
    (root / LEDGER).write_text(DIFFERENCES, "utf-8")
    return root


def written(root: Path) -> str:
    return write(root / "out", root).read_text("utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy to change."""
    return _apps(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _apps(tmp_path_factory.mktemp("apps"))


@pytest.fixture(scope="module")
def html(untouched: Path) -> str:
    return written(untouched)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_of_this_repository(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert complaints(path.read_text("utf-8"), ROOT) == []
    assert path.stat().st_size < MOST_BYTES


def test_every_line_of_the_diff_is_on_its_side(untouched: Path, page: Page) -> None:
    command = ["diff", "-ru", "--exclude=__pycache__", LEFT, RIGHT]
    result = subprocess.run(command, cwd=untouched, capture_output=True, text=True, check=False)
    found = 0
    for part in re.split(r"^diff .*\n", result.stdout, flags=re.MULTILINE)[1:]:
        left, right, *lines = part.splitlines()
        sides = {"-": page.sides[left.split()[1]].lines, "+": page.sides[right.split()[1]].lines}
        changed = [line for line in lines if line[0] in sides]
        assert [line for line in changed if line[1:] not in sides[line[0]]] == []
        found += len(changed)
    alone = re.findall(r"^Only in (\w+): (.+)$", result.stdout, re.MULTILINE)
    assert found > 100
    files = {f"{app}/{name}" for app, name in alone if (untouched / app / name).is_file()}
    assert files <= page.sides.keys()


def test_a_hunk_links_to_its_step_and_its_differences_and_back(page: Page) -> None:
    links = page.links_in
    assert "#guide-move-one-endpoint" in links["hunk-routes.py-body"]
    assert {"#guide-stream-it", "#difference-sse-when-asked"} <= {
        *links["hunk-delivery.py-deliver"]
    }
    assert "#guide-stream-it" in links["hunk-delivery.py-leaving"]
    assert "#hunk-routes.py-chat" in links["guide-move-one-endpoint"]
    assert {"#hunk-delivery.py-deliver", "#hunk-fastapi_app-sse.py-frames"} <= {
        *links["guide-stream-it"]
    }
    assert {"#guide-stream-it", "#hunk-fastapi_app-stream.py-producer"} <= {*links["ledger"]}


def test_what_the_guide_does_not_show_is_said(page: Page) -> None:
    assert "No step of the guide shows it." in page.texts["hunk-auth.py-caller"]
    assert "No step of the guide shows it." not in page.texts["hunk-routes.py-body"]


def test_each_region_that_the_guide_shows_has_its_step(tmp_path: Path) -> None:
    links = Page(write(tmp_path).read_text("utf-8")).links_in
    shown = [(one, step) for step in steps((ROOT / GUIDE).read_text("utf-8")) for one in step.shown]
    hunks = {f"hunk-{ref.replace('#', '-').replace('/', '-')}": step for ref, step in shown}
    ours = {hunk: step for hunk, step in hunks.items() if hunk in links}
    assert len(ours) >= len(twins())
    assert [hunk for hunk, step in ours.items() if f"#guide-{step.slug}" not in links[hunk]] == []


def test_files_come_in_the_order_of_the_guide(page: Page) -> None:
    ids = [one for one in page.ids if one.startswith("file-")]
    assert ids[:3] == ["file-routes.py", "file-delivery.py", "file-fastapi_app-sse.py"]
    assert ids[3:] == sorted(ids[3:])


def test_the_guide_and_the_ledger_are_in_the_page(page: Page) -> None:
    assert {"guide-verify", "guide-verify-1"} <= {*page.ids}
    assert "told(" not in page.html
    assert "end-->" not in page.html
    assert "-a </script>" in page.texts["guide-move-one-endpoint"]
    assert "<script>alert(1)</script>" in page.texts["guide-stream-it"]
    assert page.links_in["guide-move-one-endpoint"].count("#difference-sse-when-asked") == 1
    assert "status 200 <b>*json*</b>" in page.texts["ledger"]
    assert "That is what stream & co. are for." in page.texts["ledger"]
    assert [link for link in page.links if "README" in link] == []


@pytest.mark.parametrize("app", [LEFT, RIGHT])
def test_a_mutated_copy_shows_the_mutated_line(root: Path, app: str) -> None:
    path = root / app / "auth.py"
    path.write_text(path.read_text("utf-8").replace('"Authorization"', '"X-Mutant"'), "utf-8")
    html = written(root)
    side = Page(html).sides[f"{app}/auth.py"]
    mutated = [n for n, line in enumerate(side.lines) if "X-Mutant" in line]
    assert [side.changed[n] for n in mutated] == [True]
    assert re.search(r"<mark>(?:(?!</mark>).)*X", html)
    assert complaints(html, root) == []


def test_hostile_source_stays_text(root: Path) -> None:
    for app in (LEFT, RIGHT):
        with (root / app / "auth.py").open("a", encoding="utf-8") as file:
            file.write(f"{app} = {HOSTILE}\n")
    (root / RIGHT / "hostile.py").write_text(HOSTILE, "utf-8")
    html = written(root)
    assert complaints(html, root) == []
    assert html.count("<script>") == html.count("</script>") == 1
    assert "<b>" not in html


def _line_gone(html: str) -> str:
    return re.sub(r'<tr><td class="n" data-n="13">.*?</tr>', "", html, count=1, flags=re.DOTALL)


def _mark_gone(html: str) -> str:
    return html.replace('class="pair changed"', 'class="pair same"', 1)


def _sides_swapped(html: str) -> str:
    return html.replace(f'aria-label="{RIGHT}/sse.py"', f'aria-label="{LEFT}/sse.py"')


def _target_gone(html: str) -> str:
    return html.replace('id="hunk-delivery.py-deliver"', "")


def _font_loaded(html: str) -> str:
    return html.replace("<style>", "<style>@import 'https://fonts.example/x.css';")


def _script_loaded(html: str) -> str:
    return html.replace("<script>", '<script src="page.js">')


@pytest.mark.parametrize(
    "mutate",
    [_line_gone, _mark_gone, _sides_swapped, _target_gone, _font_loaded, _script_loaded],
)
def test_a_mutant_of_the_page_is_noticed(
    untouched: Path, html: str, mutate: Callable[[str], str]
) -> None:
    assert complaints(html, untouched) == []
    assert mutate(html) != html
    assert complaints(mutate(html), untouched) != []


def test_in_a_browser(html: str, tmp_path: Path) -> None:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")
    probed = tmp_path / "probed.html"
    probed.write_text(html + PROBE.read_text("utf-8"), "utf-8")
    with browsing(program, probed, tmp_path) as browser:
        reading = browser.read(lambda: Stream({}, []))
    seen = json.loads(reading.events[0].data)
    assert (seen["scrolled"], seen["visible"]) == (True, True)
    assert (seen["folded"], seen["unfolded"]) == (False, True)
    assert seen["next"] == "#hunk-delivery.py-leaving"
    assert [seen["390"]["overflow"] <= 0, seen["390"]["beside"]] == [True, False]
    assert [seen["1440"]["overflow"] <= 0, seen["1440"]["beside"]] == [True, True]
    assert browser.asked == []


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "guide.diff", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_only_stderr_names_the_page(tmp_path: Path) -> None:
    result = _run(f"--out={tmp_path / 'a'}")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.rstrip().endswith(str(tmp_path / "a/index.html"))
    assert (tmp_path / "a/index.html").is_file()


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = _run(f"--out={tmp_path / 'file/a'}")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"diff: {tmp_path / 'file/a'}: Not a directory\n"
