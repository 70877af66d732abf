"""Two running stacks compared: a small set of requests to any, the whole corpus to our own."""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from loadtests import ledger
from loadtests.equality import refused, surface
from loadtests.equality.asking import Advance, Asker, Finding, asked
from loadtests.equality.behind import Doors, Front, seen_behind_nginx
from loadtests.equality.corpus import small_set
from loadtests.equality.mutants import KEY
from loadtests.equality.probes import Probe
from loadtests.equality.questions import Named, questions
from loadtests.equality.relay import Defect, relayed
from loadtests.ledger import Judgement, Ledger, load_ledger
from loadtests.profiles import PROFILES
from loadtests.provoking.upstream import Upstream
from loadtests.stage import LEGACY, STREAMING, Stage
from loadtests.targets import Targets, load_targets

AT_ONCE, WITH_FAULTS, TIMED = 12, 28, 8
"""Requests at a time: of a small set, of the whole corpus, a part of which only waits, and of timed streams."""

NGINX = "Server: nginx"

ANSWERED = "both stacks answer, each in its own words"

SILENCE_S, PATIENCE_S = 3.0, 6.0
"""The stacks' own limits in a whole run, so that a provider that falls silent is reported soon."""


@dataclass(frozen=True, slots=True)
class ParityResult:
    """How many requests were compared; a line for each difference that is not allowed, and each stale entry.

    `alike` says what a result without any of them has shown.
    """

    compared: int
    unlisted: list[str]
    stale: list[str] = field(default_factory=list)
    listed: dict[str, int] = field(default_factory=dict)
    streams_timed: int = 0
    alike: str = "the same answers from both stacks"

    @property
    def differences(self) -> list[str]:
        """All that keeps the stacks from answering alike."""
        return [*self.unlisted, *(f"stale: {line}" for line in self.stale)]


def compare(
    legacy_url: str,
    streaming_url: str,
    targets: Targets | Path | str | None = None,
    requests: Named | None = None,
    advance: Advance = lambda: None,
) -> ParityResult:
    """A small set of requests to both URLs, over real sockets, with the same X-Request-ID.

    Ours by default. Everything but what the ledger allows is compared where the targets promise the same
    contract; else texts and finish reasons. A stream that is long enough must not come in one piece. Raises
    TargetsError for a description that cannot be used, and LedgerError.
    """
    described = targets if isinstance(targets, Targets) else load_targets(targets)
    asker = Asker((legacy_url, streaming_url), described)
    if not described.same_contract:
        named = questions() if requests is None else requests
        found = asked(lambda one: asker.answered(*one), named, AT_ONCE, advance)
        result = _result(asker.confirmed(found), ())
        return result if described.same_answers else replace(result, alike=ANSWERED)
    entries = load_ledger()
    found = asked(asker.compared, small_set(entries, requests), AT_ONCE, advance)
    if any(one.proxy.startswith(NGINX) for one in found):
        entries = seen_behind_nginx(entries)
    return _result(asker.confirmed(found), entries)


def examine(
    stage: Stage,
    probes: Sequence[Probe],
    streams: Sequence[Probe],
    entries: Ledger,
    *,
    defect: type[Defect] | None = None,
    front: Front | None = None,
    whole: bool = True,
    advance: Advance = lambda: None,
) -> ParityResult:
    """Our own stacks, up with `settings`: probes compared, then streams held against the simulator's stamps.

    A proxy with the `defect` stands before the streaming stack, and the `front` before both; `whole` when the
    ledger may name no others. Raises StartError.
    """
    with contextlib.ExitStack() as running:
        own = stage.stacks[STREAMING].url
        if defect is not None:
            own = running.enter_context(relayed(own, defect))
        doors, direct = Doors((stage.stacks[LEGACY].url, own)), None
        if front is not None:
            doors, direct = running.enter_context(front.before(*doors.urls)), own
            entries = seen_behind_nginx(entries)
        key = {"Authorization": f"Bearer {KEY}"}
        asker = Asker(
            doors.urls, load_targets(), key, by_clock=False, direct=direct, trusted=doors.trusted
        )
        found = asked(asker.compared, probes, WITH_FAULTS, advance)
        upstream = Upstream(stage.upstream)
        found += asked(lambda one: asker.timed(one, upstream), streams, TIMED, advance)
    return _result(found, entries, whole=whole)


def settings(profile: str) -> Mapping[str, str]:
    """How the stacks of a whole run are set: with a key, small limits, and one retry at once."""
    chosen = PROFILES[profile]
    answer_s = PATIENCE_S + (chosen.first_token_ms + chosen.generation_ms) / 500
    return {
        "CHAT_API_KEYS": f"parity:{hashlib.sha256(KEY.encode()).hexdigest()}",
        "CHAT_CORS_ORIGINS": surface.ORIGIN,
        "CHAT_MAX_BODY_BYTES": str(refused.MAX_BODY_BYTES),
        "CHAT_UPSTREAM_RETRIES": "1",
        "CHAT_UPSTREAM_RETRY_AFTER_S": "0.5",
        "CHAT_FIRST_TOKEN_TIMEOUT_S": str(SILENCE_S),
        "CHAT_TOKEN_TIMEOUT_S": str(SILENCE_S),
        "CHAT_ANSWER_TIMEOUT_S": str(answer_s),
    }


def _result(found: Sequence[Finding], entries: Ledger, *, whole: bool = False) -> ParityResult:
    seen = {finding.name: finding.aparts for finding in found}
    judged: Judgement = ledger.judge(entries, seen, whole=whole)
    shapes = [f"{finding.name}: {finding.shape}" for finding in found if finding.shape]
    timed_streams = sum(finding.timed for finding in found)
    return ParityResult(
        len(found), [*judged.unlisted, *shapes], judged.stale, judged.listed, timed_streams
    )
