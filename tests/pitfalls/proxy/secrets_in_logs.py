"""What nginx writes of a query string when a stack cannot be reached."""

from pathlib import Path

import httpx2

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Ground
from tests.pitfalls.proxies import nginx
from tests.servers import free_port

PITFALL = Pitfall(
    title="no stack listens; error_log at its default level `error`, access_log in its default format",
    article="a short-lived ticket in the address of an EventSource leaves no trace",
    flask="both logs have the prompt",
    fastapi="both logs have the ticket",
    fixed="no log has the ticket",
    fix="an error_log in http that keeps nothing, since it quotes requests; $uri in log_format, not $request",
    guide="proxy",
    number=6,
)
DEFAULTS = (
    ("error_log /dev/null emerg;", ""),
    ("error.log crit;", "error.log error;"),
    ("access.log chat;", "access.log combined;"),
)
PROMPT, TICKET = "a-prompt-nobody-shall-read", "a-ticket-nobody-shall-read"


def observe(ground: Ground) -> Observation:
    def logged(target: str, secret: str, *changes: tuple[str, str]) -> tuple[int, int]:
        """How often the error log and the access log have the secret when nginx has stopped."""
        down = f"http://127.0.0.1:{free_port()}"
        with nginx(down, ground.folder, *changes) as proxy:
            assert httpx2.get(f"{proxy.url}{target}={secret}").status_code == 503
        assert proxy.access_log.read_text("utf-8").count("\n") == 1
        return _count(proxy.folder / "error.log", secret), _count(proxy.access_log, secret)

    flask = logged("/chat?prompt", PROMPT, *DEFAULTS)
    events = "/chat/sessions/one/events?ticket"
    fastapi, fixed = logged(events, TICKET, *DEFAULTS), logged(events, TICKET)
    evidence = (
        f"one request: the ticket stands {fastapi[0]} times in error.log and {fastapi[1]} time in"
        f" access.log; as shipped {fixed[0]} and {fixed[1]} times, beside its line in access.log"
    )
    return Observation(
        _told(flask, "prompt"), _told(fastapi, "ticket"), _told(fixed, "ticket"), evidence
    )


def _count(log: Path, secret: str) -> int:
    return log.read_text("utf-8").count(secret)


def _told(counts: tuple[int, int], secret: str) -> str:
    logs = {(True, True): "both logs have", (False, False): "no log has"}
    return f"{logs.get((counts[0] > 0, counts[1] > 0), 'one log has')} the {secret}"
