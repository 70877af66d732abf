"""The page: one HTML file that needs no other; everything in it is escaped by the template."""

from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from guide.diff import highlight, prose
from guide.diff.rows import Cell
from guide.diff.story import File, Hunk, Story
from guide.regions import LEFT, RIGHT


def page(story: Story, guide: str) -> str:
    """The HTML of the story beside the guide, which is given as Markdown."""
    inside = Environment(
        loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    inside.filters["prose"] = prose.inline
    return inside.get_template("page.html").render(
        story=story,
        guide=prose.sections(guide, _places(story)),
        figures=_figures(story),
        code=_painter(story),
        of_step=lambda slug: _hunks(story, lambda hunk: slug in {one.slug for one in hunk.steps}),
        of_difference=lambda one: _hunks(story, lambda hunk: one in hunk.causes),
        LEFT=LEFT,
        RIGHT=RIGHT,
        css=Markup(_part("page.css")),  # the page's own, which holds nothing of the apps
        js=Markup(_part("page.js")),
    )


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hunks(story: Story, wanted: Callable[[Hunk], bool]) -> list[tuple[File, list[Hunk]]]:
    """Each file that has such hunks, with them."""
    found = ((file, [hunk for hunk in file.hunks if wanted(hunk)]) for file in story.files)
    return [(file, hunks) for file, hunks in found if hunks]


def _figures(story: Story) -> dict[str, int]:
    twins = [file for file in story.files if not file.alone]
    return {
        "mirrored": len(twins),
        "removed": sum(file.removed for file in twins),
        "added": sum(file.added for file in twins),
        "alone": len(story.files) - len(twins),
        "differences": len(story.ledger),
    }


def _places(story: Story) -> dict[str, str]:
    """Where the page has what the guide may link to in the repository."""
    ledger = {f"#{one.id}": f"difference-{one.id}" for one in story.ledger}
    files = {path: file.anchor for file in story.files for path in file.paths}
    return ledger | files | {"differences.toml": "ledger", "#": "guide"}


def _painter(story: Story) -> Callable[[File, str, Cell], Markup]:
    """Colours a line of a file, whose language is read from the whole file."""
    painted = {
        (file.name, side): highlight.of_file(file.name, text)
        for file in story.files
        for side, text in (("left", file.left), ("right", file.right))
        if text is not None
    }
    return lambda file, side, cell: highlight.markup(
        painted[file.name, side][cell.number - 1], cell.spans
    )
