"""`make proxy`: nginx as `deploy/` ships it, before stacks that are up, until Ctrl-C."""

import argparse
import sys
from functools import partial
from pathlib import Path

from rich.console import Console

from loadtests import options
from loadtests.interrupt import interruptible
from loadtests.nginx import Ports, proxied
from loadtests.options import OptionError
from loadtests.processes import StartError, free_port

URLS = {"LEGACY_URL": "http://127.0.0.1:8001", "STREAMING_URL": "http://127.0.0.1:8002"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Values are text, so that what is wrong with one can be told."""
    parser.add_argument("--port", default="8080")
    parser.add_argument("--legacy-url", default="")
    parser.add_argument("--streaming-url", default="")
    parser.add_argument("--out", default="out/proxy")


def main(arguments: argparse.Namespace) -> int:
    """0 when it was ended by Ctrl-C or SIGTERM, 1 when nginx does not start or ends, 2 for a bad option."""
    try:
        port = options.whole("PORT", arguments.port, 1, 65_535)
        out = options.folder("OUT", arguments.out)
        given = (arguments.legacy_url, arguments.streaming_url)
        legacy, streaming = (
            options.url(name, text) or usual
            for (name, usual), text in zip(URLS.items(), given, strict=True)
        )
        return _serve(out, Ports(port, free_port(), free_port()), legacy, streaming)
    except OptionError as error:
        print(f"proxy: {error}", file=sys.stderr)
        return 2
    except StartError as error:
        print(f"proxy: {error}", file=sys.stderr)
        return 1


def _serve(out: Path, ports: Ports, legacy: str, streaming: str) -> int:
    tell = partial(Console().print, highlight=False, soft_wrap=True)
    with interruptible():
        try:
            with proxied(out, [streaming], [legacy], ports=ports) as proxy:
                tell(f"{proxy.url} and {proxy.tls_url} (HTTP/2) -> {legacy}, {streaming}")
                tell(f"  {out}/nginx.conf, {out}/access.log")
                proxy.child.process.wait()
                raise proxy.child.failed("ended")
        except KeyboardInterrupt:
            return 0
