"""What is promised while the upstream is in trouble, streamed and in one JSON."""

from collections.abc import Mapping

from loadtests.provoking.ground import Row
from loadtests.provoking.upstream_faults import (
    BUDGET,
    COMMITTED,
    SHORT,
    UNCOMMITTED,
    Provoke,
    broken_off,
    harmless,
    no_answer,
    open_after_done,
    overdue,
    overrun,
    refused,
    reset_committed,
    retried,
    silent_batch,
    silent_committed,
    silent_midway,
    silent_uncommitted,
    unreachable,
)


def row(
    name: str,
    promise: str,
    provoke: Provoke,
    settings: Mapping[str, str] = SHORT,
    always: Mapping[str, str] = UNCOMMITTED,
) -> Row:
    return Row(f"upstream: {name}", promise, provoke, settings, together=True, always=always)


_STATUS = "with the one error body, streamed or not; recorded failed"
_FAILURE = "the tokens so far, then one failure; recorded failed"
_SILENT = "at the deadline; upstream closed within 1 s"

ROWS = (
    row(
        "silent before the first token",
        f"504 first_token_timeout {_SILENT}",
        silent_uncommitted("stall"),
    ),
    row(
        "trickles comments, no token",
        f"504 first_token_timeout {_SILENT}",
        silent_uncommitted("trickle"),
    ),
    row("silent, batch", f"504 answer_timeout {_SILENT}", silent_batch("stall")),
    row("silent midway, batch", f"504 answer_timeout {_SILENT}", silent_batch("stall-mid")),
    row("trickles white space, batch", f"504 answer_timeout {_SILENT}", silent_batch("trickle")),
    row(
        "silent behind the 200",
        f"heartbeats, then failure first_token_timeout {_SILENT}",
        silent_committed("stall"),
        always=COMMITTED,
    ),
    row(
        "silent midway",
        f"heartbeats, then failure token_timeout {_SILENT}",
        silent_midway("stall-mid"),
        always=COMMITTED,
    ),
    row(
        "trickles empty events midway",
        f"heartbeats, then failure token_timeout {_SILENT}",
        silent_midway("trickle-mid"),
        always=COMMITTED,
    ),
    row(
        "answers too long",
        f"failure answer_timeout {_SILENT}",
        overdue,
        {name: value for name, value in SHORT.items() if "ANSWER" not in name},
        {**UNCOMMITTED, "CHAT_ANSWER_TIMEOUT_S": SHORT["CHAT_ANSWER_TIMEOUT_S"]},
    ),
    row(
        "refuses connections, then takes none",
        "502 upstream_unreachable; 504 connect_timeout at the deadline",
        unreachable,
    ),
    row(
        "RST before the first token",
        f"502 {_STATUS}",
        refused("drop", 502, "upstream_unreachable", 200, 200, 200),
    ),
    row(
        "RST behind the 200",
        "heartbeats, then failure upstream_unreachable",
        reset_committed,
        always=COMMITTED,
    ),
    row("RST midway", _FAILURE, broken_off("drop-mid", "upstream_protocol")),
    row("RST midway, batch", "502 upstream_protocol", no_answer("drop-mid", "upstream_protocol")),
    row("truncated JSON", _FAILURE, broken_off("malformed", "upstream_protocol")),
    row(
        "truncated JSON, batch",
        "502 upstream_protocol",
        no_answer("malformed", "upstream_protocol"),
    ),
    row("HTML with status 200", f"502 {_STATUS}", refused("html", 502, "upstream_protocol", 200)),
    row(
        "no [DONE]",
        "all tokens, then failure upstream_protocol",
        broken_off("no-done", "upstream_protocol", 1),
    ),
    row("open after [DONE]", "done at once; upstream closed within 1 s", open_after_done),
    row("error object midway", _FAILURE, broken_off("error-object", "upstream_error")),
    row("error object, batch", "502 upstream_error", no_answer("error-object", "upstream_error")),
    row("event without choices", "done, no token lost", harmless),
    row(
        "no choices, batch",
        "502 upstream_protocol",
        no_answer("empty-choices", "upstream_protocol"),
    ),
    row(
        "429 with Retry-After",
        "retried when it says so, then 503 with its Retry-After",
        refused("429", 503, "upstream_rate_limited", 429, 429, 429, retry_after="1"),
    ),
    row(
        "500, and again",
        f"502 {_STATUS}",
        refused("500", 502, "upstream_unavailable", 500, 500, 500),
    ),
    row("401", f"502 {_STATUS}, not retried", refused("401", 502, "upstream_unauthorized", 401)),
    row("500, then success", "retried: 200 and the whole answer", retried),
    row(
        "overruns max_tokens",
        f"{BUDGET} tokens, finish_reason length, upstream closed",
        overrun("article", BUDGET),
    ),
    row("overruns within one read", "5 tokens, finish_reason length", overrun("instant", 5)),
)
