"""Are the answers the same? A small set of requests to both stacks, compared one by one."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import msgspec

from loadtests import differences, options
from loadtests.client.reading import Answer, BatchReading, StreamReading, StreamRules
from loadtests.differences import Reply
from loadtests.options import OptionError, RunOptions
from loadtests.parity_requests import Refusal, refusals, valid_requests
from loadtests.processes import StartError
from loadtests.stage import LEGACY, STREAMING, StageOptions, raised
from loadtests.targets import Request, Targets, load_targets, request_for
from shared.schemas import ChatRequest

AT_ONCE = 12
TIMEOUT_S = 120.0
JSON, EVENTS = "application/json", "text/event-stream"
Named = Sequence[tuple[str, ChatRequest]]


@dataclass(frozen=True, slots=True)
class ParityResult:
    """How many requests were compared, and one line for each difference."""

    compared: int
    differences: list[str]


@dataclass(frozen=True, slots=True)
class Probe:
    """One request in the forms that both stacks take; `streams` when the streaming side answers with events."""

    name: str
    legacy: Request
    streaming: Request
    streams: bool = False
    refused: bool = False


def compare(
    legacy_url: str,
    streaming_url: str,
    targets: Targets | Path | str | None = None,
    requests: Named | None = None,
) -> ParityResult:
    """Sends the same requests to both URLs, over real sockets, with the same X-Request-ID.

    Ours by default. Statuses, errors, ids, models and usage are compared where the targets promise the same
    contract; else texts and finish reasons. Raises TargetsError for a description that cannot be used.
    """
    described = targets if isinstance(targets, Targets) else load_targets(targets)
    probes = list(_probes(described, valid_requests() if requests is None else requests))
    comparison = _Comparison(legacy_url, streaming_url, described)
    with comparison.client, ThreadPoolExecutor(AT_ONCE) as pool:
        lines = list(pool.map(comparison.of, probes))
    return ParityResult(len(probes), [line for found in lines for line in found])


class _Comparison:
    def __init__(self, legacy_url: str, streaming_url: str, targets: Targets) -> None:
        limits = httpx2.Limits(max_connections=2 * AT_ONCE)
        self.client = httpx2.Client(timeout=TIMEOUT_S, limits=limits, trust_env=False)
        self._urls = (legacy_url.rstrip("/"), streaming_url.rstrip("/"))
        self._whole = targets.same_contract
        self._batch = BatchReading(targets.legacy.answer)
        self._rules = StreamRules(targets.streaming.events)

    def of(self, probe: Probe) -> list[str]:
        """One line for each way in which the two replies to a probe differ."""
        sent = zip(self._urls, (probe.legacy, probe.streaming), strict=True)
        legacy, streaming = (self._reply(url, request) for url, request in sent)
        found = (
            differences.refusals(legacy, streaming)
            if probe.refused
            else self._answers_differ(probe, legacy, streaming)
        )
        return [f"{probe.name}: {line}" for line in found]

    def _reply(self, url: str, request: Request) -> Reply:
        try:
            response = self.client.request(
                request.method, url + request.target, headers=request.headers, content=request.body
            )
        except httpx2.HTTPError as error:
            return Reply(trouble=f"no answer ({type(error).__name__})")
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Reply(response.status_code, media_type, response.content)

    def _answers_differ(self, probe: Probe, legacy: Reply, streaming: Reply) -> Iterator[str]:
        if not legacy.status == streaming.status == 200:
            yield from differences.refusals(legacy, streaming)
            if legacy.status == streaming.status != 0:
                yield f"is valid, and both refuse it: {differences.shown(legacy)}"
            return
        expected = (JSON, EVENTS if probe.streams else JSON)
        yield from differences.media_types((legacy, streaming), expected)
        folded = self._folded(streaming.body) if probe.streams else self._batch.read(streaming.body)
        yield from differences.answers(self._batch.read(legacy.body), folded, self._whole)

    def _folded(self, body: bytes) -> Answer:
        reading = StreamReading(self._rules)
        reading.feed(body, 0)
        return reading.answer


def _probes(targets: Targets, requests: Named) -> Iterator[Probe]:
    numbered = ((f"parity-{n:06d}", name, chat) for n, (name, chat) in enumerate(requests))
    for request_id, name, chat in numbered:
        legacy = request_for(targets.legacy, chat, request_id)
        streaming = request_for(targets.streaming, chat, request_id)
        yield Probe(name, legacy, streaming, streams=True)
        if targets.same_contract:
            # A client that has not moved yet asks the new stack the old way.
            yield Probe(f"{name}, not streamed", legacy, legacy)
            yield from _by_query(name, chat, request_id)
    if targets.same_contract:
        for number, refusal in enumerate(refusals()):
            yield _refused(refusal, f"parity-refused-{number:06d}")


def _by_query(name: str, chat: ChatRequest, request_id: str) -> Iterator[Probe]:
    given = chat.model_dump(mode="json", exclude_defaults=True)
    target = f"/chat?{urlencode(given)}"
    if chat.prompt is not None and len(target) < 2000:
        request = Request("GET", target, {"X-Request-ID": request_id}, b"")
        yield Probe(f"{name}, by GET", request, request, streams=True)


def _refused(refusal: Refusal, request_id: str) -> Probe:
    headers = {**refusal.request.headers, "X-Request-ID": request_id}
    request = msgspec.structs.replace(refusal.request, headers=headers)
    return Probe(refusal.name, request, request, refused=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a run; only the URLs, the targets and where to write matter."""
    options.add_arguments(parser)
    parser.set_defaults(profile="instant", out="out/parity")


def main(arguments: argparse.Namespace) -> int:
    """0 when the stacks answer alike, 1 when not or when one does not start, 2 for a bad option."""
    try:
        chosen = options.checked(arguments)
        with _urls(chosen) as (legacy_url, streaming_url):
            result = compare(legacy_url, streaming_url, chosen.targets)
    except OptionError as error:
        print(f"parity: {error}", file=sys.stderr)
        return 2
    except StartError as error:
        print(f"parity: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("parity: interrupted; every process is stopped", file=sys.stderr)
        return 130
    return _conclude(result, chosen.out)


@contextlib.contextmanager
def _urls(chosen: RunOptions) -> Iterator[tuple[str, str]]:
    """The addresses that were given, or those of our own stacks, up as long as they are needed."""
    if chosen.legacy_url and chosen.streaming_url:
        yield chosen.legacy_url, chosen.streaming_url
        return
    with raised(StageOptions(chosen.out, chosen.profile, chosen.seed, chosen.workers)) as stage:
        yield stage.stacks[LEGACY].url, stage.stacks[STREAMING].url


def _conclude(result: ParityResult, out: Path) -> int:
    for line in result.differences:
        print(line)
    alike = "the same answers from both stacks" if not result.differences else "the answers differ"
    print(f"Parity: {result.compared} requests, {len(result.differences)} differences: {alike}.")
    out.mkdir(parents=True, exist_ok=True)
    summary = {"compared": result.compared, "differences": result.differences}
    (out / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=1))
    return 1 if result.differences else 0
