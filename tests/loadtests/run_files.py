"""Synthetic but plausible run directories: the files that a run leaves, without a run."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MS = 1_000_000
STACKS = ("legacy_flask", "fastapi_app")


@dataclass(frozen=True)
class Shape:
    """What the synthetic run looks like; the defaults make a valid one of the article profile."""

    requests: int = 200
    tokens: int = 500
    ttft_ms: float = 1200.0
    generation_ms: float = 6400.0
    batch_overhead_ms: float = 6.0
    first_chunk_ms: float = 2.0
    spread: float = 0.0
    seed: int = 7
    timeline: bool = True
    ways: tuple[str, ...] = ("direct",)
    nginx_ms: float = 0.5
    run: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One request of the corpus: what the model does with it is the same on both stacks."""

    index: int
    ttft_ms: float
    token_ms: list[float]
    token_chars: list[int]


def write_run(out: Path, shape: Shape | None = None) -> Path:
    """Writes run.json, samples.jsonl, stalls.jsonl and timeline.jsonl into `out` and returns it."""
    shape = shape or Shape()
    draw = random.Random(shape.seed)
    requests = [_request(index, shape, draw) for index in range(shape.requests)]
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").write_text(json.dumps(run_json(shape)))
    with (
        (out / "samples.jsonl").open("w") as samples,
        (out / "timeline.jsonl").open("w") as timeline,
    ):
        for stack in STACKS:
            for way in shape.ways:
                for request in requests[: len(requests) // (1 if way == "direct" else 2)]:
                    sample, emission = _answered(stack, request, shape, draw)
                    more = shape.nginx_ms if way == "nginx" else 0.0
                    samples.write(json.dumps(_by(way, sample, more)) + "\n")
                    timeline.write(json.dumps(emission | {"way": way}) + "\n")
    if not shape.timeline:
        (out / "timeline.jsonl").unlink()
    write_stalls(out, [abs(draw.gauss(0, 400)) for _ in range(500)], shape.ways)
    return out


def production_run(out: Path, **changes: Any) -> Path:
    """A run of the production profile, half of it again through nginx, with what a browser painted."""
    proxied = {"requests": 100, "stacks": {name: {"proxy_cpu_s": 0.5} for name in STACKS}}
    run = {
        "scenario": "production",
        "profile": "production",
        "article": "B",
        "proxied": proxied,
        "serialisation_ms": {"mean": 0.01, "p50": 0.01, "p95": 0.02, "p99": 0.03, "max": 1, "n": 9},
        "views": {
            "by": "Chromium 140",
            "first_words_ms": {"legacy_flask": [9_130.0], "fastapi_app": [185.0]},
        },
    }
    shape = Shape(
        tokens=20,
        ttft_ms=164.0,
        generation_ms=8_936.0,
        ways=("direct", "nginx"),
        run=run | changes,
    )
    return write_run(out, shape)


def _by(way: str, sample: dict[str, Any], more_ms: float) -> dict[str, Any]:
    """A sample as it came by a way, of which all but the sending is so much later."""
    if sample["kind"] == "batch":
        sample["headers_ns"] = sample["first_ns"]
    stamps = ("headers_ns", "first_ns", "last_ns")
    return sample | {"way": way} | {name: sample[name] + int(more_ms * MS) for name in stamps}


def write_stalls(out: Path, lateness_us: list[float], ways: tuple[str, ...] = ("direct",)) -> None:
    """The same stalls for both stacks, by each way."""
    lines = [
        {"stack": stack, "phase": "1", "worker": 0, "lateness_us": lateness_us, "way": way}
        for stack in STACKS
        for way in ways
    ]
    (out / "stalls.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def change_lines(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Rewrites a JSONL file, each line as `change` returns it."""
    lines = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def run_json(shape: Shape) -> dict[str, Any]:
    """run.json of a shape, with what its `run` overrides."""
    n = shape.requests
    stacks = {
        "legacy_flask": _processes(
            "gunicorn gthread, 1 worker, 232 threads", n * 2.4e-3, 96.0, 71.0
        ),
        "fastapi_app": _processes("uvicorn, uvloop, httptools, 1 worker", n * 21e-3, 88.0, 79.0),
    }
    return {
        "scenario": "article",
        "requests": n,
        "users": 200,
        "rate": None,
        "seed": shape.seed,
        "profile": "article",
        "versions": {
            "python": "3.11.7",
            "fastapi": "0.115.14",
            "flask": "3.1.2",
            "uvicorn": "0.54.0",
        },
        "host": {"cpu": "AMD EPYC 7B13", "cores": 2, "kernel": "6.1.0-28"},
        "coalesce": {"tokens": 4, "window_ms": 50},
        "stacks": stacks,
        "harness": {
            "cpu_share": {"client": 0.31, "simulator": 0.22},
            "deadline_miss_ms": {
                "mean": 0.2,
                "p50": 0.1,
                "p95": 0.6,
                "p99": 1.1,
                "max": 4.2,
                "n": n,
            },
        },
        "handling": {
            "legacy_flask": {"requests_per_s": 900.0, "cpu_ms_per_request": 1.1, "n": 2000},
            "fastapi_app": {"requests_per_s": 1400.0, "cpu_ms_per_request": 0.7, "n": 2000},
        },
        "interrupted": False,
        "expects_errors": False,
        "same_answers": True,
        "started": "2026-11-20T22:00:00Z",
        **shape.run,
    }


def _processes(server: str, cpu_s: float, peak: float, idle: float) -> dict[str, Any]:
    return {
        "server": server,
        "cpu_s": cpu_s,
        "idle_rss_mib": idle,
        "rss_peak_mib": peak,
        "measured_s": 400.0,
        "warmup": 20,
    }


def _request(index: int, shape: Shape, draw: random.Random) -> Request:
    ttft = shape.ttft_ms * draw.lognormvariate(0, shape.spread)
    last = shape.generation_ms * draw.lognormvariate(0, shape.spread)
    step = last / max(1, shape.tokens - 1)
    token_ms = [ttft + i * step for i in range(shape.tokens)]
    return Request(index, ttft, token_ms, [draw.randint(1, 8) for _ in range(shape.tokens)])


def _answered(
    stack: str, request: Request, shape: Shape, draw: random.Random
) -> tuple[dict[str, Any], dict[str, Any]]:
    start = 10**15 + request.index * 40 * MS + STACKS.index(stack) * 10**12
    received = start + int((0.8 + draw.expovariate(2)) * MS)
    emission = _emission(stack, request, received)
    sample = _sample(stack, request, start, draw)
    if stack == "legacy_flask":
        total = request.token_ms[-1] + shape.batch_overhead_ms * draw.lognormvariate(0, 0.4) + 1
        stamp = start + int(total * MS)
        emission |= {"token_us": [], "token_chars": []}
        return sample | {"first_ns": stamp, "last_ns": stamp}, emission
    return sample | _chunks(request, start, received, shape, draw), emission


def _emission(stack: str, request: Request, received: int) -> dict[str, Any]:
    return {
        "request_id": f"r7-{request.index:06d}",
        "stream": stack == "fastapi_app",
        "status": 200,
        "received_ns": received,
        "first_ns": received + int(request.token_ms[0] * MS),
        "last_ns": received + int(request.token_ms[-1] * MS),
        "queued_ns": 0,
        "tokens": len(request.token_ms),
        "planned": len(request.token_ms),
        "tokens_after_disconnect": 0,
        "disconnected_ns": None,
        "token_us": [int(ms * 1000) for ms in request.token_ms],
        "token_chars": request.token_chars,
        "prompt_tokens": 40,
        "cached_tokens": 0,
        "stack": stack,
        "phase": "1",
    }


def _sample(stack: str, request: Request, start: int, draw: random.Random) -> dict[str, Any]:
    return {
        "stack": stack,
        "phase": "1",
        "index": request.index,
        "request_id": f"r7-{request.index:06d}",
        "kind": "batch" if stack == "legacy_flask" else "stream",
        "status": 200,
        "error": None,
        "scheduled_ns": start - int(draw.expovariate(4) * MS),
        "start_ns": start,
        "headers_ns": start + 2 * MS,
        "text_sha": f"{request.index * 2654435761 % 2**64:016x}",
        "chars": sum(request.token_chars),
        "finish_reason": "stop",
        "completion_tokens": len(request.token_ms),
        "chunk_us": [],
        "chunk_chars": [],
        "worker": 0,
    }


def _chunks(
    request: Request, start: int, received: int, shape: Shape, draw: random.Random
) -> dict[str, Any]:
    """The first token at once, then four a chunk, each chunk a little after its last token."""
    ends = [0, *range(4, len(request.token_ms), 4)]
    if ends[-1] != len(request.token_ms) - 1:
        ends.append(len(request.token_ms) - 1)
    stamps: list[int] = []
    chars: list[int] = []
    begin = 0
    for end in ends:
        lag = shape.first_chunk_ms * draw.lognormvariate(0, 0.5)
        stamp = received + int((request.token_ms[end] + lag) * MS)
        stamps.append(max(stamp, stamps[-1] if stamps else 0))
        chars.append(sum(request.token_chars[begin : end + 1]))
        begin = end + 1
    return {
        "first_ns": stamps[0],
        "last_ns": stamps[-1],
        "chunk_us": [(stamp - start) // 1000 for stamp in stamps],
        "chunk_chars": chars,
    }
