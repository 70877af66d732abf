"""What both stacks call the things they observe."""

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

REQUEST_ID_HEADER = "X-Request-ID"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
IN_FLIGHT = "chat_answers_in_flight"
QUEUED_BYTES = "chat_queued_bytes"
TASKS = "chat_tasks"
_HELP = {
    IN_FLIGHT: "Answers under way in this process.",
    QUEUED_BYTES: "Bytes that wait in this process for clients to take them.",
    TASKS: "Tasks of the event loop.",
}
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")


def choose_request_id(offered: str | None) -> str:
    """The client's own id when it is well-formed (1-128 of A-Z a-z 0-9 . _ -), else a new one."""
    # Spaces around a header's value are no part of it (RFC 9110, 5.5), and not every server takes them off.
    chosen = (offered or "").strip(" \t")
    return chosen if _WELL_FORMED.fullmatch(chosen) else uuid.uuid4().hex


def exposition(gauges: Mapping[str, float]) -> bytes:
    """These gauges, and what the kernel accounts to this process, in Prometheus's text format."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Gauges(gauges))
    return generate_latest(registry)


@dataclass(frozen=True, eq=False, slots=True)  # a registry knows its collectors by identity
class _Gauges(Collector):
    values: Mapping[str, float]

    def collect(self) -> Iterator[Metric]:
        for name, value in self.values.items():
            yield GaugeMetricFamily(name, _HELP[name], value=value)
