"""A network namespace on a cable that can be pulled: a browser in it is offline for real."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WRAPPER = '#!/bin/sh\nexec ip netns exec {name} {program} "$@"\n'


def missing() -> str | None:
    """What keeps this machine from having such a network; None when nothing does."""
    if os.geteuid() != 0:
        return "a network that is cut for real needs root, for ip netns"
    if shutil.which("ip") is None:
        return "a network that is cut for real needs ip; on Debian: apt-get install iproute2"
    probe = f"probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return "a network that is cut for real needs ip netns, which this machine refuses"
    _ip("netns", "del", probe)
    return None


@dataclass(frozen=True)
class Network:
    """A namespace and the cable to it; `host` is our address on the cable, the only one it reaches."""

    name: str
    host: str
    addresses: tuple[str, str]

    @property
    def cable(self) -> str:
        """Our end of it."""
        return f"{self.name}-h"

    @property
    def inside(self) -> str:
        return f"{self.name}-n"

    def pull(self) -> None:
        """No packet passes any more, and its address is gone as when a phone loses its network."""
        _ip("link", "set", self.cable, "down")
        _ip("-n", self.name, "addr", "flush", "dev", self.inside)

    def plug(self, *, elsewhere: bool = False) -> None:
        """Packets pass again; `elsewhere` is another network, with another address."""
        address = self.addresses[elsewhere]
        _ip("-n", self.name, "addr", "add", address, "dev", self.inside)
        _ip("link", "set", self.cable, "up")

    def wrapper(self, program: str, directory: Path) -> Path:
        """An executable that runs this program inside; it takes the program's arguments and descriptors."""
        script = directory / "inside"
        script.write_text(WRAPPER.format(name=self.name, program=program), "utf-8")
        script.chmod(0o755)
        return script


@contextmanager
def networked() -> Iterator[Network]:
    """A namespace of its own, plugged in, with nobody else on its network."""
    number = os.getpid() % 8_192
    subnet = f"10.213.{number // 32}"
    first = number % 32 * 8
    addresses = (f"{subnet}.{first + 2}/29", f"{subnet}.{first + 3}/29")
    network = Network(f"web{number}", f"{subnet}.{first + 1}", addresses)
    _ip("netns", "add", network.name)
    try:
        peer = ("type", "veth", "peer", network.inside, "netns", network.name)
        _ip("link", "add", network.cable, *peer)
        _ip("addr", "add", f"{network.host}/29", "dev", network.cable)
        for link in ("lo", network.inside):
            _ip("-n", network.name, "link", "set", link, "up")
        network.plug()
        yield network
    finally:
        # A namespace lives as long as a process in it; its cable is taken away at once.
        subprocess.run(["ip", "link", "del", network.cable], capture_output=True, check=False)
        _ip("netns", "del", network.name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
