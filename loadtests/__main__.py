"""The command line of the harness; the Makefile's targets are its subcommands."""

import argparse
import importlib
import sys

COMMANDS = {
    "run": ("loadtests.run", "replay the same requests against both stacks and compare"),
    "report": ("loadtests.report", "write the report of a finished run again"),
    "parity": ("loadtests.parity", "send one corpus to both stacks and compare the answers"),
    "sweep": ("loadtests.sweep", "both stacks over rising concurrency"),
    "bench": ("loadtests.bench", "CPU of a relayed token: ours, the articles' recipe, nginx"),
    "bench-simulator": ("loadtests.bench_simulator", "CPU of a simulated token, and its deadlines"),
    "bench-limiter": ("loadtests.bench_limiter", "what a limit a user costs a call, beside a PING"),
    "faults": ("loadtests.faults", "every fault provoked for real, and its promise checked"),
    "slow-readers": ("loadtests.slow_readers", "clients who read nothing: what they cost a relay"),
    "readers": ("loadtests.readers", "impatient readers against both stacks: what is paid for"),
    "knobs": ("loadtests.knobs", "each knob between a token and its reader, alone and together"),
    "drops": ("loadtests.drops", "silent stretches through an idle timeout, heartbeat on and off"),
    "rolling": ("loadtests.rolling", "streams through nginx while each backend is restarted"),
    "proxy": ("loadtests.proxy", "nginx as deploy/ ships it, before both stacks, until Ctrl-C"),
    "deploy-check": ("loadtests.deploy_check", "what deploy/ ships, as nginx and systemd see it"),
    "readme": ("loadtests.readme", "put the committed figures into the README"),
    "simulate": (
        "loadtests.simulator",
        "an OpenAI-compatible upstream that keeps its own timeline",
    ),
    "demo": ("loadtests.demo", "the page, both stacks and the simulator, until Ctrl-C"),
}


def main(arguments: list[str]) -> int:
    """Imports the one command that is asked for: each has its own, some of them heavy, dependencies."""
    parser = argparse.ArgumentParser("loadtests", description=__doc__)
    listed = "\n".join(f"  {name:16} {text}" for name, (_, text) in COMMANDS.items())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"commands:\n{listed}"
    parser.add_argument("command", choices=COMMANDS, metavar="command")
    parser.add_argument("options", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    module_name, text = COMMANDS[chosen.command]
    module = importlib.import_module(module_name)
    command = argparse.ArgumentParser(f"loadtests {chosen.command}", description=text)
    module.add_arguments(command)
    return int(module.main(command.parse_args(chosen.options)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
