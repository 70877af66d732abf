"""What each row of `make knobs` turns, and whether nginx then holds an answer until it is whole.

Seen with nginx 1.22: chunks of HTTP/1.1 pass as soon as they are whole, buffering or not. What has neither
chunks nor a length waits for a full buffer or for the end, unless buffering is off; so does what gzip takes,
and what goes to a client by HTTP/1.1 over TLS.
"""

from dataclasses import dataclass
from typing import Literal

from loadtests.nginx import Change

Server = Literal["httptools", "h11"]
"""How the app's server answers HTTP/1.0: uvicorn's httptools with chunks all the same, its h11 without."""
Reading = Literal["HTTP/1.1", "gzip", "TLS", "HTTP/2"]

HTTPTOOLS = "fastapi_app.connection:Connection"
NEVER_S = "86400"

BUFFERED: Change = ("proxy_buffering off;", "proxy_buffering on;")
HTTP_1_0: Change = ("proxy_http_version 1.1;", "proxy_http_version 1.0;")
GZIP: Change = ("gzip off;", "gzip on; gzip_proxied any; gzip_types text/event-stream;")
_HOST = "proxy_set_header Host $host;"
AS_REQUEST_HEADER: Change = (_HOST, f"{_HOST} proxy_set_header X-Accel-Buffering no;")
AS_ADDED_HEADER: Change = (_HOST, f"{_HOST} add_header X-Accel-Buffering no;")

NO_X_ACCEL, SLEEP, WHOLE_UPSTREAM = "no-x-accel", "sleep-0", "whole-upstream"
"""What examples/knobs.py can turn wrong in the app."""
COALESCE_1 = ("CHAT_COALESCE_TOKENS", "1")
COALESCE_16 = (("CHAT_COALESCE_TOKENS", "16"), ("CHAT_COALESCE_MS", "1000"))
NO_HEARTBEAT = ("CHAT_HEARTBEAT_S", NEVER_S)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting of the knobs; `held` when no text is to arrive before the answer is whole."""

    name: str
    group: str
    changes: tuple[Change, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    wrong: tuple[str, ...] = ()
    server: Server = "httptools"
    reading: Reading = "HTTP/1.1"
    held: bool = False


SHIPPED = Row("all right", "as shipped")

ONE = "one turned"
ONE_TURNED = (
    Row("proxy_buffering on", ONE, (BUFFERED,)),
    Row("no X-Accel-Buffering from the app", ONE, wrong=(NO_X_ACCEL,)),
    Row("HTTP/1.0 to the app", ONE, (HTTP_1_0,)),
    Row("gzip on", ONE, (GZIP,), reading="gzip"),
    Row("1 token a chunk", ONE, settings=(COALESCE_1,)),
    Row("16 tokens a chunk", ONE, settings=COALESCE_16),
    Row("sleep(0) after each chunk", ONE, wrong=(SLEEP,)),
    Row("stream=False upstream", ONE, wrong=(WHOLE_UPSTREAM,), held=True),
    Row("TLS to the client", ONE, reading="TLS"),
    Row("HTTP/2 to the client", ONE, reading="HTTP/2"),
)

DEFAULT = "nginx's defaults"
_DEFAULTS = (BUFFERED, HTTP_1_0)
_SILENT = (NO_X_ACCEL,)
DEFAULTS = (
    Row("buffering on, HTTP/1.0", DEFAULT, _DEFAULTS, wrong=_SILENT, server="h11", held=True),
    Row("and X-Accel from the app", DEFAULT, _DEFAULTS, server="h11"),
    Row(
        "and X-Accel by proxy_set_header",
        DEFAULT,
        (*_DEFAULTS, AS_REQUEST_HEADER),
        wrong=_SILENT,
        server="h11",
        held=True,
    ),
    Row(
        "and X-Accel by add_header",
        DEFAULT,
        (*_DEFAULTS, AS_ADDED_HEADER),
        wrong=_SILENT,
        server="h11",
        held=True,
    ),
    Row("but HTTP/1.1 to the app", DEFAULT, (BUFFERED,), wrong=_SILENT, server="h11"),
    Row(
        "but HTTP/1.1, TLS to the client",
        DEFAULT,
        (BUFFERED,),
        wrong=_SILENT,
        server="h11",
        reading="TLS",
        held=True,
    ),
    Row(
        "but HTTP/1.1, HTTP/2 to the client",
        DEFAULT,
        (BUFFERED,),
        wrong=_SILENT,
        server="h11",
        reading="HTTP/2",
    ),
    Row("but an app that sends chunks anyway", DEFAULT, _DEFAULTS, wrong=_SILENT),
    Row(
        "but HTTP/1.1, and gzip on",
        DEFAULT,
        (BUFFERED, GZIP),
        wrong=_SILENT,
        reading="gzip",
        held=True,
    ),
)

ALONE = "all wrong but one"


def _all_wrong(
    name: str,
    *,
    changes: tuple[Change, ...] = (BUFFERED, HTTP_1_0, GZIP),
    settings: tuple[tuple[str, str], ...] = (*COALESCE_16, NO_HEARTBEAT),
    wrong: tuple[str, ...] = (NO_X_ACCEL, WHOLE_UPSTREAM),
) -> Row:
    return Row(name, ALONE, changes, settings, wrong, server="h11", reading="gzip", held=True)


ALL_WRONG = (
    _all_wrong("all wrong"),
    _all_wrong("only proxy_buffering off is right", changes=(HTTP_1_0, GZIP)),
    _all_wrong("only X-Accel from the app is right", wrong=(WHOLE_UPSTREAM,)),
    _all_wrong(
        "only a flush per token is right",
        settings=(COALESCE_1, NO_HEARTBEAT),
        wrong=(NO_X_ACCEL, WHOLE_UPSTREAM, SLEEP),
    ),
    _all_wrong("only stream=True is right", wrong=(NO_X_ACCEL,)),
    _all_wrong("only a heartbeat is right", settings=COALESCE_16),
)

ROWS = (SHIPPED, *ONE_TURNED, *DEFAULTS, *ALL_WRONG)


@dataclass(frozen=True, slots=True)
class Silence:
    """A model silent for `pause_s`, a proxy that waits `timeout_s`, and a heartbeat or none."""

    timeout_s: float
    heartbeat_s: float | None
    pause_s: float

    @property
    def name(self) -> str:
        beat = f"every {self.heartbeat_s:g} s" if self.heartbeat_s else "none"
        return f"timeout {self.timeout_s:g} s, heartbeat {beat}"

    @property
    def kept(self) -> bool:
        """Whether something is to reach the proxy before it gives up."""
        return self.heartbeat_s is not None and self.heartbeat_s < self.timeout_s


SILENCES = (
    Silence(5.0, 1.25, 7.5),
    Silence(5.0, 15.0, 7.5),
    Silence(5.0, None, 7.5),
    Silence(60.0, 15.0, 65.0),
    Silence(60.0, None, 65.0),
)
"""The first is the real one, the fourth, on a scale of 1 to 12."""


MODEL = "sim:chatty"
LONGEST = 300
"""Tokens, at most, of an answer in a row: the longest of this profile take four times as long."""
