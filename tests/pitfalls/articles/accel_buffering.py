"""X-Accel-Buffering as a header of the request, or of the response."""

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.flood import buffers, fastapi_flood, flask_flood, taken_mib
from tests.pitfalls.ground import Application, Ground
from tests.pitfalls.proxies import nginx

# Whether a single event is held back as well depends on how the app's bytes are cut: a chunk that nginx reads
# whole is passed on at once, a part of one waits, and so does an answer that is not chunked.
PITFALL = Pitfall(
    title="nginx with proxy_set_header X-Accel-Buffering no, and a client that reads nothing",
    article="proxy_set_header X-Accel-Buffering no turns nginx's buffering off",
    flask="nginx buffers the whole stream",
    fastapi="nginx buffers the whole stream",
    fixed="the app waits for its reader",
    fix="send X-Accel-Buffering: no as a response header of the app, or set proxy_buffering off",
    guide="proxy",
    number=2,
)
# It tells the upstream, and nobody there asks.
ARTICLE = ("proxy_buffering off;", "proxy_set_header X-Accel-Buffering no;")


def observe(ground: Ground) -> Observation:
    def taken(application: Application) -> float:
        with (
            ground.serving(application) as app,
            nginx(app, ground.folder, ARTICLE) as proxy,
        ):
            return taken_mib(proxy.url)

    flask, fastapi = taken(flask_flood()), taken(fastapi_flood())
    fixed = taken(fastapi_flood({"X-Accel-Buffering": "no"}))
    evidence = (
        f"with the proxy_set_header {fastapi:.1f} MiB had left the app while the client read 0 bytes; with the"
        f" response header {fixed:.1f} MiB, which is what the sockets in between hold"
    )
    return Observation(buffers(flask), buffers(fastapi), buffers(fixed), evidence)
