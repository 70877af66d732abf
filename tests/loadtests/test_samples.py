"""Samples files: whole lines, whatever happened before."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.samples import (
    LineFile,
    Sample,
    SamplesError,
    Stalls,
    encode_line,
    read_samples,
    text_sha,
)

SAMPLE = Sample(
    stack="fastapi_app",
    phase="B1",
    index=7,
    request_id="r7-000007",
    kind="stream",
    status=200,
    error=None,
    scheduled_ns=1,
    start_ns=2,
    headers_ns=3,
    first_ns=4,
    last_ns=5,
    text_sha=text_sha("ü", "stop"),
    chars=1,
    finish_reason="stop",
    completion_tokens=1,
    chunk_us=[0],
    chunk_chars=[1],
    worker=0,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    other = msgspec.structs.replace(SAMPLE, index=8, error="timeout", first_ns=None, last_ns=None)
    with LineFile(tmp_path / "out" / "samples.jsonl") as lines:
        lines.append(encode_line(SAMPLE) + encode_line(other))
    assert list(read_samples(tmp_path / "out" / "samples.jsonl")) == [SAMPLE, other]


@pytest.mark.parametrize("kept", [0, 1, 2])
@pytest.mark.parametrize("cut", [1, 60, -1])
def test_a_line_that_was_cut_off_is_removed_before_more_is_added(
    tmp_path: Path, kept: int, cut: int
) -> None:
    path, line = tmp_path / "samples.jsonl", encode_line(SAMPLE)
    path.write_bytes(line * kept + line[:cut])
    with LineFile(path) as lines:
        lines.append(line)
    assert list(read_samples(path)) == [SAMPLE] * (kept + 1)


def test_a_very_long_line_that_was_cut_off_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(encode_line(SAMPLE) + b'{"x":"' + b"y" * 300_000)
    LineFile(path).close()
    assert list(read_samples(path)) == [SAMPLE]


def test_two_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with LineFile(path) as one, LineFile(path) as two:
        for lines in (one, two, one):
            lines.append(encode_line(SAMPLE))
    assert list(read_samples(path)) == [SAMPLE] * 3


def test_a_line_that_is_no_sample_is_named(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(encode_line(SAMPLE) + b"{}\n")
    with pytest.raises(SamplesError, match=r"samples\.jsonl:2: .*missing required field"):
        list(read_samples(path))


@given(st.text(), st.text(), st.sampled_from([None, "stop", "length"]))
def test_the_digest_tells_answers_apart(text: str, other: str, reason: str | None) -> None:
    assert len(text_sha(text, reason)) == 16
    assert (text_sha(text, reason) == text_sha(other, reason)) == (text == other)
    assert text_sha(text, "stop") != text_sha(text, "length")
    assert text_sha(text + "stop", None) != text_sha(text, "stop")


def test_a_lone_surrogate_has_a_digest_too() -> None:
    assert text_sha("\ud800", None) != text_sha("\ud801", None)


def test_stalls_are_lines_as_well() -> None:
    stalls = Stalls(stack="legacy_flask", phase="A1", worker=1, lateness_us=[3, 4])
    assert msgspec.json.decode(encode_line(stalls), type=Stalls) == stalls
