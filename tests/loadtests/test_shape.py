"""The shape of a stream in time, by stamps that are written down here: no clock has a say."""

from collections.abc import Sequence

import pytest

from loadtests.equality.asking import Asker, Finding
from loadtests.equality.replies import Read, Reply
from loadtests.equality.shape import Arrival, Written, against_upstream, by_clock
from loadtests.targets import load_targets

MS = 1_000_000
START = 5_000 * MS


def written(stamps_ms: Sequence[float]) -> Written:
    """A model that wrote its tokens so many milliseconds after it was asked."""
    first, last = (START + round(at * MS) for at in (stamps_ms[0], stamps_ms[-1]))
    return Written("r", START, first, last, [round(at * 1000) for at in stamps_ms])


def arrived(stamps_ms: Sequence[float], ended_ms: float | None = None, chars: int = 900) -> Arrival:
    stamps = tuple(START + round(at * MS) for at in stamps_ms)
    end = stamps[-1] if ended_ms is None else START + round(ended_ms * MS)
    return Arrival(START - MS, stamps, end, chars)


EVEN = [200 + 5 * number for number in range(241)]
PAUSING = [200 + 5 * n for n in range(100)] + [1300 + 5 * n for n in range(20)]
EARLY = EVEN[:20]


@pytest.mark.parametrize(
    ("model", "client"),
    [
        (EVEN, [at + 3 for at in EVEN]),
        (EVEN, [at + 45 for at in EVEN[::10]]),
        (EVEN, [at + 300 for at in EVEN]),
        (EVEN, [210, 500, 800, 1100, 1390, 1400]),
        (PAUSING, [at + 3 for at in PAUSING]),
    ],
    ids=["at once", "joined", "late but steady", "large pieces", "the model's own pause"],
)
def test_a_stream_keeps_its_shape(model: list[float], client: list[float]) -> None:
    assert against_upstream(arrived(client), written(model)) is None


@pytest.mark.parametrize(
    ("client", "ended", "said"),
    [
        ([1402] * 50, None, "buffered: the first text came 1,202 ms after the model wrote it"),
        ([1400, 1401, 1402, 1403, 1404], None, "buffered: "),
        ([at + 600 for at in EVEN], None, "buffered: the first text came 600 ms"),
        ([*EARLY, 1400, 1401, 1402], None, "held back: 1,105 ms without text"),
        ([205, 600, 1000, 1400], None, "held back: 4 pieces for 241 tokens over 1,200 ms"),
        (EVEN, 1900, "ends 500 ms after the model did"),
        ([], 1900, "no text came"),
    ],
)
def test_what_is_held_back_is_named(client: list[float], ended: float | None, said: str) -> None:
    stream = arrived(client, ended) if client else Arrival(START, (), START + 1900 * MS, 0)
    found = against_upstream(stream, written(EVEN))
    assert found is not None
    assert found.startswith(said)


def test_a_model_that_wrote_nothing_has_no_shape() -> None:
    assert against_upstream(arrived(EVEN), Written("r", START)) == "no text came"


@pytest.mark.parametrize(
    ("client", "chars", "judged"),
    [
        ([1500] * 40, 900, "buffered: 900 characters came within 0 ms, after 1,501 ms without any"),
        ([1500, 1540, 1600], 900, "buffered: "),
        ([at + 3 for at in EVEN], 900, None),
        ([9000, 9200, 9400], 900, None),
        ([1500] * 40, 150, None),
        ([400] * 40, 900, None),
    ],
    ids=["one piece", "nearly one", "a stream", "a slow start", "little text", "a quick answer"],
)
def test_the_clients_clock_alone(client: list[float], chars: int, judged: str | None) -> None:
    found = by_clock(arrived(client, chars=chars))
    assert (found or "").startswith(judged or "")
    assert (found is None) == (judged is None)


def reply(first_ms: float, last_ms: float) -> Reply:
    """A stream of two deltas, read at these times after it was asked for."""
    words = [b'event: delta\ndata: {"text":"%s"}\n\n' % (b"word " * 50) for _ in range(2)]
    end = b'event: done\ndata: {"id":"a","model":"m","finish_reason":"stop","usage":null}\n\n'
    first, last = (START + round(at * MS) for at in (first_ms, last_ms))
    reads = (Read(first, words[0]), Read(last, words[1] + end))
    headers = {"content-type": "text/event-stream"}
    return Reply(200, headers, reads, sent_ns=START, ended_ns=last)


AT_ONCE, SHORT = reply(2000, 2100), reply(40, 90)
"""A long wait and all of it then; and what a fast model's stream is when nobody waits in front of it."""


def test_what_looks_buffered_in_a_crowd_is_asked_again_alone() -> None:
    asker = Asker(("http://127.0.0.1:1", "http://127.0.0.1:1"), load_targets())
    asked: list[str] = []

    def doubted(name: str, alone: Reply) -> Finding:
        def again(number: int) -> Reply:
            asked.append(f"{name} {number}")
            return alone

        return Finding(name, shape="buffered", timed=True, again=again)

    found = [doubted("crowded", SHORT), doubted("held", AT_ONCE), doubted("behind it", SHORT)]
    shapes = [one.shape for one in asker.confirmed([Finding("well"), *found])]
    assert asked == ["crowded 1", "held 1", "held 2"]
    assert [bool(shape) for shape in shapes] == [False, False, True, True]
