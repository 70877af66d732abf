"""Server-sent events as a browser reads them: WHATWG HTML standard, section 9.2.6, word for word."""

import re
from typing import NamedTuple


class Dispatched(NamedTuple):
    """One event that a page would get."""

    name: str
    data: str
    last_id: str


def parse(stream: bytes) -> list[Dispatched]:
    """The events that are complete; an event without its empty line is discarded, as the standard says."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _incomplete = re.split("\r\n|\n|\r", text)
    events: list[Dispatched] = []
    data, name, last_id = "", "", ""
    for line in lines:
        if not line:
            if data:
                events.append(Dispatched(name or "message", data.removesuffix("\n"), last_id))
            data, name = "", ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


def comments(stream: bytes) -> list[bytes]:
    """The lines that a page never sees."""
    return [line for line in re.split(b"\r\n|\n|\r", stream) if line.startswith(b":")]
