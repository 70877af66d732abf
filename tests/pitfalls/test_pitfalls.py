"""Each entry of the catalogue shows what it says, on the FastAPI that is installed."""

from pathlib import Path

import fastapi
import pytest

from tests.pitfalls.catalogue import Entry, Observation, catalogue, name_of
from tests.pitfalls.ground import Ground

PINNED = fastapi.__version__.startswith("0.115.")


@pytest.mark.parametrize("entry", catalogue(), ids=name_of)
def test_an_entry_shows_what_it_says(entry: Entry, tmp_path: Path) -> None:
    told = entry.PITFALL
    fastapi = told.fastapi if PINNED else told.fastapi_now
    expected = Observation(told.flask, fastapi, told.fixed)
    seen = entry.observe(Ground(tmp_path))
    assert seen == expected
    assert bool(seen.evidence) == (told.article is not None)
