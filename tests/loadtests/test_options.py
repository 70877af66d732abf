"""What a run does when it is told little: each profile has its own load, place and judges."""

import argparse
from pathlib import Path

import pytest
from rich.console import Console

from loadtests import nginx, options, run
from loadtests.options import RunOptions


def chosen(*words: str) -> RunOptions:
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    return options.checked(parser.parse_args(words))


def test_the_article_is_ten_thousand_requests_and_comes_direct() -> None:
    found = chosen()
    assert (found.requests, found.users, found.proxied) == (10_000, 200, 0)
    assert (found.out, found.article) == (Path("out/compare"), "A")


def test_production_has_its_own_load_and_place_and_half_of_it_comes_through_nginx() -> None:
    found = chosen("--profile", "production")
    assert found.proxied * 2 == found.requests < 10_000
    assert (found.out, found.article) == (Path("out/production"), "B")


def test_what_is_given_counts() -> None:
    given = ("--requests", "41", "--users", "8", "--out", "elsewhere")
    found = chosen("--profile", "production", *given)
    assert (found.requests, found.users, found.proxied) == (41, 8, 21)
    assert found.out == Path("elsewhere")


def test_the_estimate_says_what_and_where() -> None:
    said = run.estimate(chosen("--profile", "production"))
    for word in ("360 requests a stack", "180 of them again through nginx", "into out/production"):
        assert word in said
    assert "nginx" not in run.estimate(chosen())


def test_without_nginx_it_goes_on_direct_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(record=True, width=200)
    monkeypatch.setattr(nginx, "PLACES", str(tmp_path))
    assert run.proxied_if_possible(chosen("--profile", "production"), console).proxied == 0
    assert "There is no nginx openssl here" in console.export_text()
    assert run.proxied_if_possible(chosen(), console).proxied == 0
    assert console.export_text() == ""
