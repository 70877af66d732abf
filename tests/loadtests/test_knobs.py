"""The knobs: what is counted of a crowd, what fails, and rows through a real nginx."""

import dataclasses
import io
import itertools
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loadtests import knobs
from loadtests.__main__ import main
from loadtests.nginx import CONF, changed
from loadtests.processes import Cores, StartError
from loadtests.reporting.knob_claims import Mixture, Turned, c1, c2
from loadtests.stage import Stage, StageOptions, raised
from loadtests.stats import Distribution, distribution
from loadtests.streams import Taken
from loadtests.turning import proof, tail
from loadtests.turning.figures import Figures, figures, gaps_ms, held, unzipped
from loadtests.turning.ground import Written, standing
from loadtests.turning.outcome import PAIRS, Outcome, claims, summary
from loadtests.turning.playing import Cost, Played, crowd, play, read
from loadtests.turning.rows import ROWS, SILENCES, Silence
from loadtests.turning.silence import Kept, beside, unexpected
from loadtests.turning.table import COLUMNS, tables
from tests.loadtests.commands import grown, interrupted, refused, started

MS = 1_000_000
DONE = b'event: delta\ndata: {"text":"x"}\n\nevent: done\ndata: {}\n\n'
EVERYWHERE = Cores(frozenset(), frozenset(), frozenset())


def _spread(p50: float, p99: float) -> Distribution:
    return Distribution(mean=p50, p50=p50, p95=p99, p99=p99, max=p99, n=250)


def _figures(held: int = 0, dropped: int = 0, p50: float = 4.0, p99: float = 6.0) -> Figures:
    return Figures(
        streams=250,
        held=held,
        dropped=dropped,
        failed=0,
        first_content_ms=_spread(400.0, 900.0),
        ratio=2.25,
        first_chunk_delay_ms=_spread(p50, p99),
        gap_ms=_spread(50.0, 60.0),
        app_us=30.0,
        proxy_us=5.0,
        app_waited=0.0,
        invalid=[],
    )


ADDED = _figures()
SHARED = proof.Shared(_figures(), at_once=250, median_gap_p99_ms=52.0, worst_gap_p99_ms=90.0)
SAME = proof.Identity(250, 250, 1_000_000)


def test_what_is_shown_of_all_knobs_right_holds() -> None:
    assert proof.not_kept(proof.Proof(ADDED, SAME, SHARED)) == []


@pytest.mark.parametrize(
    "broken",
    [
        proof.Proof(added=_figures(p50=4.0, p99=17.1)),
        proof.Proof(added=_figures(dropped=1)),
        proof.Proof(added=msgspec.structs.replace(ADDED, first_chunk_delay_ms=None)),
        proof.Proof(identity=proof.Identity(250, 249, 1_000_000)),
        proof.Proof(shared=msgspec.structs.replace(SHARED, worst_gap_p99_ms=157.0)),
        proof.Proof(shared=msgspec.structs.replace(SHARED, at_once=249)),
        proof.Proof(shared=msgspec.structs.replace(SHARED, figures=_figures(dropped=1))),
    ],
)
def test_a_promise_that_is_broken_fails(broken: proof.Proof) -> None:
    assert len(proof.not_kept(broken)) == 1
    assert summary(Outcome(250, proof=broken))["holds"] is False


def test_a_machine_that_did_something_else_is_named_where_too_much_was_added() -> None:
    slow = msgspec.structs.replace(_figures(p50=4.0, p99=40.0), app_waited=0.011)
    (said,) = proof.not_kept(proof.Proof(added=slow))
    assert said.endswith("; the app could not have its core for 1.1% of the time")
    assert proof.not_kept(proof.Proof(added=msgspec.structs.replace(ADDED, app_waited=0.011))) == []


def _taken(name: str, *reads: tuple[int, bytes], encoding: str = "") -> Taken:
    headers = {"content-encoding": encoding} if encoding else {}
    return Taken(name, 0, 200, headers, list(reads), reads[-1][0] if reads else 0, "")


def test_a_body_with_one_other_byte_is_another_body() -> None:
    taken = [_taken("a", (MS, DONE[:9]), (2 * MS, DONE[9:])), _taken("b", (MS, DONE))]
    assert proof.same(taken, {"a": DONE, "b": DONE}).identical == 2
    assert proof.same(taken, {"a": DONE, "b": DONE.replace(b"x", b"y")}).identical == 1
    assert proof.same(taken, {"a": DONE}).identical == 1


def test_a_body_that_breaks_off_alike_on_both_sides_is_no_identical_one() -> None:
    taken = [_taken("a", (MS, DONE[:30]))]
    assert proof.same(taken, {"a": DONE[:30]}).identical == 0


def test_streams_are_counted_while_they_are_open() -> None:
    one, two, three = (
        _taken(name, (end, DONE)) for name, end in zip("abc", (5, 9, 7), strict=True)
    )
    two.asked_ns, three.asked_ns = 4, 5
    assert proof.at_once([one, two, three]) == 2


def test_a_streams_longest_gaps_are_its_99th_percentile() -> None:
    frame = b'event: delta\ndata: {"text":"x"}\n\n'
    stamps = [*range(0, 200 * MS, MS), 500 * MS]
    assert proof.longest_gap_ms(_taken("a", *((at, frame) for at in stamps))) == 1.0
    assert proof.longest_gap_ms(_taken("a", (0, frame), (7 * MS, frame))) == 7.0
    assert proof.longest_gap_ms(_taken("a", (MS, DONE))) == 0.0


def test_deltas_of_one_read_have_no_gap() -> None:
    assert gaps_ms([MS, MS, 4 * MS, 4 * MS, 5 * MS]) == [3.0, 1.0]


def _written(first_ns: int | None, last_ns: int | None) -> Written:
    return Written("a", 0, first_ns, last_ns, 10)


@pytest.mark.parametrize(
    ("entry", "content", "back"),
    [
        (_written(10, 20), [14, 16], False),
        (_written(10, 20), [15, 16], True),
        (_written(10, 20), [21], True),
        (_written(10, 20), [], False),
        (_written(None, None), [21], False),
        (None, [21], False),
    ],
)
def test_an_answer_is_held_back_from_its_middle_on(
    entry: Written | None, content: list[int], back: bool
) -> None:
    assert held(entry, content) is back


@given(st.lists(st.binary(min_size=1), min_size=1), st.data())
def test_gzip_is_undone_however_it_was_cut(parts: list[bytes], data: st.DataObject) -> None:
    press = zlib.compressobj(wbits=31)
    zipped = b"".join(press.compress(part) + press.flush(zlib.Z_SYNC_FLUSH) for part in parts)
    zipped += press.flush()
    cuts = data.draw(st.lists(st.integers(0, len(zipped)), max_size=5).map(sorted))
    reads = [zipped[a:b] for a, b in itertools.pairwise([0, *cuts, len(zipped)])]
    taken = _taken("a", *enumerate(reads), encoding="gzip")
    assert unzipped(taken).body == b"".join(parts)


def test_a_harness_that_was_the_limit_is_named() -> None:
    cost = Cost(wall_s=10.0, app_s=1.0, proxy_s=1.0, simulator_s=3.0, client_s=5.0)
    played = Played([_taken("a", (MS, DONE))], {"a": _written(0, MS)}, cost, 0.1)
    shared = Cores(frozenset({0}), frozenset({1}), frozenset({1}))
    assert figures(played, EVERYWHERE).invalid == []
    assert figures(played, shared).invalid == ["client, simulator and nginx took 90% of a core"]
    kept_off = dataclasses.replace(played, cost=dataclasses.replace(cost, app_waited_s=0.1))
    assert figures(kept_off, EVERYWHERE).app_waited == 0.01
    late = dataclasses.replace(played, deadline_miss_ms=2.1)
    assert figures(late, EVERYWHERE).invalid == ["the simulator was 2.1 ms late at p99"]


def test_a_row_whose_words_are_not_so_fails() -> None:
    whole, at_once = _figures(held=250), _figures()
    right = {row.name: whole if row.held else at_once for row in ROWS}
    assert summary(Outcome(250, right))["failures"] == []
    for row in ROWS:
        wrong = at_once if row.held else whole
        failures = summary(Outcome(250, {**right, row.name: wrong}))["failures"]
        assert [failure.split(":")[0] for failure in failures] == [row.name]
    lost = summary(Outcome(250, {"all right": _figures(dropped=1)}))
    assert lost["failures"] == ["all right: 1 of 250 streams were lost"]


def test_every_change_of_a_row_can_be_made() -> None:
    for row in ROWS:
        for change in row.changes:
            assert change[1] in changed(CONF.read_text("utf-8"), [change])


def test_names_are_of_one_row() -> None:
    names = [row.name for row in (*ROWS, *SILENCES)]
    assert len(set(names)) == len(names)
    assert {row.name for row in tail.suspects()} == set(tail.SUSPECTS)


def _kept(silence: Silence, dropped: int) -> Kept:
    beat = silence.heartbeat_s
    return Kept(silence.name, silence.timeout_s, beat, silence.pause_s, 20, dropped, 0, None)


def test_a_heartbeat_that_keeps_nothing_fails() -> None:
    as_said = [_kept(one, 0 if one.kept else 20) for one in SILENCES]
    assert unexpected(SILENCES, as_said) == []
    for number, one in enumerate(SILENCES):
        other = [*as_said]
        other[number] = _kept(one, 1)
        assert len(unexpected(SILENCES, other)) == 1


def test_a_few_held_answers_make_the_articles_tail() -> None:
    firsts = [[200.0] * 194, [9_000.0] * 6, [1_000.0] * 6]
    found = tail.summed(firsts, ["whole", "a part"], dropped=0, invalid=[])
    assert summary(Outcome(250, tail=found))["holds"] is True
    lost = tail.summed(firsts, ["whole", "a part"], dropped=1, invalid=[])
    assert summary(Outcome(250, tail=lost))["failures"] == ["tail of C1: 1 streams were lost"]
    with pytest.raises(StartError):
        tail.summed([[], [1.0]], ["whole"], dropped=2, invalid=[])
    assert (found.ratio, [one.ratio for one in found.mixed]) == (1.0, [45.0, 5.0])
    mixtures = [Mixture(one.way, one.held, one.first_content_ms) for one in found.mixed]
    assert c1(found.right_ms, mixtures).verdict == "beaten"
    assert c1(_spread(200.0, 700.0), mixtures).verdict == "reproduced"
    assert c1(found.right_ms, mixtures, _spread(400.0, 1_600.0)).verdict == "reproduced"
    assert c1(_spread(200.0, 1_001.0), mixtures).verdict == "not reproduced"
    assert c1(found.right_ms, mixtures[1:]).verdict == "not reproduced"


def test_c2_says_what_each_knob_moves() -> None:
    one, two = Turned("one", 5_000.0, 1_000.0), Turned("two", 1_000.0, 1_050.0, "gaps")
    claim = c2([one, two])
    assert claim.verdict == "not reproduced"
    assert claim.measured == ("one p99 5,000 → 1,000 ms; two p99 1,000 → 1,050 ms (gaps)")
    assert c2([one, one]).verdict == "reproduced"


def test_the_claims_are_made_of_the_rows_that_differ_in_one_knob() -> None:
    rows = {row.name: _figures(held=250 if row.held else 0) for row in ROWS}
    found = Outcome(250, rows, silences=[_kept(one, 0 if one.kept else 20) for one in SILENCES])
    (claim,) = claims(found)
    assert claim.id == "C2"
    assert all(knob in claim.measured for knob in PAIRS)
    assert "20 → 0 of 20 streams dropped in a silence of 65 s" in claim.measured
    assert claims(Outcome(250, {"all right": rows["all right"]})) == []


def test_the_tables_fit_a_terminal() -> None:
    spread = _spread(9_999.0, 9_999.0)
    wide = msgspec.structs.replace(
        _figures(held=250, dropped=250, p50=9_999.0, p99=9_999.0),
        first_content_ms=spread,
        gap_ms=spread,
        app_us=999.9,
        proxy_us=99.9,
        invalid=["late"],
    )
    firsts = [[200.0] * 194, [9_000.0] * 6]
    found = Outcome(
        streams=250,
        rows={row.name: wide for row in ROWS},
        silences=[_kept(one, 20) for one in SILENCES],
        tail=tail.summed(firsts, [tail.SUSPECTS[0]], dropped=0, invalid=[]),
    )
    console = Console(width=COLUMNS, file=io.StringIO(), record=True)
    console.print(tables(found))
    printed = console.export_text()
    assert all(row.name in printed for row in (*ROWS, *SILENCES))
    assert "…" not in printed


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with raised(StageOptions(tmp_path_factory.mktemp("stage"), "chatty")) as up:
        yield up


def test_nginx_holds_an_answer_by_its_defaults(stage: Stage, tmp_path: Path) -> None:
    (row,) = (row for row in ROWS if row.name == "buffering on, HTTP/1.0")
    with standing(stage, row, tmp_path) as up:
        readers = crowd("few", 4, "sim:chatty", most=30)
        pids = (up.app.pid, up.proxy.child.pid)
        played = play(stage, pids, lambda: read(up.proxy, readers, row.reading))
    found = figures(played, EVERYWHERE)
    assert (found.streams, found.held, found.dropped) == (4, 4, 0)
    assert found.app_us > 0


def test_a_heartbeat_outlives_a_silence(stage: Stage, tmp_path: Path) -> None:
    silences = (Silence(1.0, 0.25, 1.4), Silence(1.0, None, 1.4))
    with beside(stage, silences, tmp_path) as finished:
        beating, silent = finished()
    assert unexpected(silences, [beating, silent]) == []
    assert (beating.dropped, beating.after_s) == (0, None)
    assert beating.pings >= 3 * beating.streams
    assert silent.after_s is not None
    assert silent.after_s >= silent.timeout_s


def test_what_the_app_sent_arrives(stage: Stage, tmp_path: Path) -> None:
    found = proof.identity(stage, 6, tmp_path, most=20)
    assert (found.streams, found.identical) == (6, 6)
    assert found.body_bytes > 0


def test_nginx_holds_nothing_of_an_app_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(knobs, "LONGEST", 30)
    row = "and X-Accel from the app"
    status = main(["knobs", "--streams", "4", "--only", row, "--out", str(tmp_path)])
    printed, errors = capsys.readouterr()
    kept = json.loads((tmp_path / "summary.json").read_bytes())
    assert (status, kept["holds"], kept["failures"]) == (0, True, []), errors
    assert [(one["name"], one["figures"]["held"]) for one in kept["rows"]] == [(row, 0)]
    assert (tmp_path / "knobs.png").read_bytes().startswith(b"\x89PNG")
    assert printed.startswith("1 rows of 4 streams")


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--streams", "0"), "STREAMS=0"), (("--only", "no such knob"), "ONLY=no such knob")],
)
def test_a_bad_option_is_one_line(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused("knobs", options, said, tmp_path, capsys)


def test_an_interrupted_run_stops_what_it_started(tmp_path: Path) -> None:
    run = started("knobs", "--only", "all right", "--out", str(tmp_path))
    # Both stacks and the simulator, then the row's app and its nginx with workers.
    interrupted(run, grown(6), tmp_path, 6)


def test_without_answers_there_is_nothing_to_say() -> None:
    assert distribution([]) is None
    assert figures(Played([], {}, Cost(1, 0, 0, 0, 0), 0.0), EVERYWHERE).ratio is None
