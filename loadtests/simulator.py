"""An OpenAI-compatible upstream that plays one script a request and keeps its own timeline.

POST /v1/chat/completions and GET /v1/models are as at OpenAI. GET /control/timeline and GET /control/stats
say what happened.
"""

import argparse
import asyncio
import gc
import json
import os
import signal
import socket
import sys

import uvloop

from loadtests.profiles import PROFILES
from loadtests.simulation import faults
from loadtests.simulation.upstream import Options, Upstream


def serve(options: Options) -> None:
    """Listens, prints one JSON line with its URL, and runs until SIGTERM or SIGINT.

    Raises OSError when it cannot listen.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options))


async def _serve(options: Options) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    upstream = Upstream(options, loop)
    server = await loop.create_server(upstream.connection, sock=_listen(options), backlog=4096)
    host, port = server.sockets[0].getsockname()[:2]
    # Frozen objects are not looked at again: a collection then costs little beside a tick.
    gc.collect()
    gc.freeze()
    print(json.dumps({"url": f"http://{host}:{port}/v1", "pid": os.getpid()}), flush=True)
    await stop.wait()
    server.close()


def _listen(options: Options) -> socket.socket:
    listener = socket.create_server((options.host, options.port), backlog=4096)
    if options.send_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer)
    return listener


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = Options()
    parser.add_argument("--profile", choices=PROFILES, default=default.profile.name)
    parser.add_argument("--host", default=default.host)
    parser.add_argument("--port", type=int, default=default.port, help="0 is any free port")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--capacity", type=int, default=0, help="answers at a time, 0 is no limit")
    parser.add_argument("--fault", choices=faults.FAULTS, default=default.fault)
    parser.add_argument(
        "--fault-rate", type=_share, default=1.0, help="share of requests with the fault"
    )
    parser.add_argument(
        "--send-buffer", type=int, default=0, help="bytes, 0 is the kernel's choice"
    )


def main(args: argparse.Namespace) -> int:
    fields = ("host", "port", "seed", "capacity", "fault", "fault_rate", "send_buffer")
    options = Options(PROFILES[args.profile], **{name: getattr(args, name) for name in fields})
    try:
        serve(options)
    except (OSError, OverflowError) as error:
        print(f"simulate: cannot listen on {args.host}:{args.port}: {error}", file=sys.stderr)
        return 1
    return 0


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(_parser)
    sys.exit(main(_parser.parse_args()))
