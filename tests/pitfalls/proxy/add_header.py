"""X-Accel-Buffering as a header that nginx itself adds to the response."""

import httpx2

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.flood import buffers, fastapi_flood, flask_flood, taken_mib
from tests.pitfalls.ground import Application, Ground
from tests.pitfalls.proxies import nginx

PITFALL = Pitfall(
    title="nginx with add_header X-Accel-Buffering no, and a client that reads nothing",
    article="add_header X-Accel-Buffering no turns nginx's buffering off",
    flask="nginx buffers the whole stream",
    fastapi="nginx buffers the whole stream",
    fixed="the app waits for its reader",
    fix="send X-Accel-Buffering: no as a response header of the app, or set proxy_buffering off",
    guide="proxy",
    number=3,
)
ADDED = ("proxy_buffering off;", "add_header X-Accel-Buffering no;")


def observe(ground: Ground) -> Observation:
    def seen(application: Application) -> tuple[str | None, float]:
        with (
            ground.serving(application) as app,
            nginx(app, ground.folder, ADDED) as proxy,
        ):
            header = httpx2.get(f"{proxy.url}/written").headers.get("X-Accel-Buffering")
            return header, taken_mib(proxy.url)

    (_, flask), (header, fastapi) = seen(flask_flood()), seen(fastapi_flood())
    _, fixed = seen(fastapi_flood({"X-Accel-Buffering": "no"}))
    evidence = (
        f"the client reads X-Accel-Buffering: {header}, and nginx took {fastapi:.1f} MiB for one who read 0"
        f" bytes; with the header from the app {fixed:.1f} MiB"
    )
    return Observation(buffers(flask), buffers(fastapi), buffers(fixed), evidence)
