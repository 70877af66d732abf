"""gzip of nginx, told to take events as well."""

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Ground
from tests.pitfalls.proxies import BUFFERING, nginx
from tests.pitfalls.servers import gunicorn
from tests.pitfalls.two_events import PATIENCE_S, First, fastapi_app, probe

PITFALL = Pitfall(
    title="gzip_types text/event-stream, HTTP/1.1 to the app, proxy_buffering on",
    article="compression makes a stream smaller and costs nothing else",
    flask="the first event waits for the end",
    fastapi="the first event waits for the end",
    fixed="the first event comes at once",
    fix="gzip off where streams pass; its default types leave events alone, proxy_buffering off flushes each",
    guide="proxy",
    number=4,
)
GZIP = ("gzip off;", "gzip on; gzip_types text/event-stream;")


def observe(ground: Ground) -> Observation:
    def seen(app: str, *changes: tuple[str, str]) -> First:
        with nginx(app, ground.folder, *changes) as proxy:
            return probe(proxy.url, app)

    where = "tests.pitfalls.two_events:flask_app()"
    with gunicorn(ground.folder, where, "gthread", "--threads", "4") as app:
        flask = seen(app.url, GZIP, BUFFERING)
    with ground.serving(fastapi_app()) as url:
        fastapi = seen(url, GZIP, BUFFERING)
    with ground.serving(fastapi_app()) as url:
        flushed, fixed = seen(url, GZIP), seen(url)
    evidence = (
        f"the first event was read after {fastapi.took_ms:,.0f} ms, with the end of a stream of"
        f" {PATIENCE_S:g} s; with gzip and proxy_buffering off after {flushed.took_ms:.1f} ms; as shipped,"
        f" without gzip, after {fixed.took_ms:.1f} ms"
    )
    return Observation(flask.words, fastapi.words, fixed.words, evidence)
