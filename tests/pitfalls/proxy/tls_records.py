"""proxy_buffering on, and a client over TLS: nginx fills a TLS buffer before it writes."""

import json
from pathlib import Path

import uvloop

from loadtests.http2 import take_http2
from loadtests.nginx import Change
from loadtests.streams import Asking
from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Ground
from tests.pitfalls.proxies import BUFFERING, nginx
from tests.pitfalls.servers import gunicorn
from tests.pitfalls.two_events import PATIENCE_S, First, fastapi_app, probe

PITFALL = Pitfall(
    title="proxy_buffering on, HTTP/1.1 to the app, and a client by HTTP/1.1 over TLS",
    article="a stream that passes nginx on the plain port passes it",
    flask="the first event waits for the end",
    fastapi="the first event waits for the end",
    fixed="the first event comes at once",
    fix="proxy_buffering off; look at a stream the way its clients come: over TLS, by HTTP/1.1 and HTTP/2",
    guide="proxy",
    number=7,
)


def observe(ground: Ground) -> Observation:
    def seen(app: str, *changes: Change) -> First:
        with nginx(app, ground.folder, *changes) as proxy:
            return probe(proxy.tls_url, app, proxy.certificate)

    where = "tests.pitfalls.two_events:flask_app()"
    with gunicorn(ground.folder, where, "gthread", "--threads", "4") as app:
        flask = seen(app.url, BUFFERING)
    with ground.serving(fastapi_app()) as url:
        fastapi, fixed = seen(url, BUFFERING), seen(url)
        with nginx(url, ground.folder, BUFFERING) as proxy:
            plain = probe(proxy.url, url)
            http2_ms = _by_http2(proxy.ports.tls, proxy.certificate)
    evidence = (
        f"by HTTP/1.1 over TLS the first event after {fastapi.took_ms:,.0f} ms, with the end of a"
        f" stream of {PATIENCE_S:g} s: it waits in nginx's ssl_buffer_size of 16 KiB; by HTTP/2 through it"
        f" after {http2_ms:.1f} ms, without TLS after {plain.took_ms:.1f} ms; as shipped, over TLS,"
        f" after {fixed.took_ms:.1f} ms"
    )
    return Observation(flask.words, fastapi.words, fixed.words, evidence)


def _by_http2(port: int, certificate: Path) -> float:
    """Milliseconds from the writing of the first event, which the second one tells, to its read."""
    asking = Asking("two-events", target="/events", headers=())
    [taken] = uvloop.run(take_http2(port, certificate, [asking]))
    _, second = taken.events()
    written_ns: int = json.loads(second.data)["written_ns"]
    return (taken.reads[0][0] - written_ns) / 1e6
