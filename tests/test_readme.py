"""The README shows the committed figures, and no others."""

from loadtests.readme import README, RESULTS, rendered
from tests.servers import ROOT


def _readme() -> str:
    return (ROOT / README).read_text(encoding="utf-8")


def test_the_table_is_that_of_the_committed_run() -> None:
    assert rendered(_readme(), ROOT / RESULTS) == _readme()


def test_a_figure_typed_by_hand_is_drift() -> None:
    typed = _readme().replace("| Errors |", "| Errors, none |")
    assert typed != _readme()
    assert rendered(typed, ROOT / RESULTS) != typed
