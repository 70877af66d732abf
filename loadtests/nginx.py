"""nginx as `deploy/` ships it, with the addresses and paths of this machine: rendered, started, stopped."""

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from loadtests.processes import Child, StartError, await_listening, free_port

CONF = Path(__file__).parents[1] / "deploy" / "nginx.conf"
NEEDED = ("nginx", "openssl")
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
CERTIFICATE = (
    *("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
    *("-days", "30", "-subj", "/CN=localhost"),
    *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
)
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
Change = tuple[str, str]
"""A line of the shipped configuration, or a part of one that stands there once, and what is in its place."""


class ChangeError(ValueError):
    """What is to be changed does not stand in the configuration exactly once."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where nginx listens on loopback: `plain` without TLS, `tls` with HTTP/2, `redirect` only points there."""

    plain: int
    tls: int
    redirect: int

    @classmethod
    def free(cls) -> "Ports":
        return cls(free_port(), free_port(), free_port())


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running nginx; `folder` holds its configuration, certificate and logs."""

    child: Child
    folder: Path
    ports: Ports

    @property
    def url(self) -> str:
        """HTTP/1.1 without TLS."""
        return f"http://127.0.0.1:{self.ports.plain}"

    @property
    def tls_url(self) -> str:
        """TLS with HTTP/2, by a certificate for this host that nobody signed."""
        return f"https://127.0.0.1:{self.ports.tls}"

    @property
    def certificate(self) -> Path:
        return self.folder / "fullchain.pem"

    @property
    def access_log(self) -> Path:
        return self.folder / "access.log"

    def reload(self) -> None:
        """Has nginx read its configuration again; streams under way stay with the old workers."""
        self.child.process.send_signal(signal.SIGHUP)


def changed(text: str, changes: Sequence[Change]) -> str:
    """The configuration with every change made; raises ChangeError for one that cannot be."""
    for old, new in changes:
        if text.count(old) != 1:
            raise ChangeError(f"{old!r} stands {text.count(old)} times in {CONF.name}, not once")
        text = text.replace(old, new)
    return text


def rendered(
    text: str, home: Path, ports: Ports, streaming: Sequence[str], legacy: Sequence[str] = ()
) -> str:
    """The shipped configuration for this machine; stacks are `host:port`.

    Without a legacy one all goes to the streaming ones. Nothing else is changed, so what is tested is what is
    shipped; raises ChangeError.
    """
    # On one line, so that nginx names the lines of the shipped file.
    temporary = " ".join(f"{name}_temp_path {home}/temporary;" for name in TEMPORARY)
    return changed(
        text,
        (
            ("user www-data;", f"user {getpass.getuser()};" if os.geteuid() == 0 else ""),
            ("pid /run/nginx.pid;", f"pid {home}/nginx.pid;"),
            ("error_log /var/log/nginx/", f"error_log {home}/"),
            ("access_log /var/log/nginx/", f"access_log {home}/"),
            ("http {\n", f"http {{ {temporary}\n"),
            ("listen 80;", f"listen 127.0.0.1:{ports.redirect};"),
            ("listen 443 ssl", f"listen 127.0.0.1:{ports.tls} ssl"),
            ("listen 127.0.0.1:8080;", f"listen 127.0.0.1:{ports.plain};"),
            ("ssl_certificate /etc/ssl/chat/", f"ssl_certificate {home}/"),
            ("ssl_certificate_key /etc/ssl/chat/", f"ssl_certificate_key {home}/"),
            _servers(("127.0.0.1:8001",), legacy or streaming),
            _servers(("127.0.0.1:8002", "127.0.0.1:8003"), streaming),
        ),
    )


def _servers(shipped: Sequence[str], here: Sequence[str]) -> Change:
    def lines(hosts: Sequence[str]) -> str:
        return "".join(f"    server {host} max_fails=0;\n" for host in hosts)

    return lines(shipped), lines(here)


@contextlib.contextmanager
def proxied(
    folder: Path,
    streaming: Sequence[str],
    legacy: Sequence[str] = (),
    changes: Sequence[Change] = (),
    *,
    cores: frozenset[int] = frozenset(),
    ports: Ports | None = None,
) -> Iterator[Proxy]:
    """nginx in front of stacks, by their URLs, as it is shipped but for the `changes`.

    Raises StartError, ChangeError.
    """
    ports = ports or Ports.free()
    conf = written(folder, ports, streaming, legacy, changes)
    command = [program("nginx"), "-c", str(conf), "-e", "stderr", "-g", "daemon off;"]
    child = Child("nginx", command, folder / "nginx.log", cores=cores)
    try:
        await_listening(child, ports.plain)
        yield Proxy(child, folder.resolve(), ports)
    finally:
        child.stop()


def written(
    folder: Path,
    ports: Ports,
    streaming: Sequence[str],
    legacy: Sequence[str] = (),
    changes: Sequence[Change] = (),
    *,
    shipped: Path = CONF,
) -> Path:
    """The rendered configuration and a certificate in a folder; raises StartError, ChangeError, OSError."""
    home = folder.resolve()
    (home / "temporary").mkdir(parents=True, exist_ok=True)
    _certify(home)
    text = changed(shipped.read_text("utf-8"), changes)
    conf = home / "nginx.conf"
    hosts = [[urlsplit(url).netloc for url in urls] for urls in (streaming, legacy)]
    conf.write_text(rendered(text, home, ports, *hosts), "utf-8")
    return conf


def missing() -> list[str]:
    """The programs that a proxy needs and this machine lacks."""
    return [name for name in NEEDED if shutil.which(name, path=PLACES) is None]


def program(name: str) -> str:
    """The path of a program, `/usr/sbin` included; raises StartError."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        raise StartError(f"there is no {name} on this machine")
    return found


def _certify(home: Path) -> None:
    """A key and a certificate for this host, made once a folder."""
    chain, key = home / "fullchain.pem", home / "privkey.pem"
    if chain.exists() and key.exists():
        return
    made = subprocess.run(
        (program("openssl"), "req", *CERTIFICATE, "-keyout", str(key), "-out", str(chain)),
        capture_output=True,
        check=False,
    )
    if made.returncode:
        raise StartError(f"openssl made no certificate: {made.stderr.decode(errors='replace')}")
