"""A simulated model that does not come to an end: what a reader who takes nothing must not buy.

Its connections have the send buffer that the kernel gives one on an Ethernet; over loopback's 64 KiB segments
it would give 2.6 MB, and megabytes would wait before any relay has been asked to hold one byte.
"""

import argparse
import sys

from loadtests.profiles import Profile
from loadtests.simulation.upstream import Options
from loadtests.simulator import serve

ETHERNET_SEND_BUFFER = 43_520
"""The kernel doubles it, to the 87,040 bytes of ten segments in flight and as many to come."""


def profile(rate: int, seconds: int) -> Profile:
    """`rate` tokens a second from the start, evenly, for `seconds`."""
    tokens = rate * seconds
    return Profile("flood", first_token_ms=0, generation_ms=seconds * 1000, tokens=tokens)


def main(arguments: list[str]) -> int:
    """`python -m loadtests.unread.flood --rate 200 --for 180`: listens, and prints its address as JSON."""
    parser = argparse.ArgumentParser("flood", description=__doc__)
    parser.add_argument("--rate", type=int, required=True, help="tokens a second of an answer")
    parser.add_argument("--for", type=int, required=True, dest="seconds", help="its length")
    given = parser.parse_args(arguments)
    flood = profile(given.rate, given.seconds)
    serve(Options(flood, send_buffer=ETHERNET_SEND_BUFFER))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
