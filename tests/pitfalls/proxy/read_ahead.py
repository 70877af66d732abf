"""Buffering where it seems to do no harm: events come at once, and backpressure ends at the proxy."""

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.flood import buffers, fastapi_flood, flask_flood, taken_mib
from tests.pitfalls.ground import Application, Ground
from tests.pitfalls.proxies import BUFFERING, nginx
from tests.pitfalls.servers import gunicorn
from tests.pitfalls.two_events import fastapi_app, probe

PITFALL = Pitfall(
    title="HTTP/1.1 to the app, proxy_buffering on, a reader, and then a client who reads nothing",
    article="with proxy_buffering on a stream does not stream; if it streams, there is no buffering",
    flask="the first event comes at once; nginx buffers the whole stream",
    fastapi="the first event comes at once; nginx buffers the whole stream",
    fixed="the first event comes at once; the app waits for its reader",
    fix="proxy_buffering off, or X-Accel-Buffering: no from the app, which then knows its slow readers",
    guide="proxy",
    number=2,
)


def observe(ground: Ground) -> Observation:
    def taken(application: Application, *changes: tuple[str, str]) -> float:
        with (
            ground.serving(application) as app,
            nginx(app, ground.folder, *changes) as proxy,
        ):
            return taken_mib(proxy.url)

    def first(app: str, *changes: tuple[str, str]) -> tuple[str, float]:
        with nginx(app, ground.folder, *changes) as proxy:
            seen = probe(proxy.url, app)
        return seen.words, seen.took_ms

    where = "tests.pitfalls.two_events:flask_app()"
    with gunicorn(ground.folder, where, "gthread", "--threads", "4") as app:
        flask, _ = first(app.url, BUFFERING)
    with ground.serving(fastapi_app()) as url:
        fastapi, took_ms = first(url, BUFFERING)
    with ground.serving(fastapi_app()) as url:
        fixed, _ = first(url)
    by_flask, by_fastapi = taken(flask_flood(), BUFFERING), taken(fastapi_flood(), BUFFERING)
    shipped = taken(fastapi_flood())
    evidence = (
        f"the first event was read after {took_ms:.1f} ms; for a client who reads 0 bytes nginx took"
        f" {by_fastapi:.1f} MiB with buffering, {shipped:.1f} MiB as shipped, which is what the sockets in"
        " between hold"
    )
    return Observation(
        f"{flask}; {buffers(by_flask)}",
        f"{fastapi}; {buffers(by_fastapi)}",
        f"{fixed}; {buffers(shipped)}",
        evidence,
    )
