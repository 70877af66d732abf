"""Cores are dealt alike to both stacks, and a process that does not come up is named."""

import socket
import sys
from pathlib import Path

import pytest

from loadtests.processes import Child, StartError, await_ready, deal_cores, free_port
from loadtests.stage import StageOptions, raised


def test_two_cores_are_one_for_the_app_and_one_for_the_harness() -> None:
    cores = deal_cores([0, 1], workers=1)
    assert [*map(sorted, (cores.app, cores.simulator, cores.client))] == [[0], [1], [1]]


def test_more_cores_keep_the_three_apart() -> None:
    cores = deal_cores([0, 1, 2, 3], workers=2)
    assert [*map(sorted, (cores.app, cores.simulator, cores.client))] == [[0, 1], [2], [3]]


def test_one_core_is_nobodys() -> None:
    cores = deal_cores([0], workers=1)
    assert cores.app | cores.simulator | cores.client == frozenset()


def test_a_process_that_ends_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child(
        "brief", [sys.executable, "-c", "raise SystemExit('no such luck')"], tmp_path / "log"
    )
    with pytest.raises(StartError, match=r"brief ended with status 1(.|\n)*no such luck"):
        await_ready(child, f"http://127.0.0.1:{free_port()}/readyz")


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = StageOptions(tmp_path, ports=(0, port, 0))
        with pytest.raises(StartError, match=f"port {port} on 127.0.0.1"), raised(options):
            raise AssertionError("it started")
