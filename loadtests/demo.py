"""`make demo`: both stacks and the simulator, up and ready to be asked, until Ctrl-C."""

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from loadtests.processes import StartError
from loadtests.profiles import PROFILES
from loadtests.run import interruptible
from loadtests.stage import LEGACY, STREAMING, StageOptions, raised

PORTS = (8000, 8001, 8002)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default="article", choices=sorted(PROFILES))
    parser.add_argument("--out", type=Path, default=Path("out/demo"))


def main(arguments: argparse.Namespace) -> int:
    """0 after Ctrl-C, 1 when something does not come up."""
    console = Console()
    options = StageOptions(arguments.out, profile=arguments.profile, ports=PORTS)
    try:
        with interruptible(), raised(options) as stage:
            legacy, streaming = stage.stacks[LEGACY].url, stage.stacks[STREAMING].url
            console.print(f"simulator     {stage.upstream}/v1", highlight=False)
            console.print(f"legacy_flask  curl '{legacy}/chat?prompt=hello'", highlight=False)
            console.print(f"fastapi_app   curl -N '{streaming}/chat?prompt=hello'", highlight=False)
            console.print("Ctrl-C stops all of them.")
            signal.pause()
    except StartError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
    return 0
