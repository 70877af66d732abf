"""`make demo`: both stacks, the page that shows them side by side, and the simulator, until Ctrl-C."""

import argparse
import signal
import sys

from rich.console import Console

from loadtests.interrupt import interruptible
from loadtests.options import OptionError, folder, whole
from loadtests.processes import StartError
from loadtests.profiles import PROFILES
from loadtests.stage import LEGACY, STREAMING, Stage, StageOptions, raised

FIRST_PORT = 8000  # the simulator's; the stacks take the next two


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default="article", choices=sorted(PROFILES))
    parser.add_argument("--port", default=str(FIRST_PORT), help="of three in a row")
    parser.add_argument("--out", default="out/demo")


def main(arguments: argparse.Namespace) -> int:
    """0 after Ctrl-C, 1 when something does not come up, 2 for a bad option."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        options = staging(arguments)
        with interruptible(), raised(options) as stage:
            _show(stage, console)
            signal.pause()
    except OptionError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except StartError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
    return 0


def staging(arguments: argparse.Namespace) -> StageOptions:
    """The page comes from the streaming stack, and asks the batch stack too; raises OptionError."""
    first = whole("PORT", arguments.port, 1, 65533)
    simulator, legacy, streaming = first, first + 1, first + 2
    settings = {
        "CHAT_LEGACY_URL": f"http://127.0.0.1:{legacy}",
        "CHAT_CORS_ORIGINS": f"http://127.0.0.1:{streaming},http://localhost:{streaming}",
        "CHAT_DRAIN_GRACE_S": "1",  # who presses Ctrl-C has seen enough
    }
    ports = (simulator, legacy, streaming)
    out = folder("OUT", arguments.out)
    return StageOptions(out, profile=arguments.profile, ports=ports, settings=settings)


def _show(stage: Stage, console: Console) -> None:
    legacy, streaming = stage.stacks[LEGACY].url, stage.stacks[STREAMING].url
    console.print(f"Open [bold]{streaming}/[/bold]\n")
    console.print(f"  simulator     {stage.upstream}/v1", style="dim")
    console.print(f"  legacy_flask  curl '{legacy}/chat?prompt=hello'", style="dim")
    console.print(f"  fastapi_app   curl -N '{streaming}/chat?prompt=hello'", style="dim")
    console.print("\nCtrl-C stops all of them.")
