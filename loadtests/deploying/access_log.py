"""nginx's access log as `deploy/nginx.conf` has it written: which requests went to more than one backend."""

import re
from collections import Counter
from collections.abc import Iterable

_LINE = re.compile(
    r"(?:\S+ ){5}(?P<status>\d{3}) \d+ [\d.]+ "
    r"(?P<backends>\S+(?:, \S+)*) (?P<statuses>\S+(?:, \S+)*) \S+(?:, \S+)* (?P<id>\S+)"
)


def sent_again(lines: Iterable[str]) -> Counter[str]:
    """How often a request was sent to another backend, by the status that it had been refused with.

    502 is nginx's word for a backend that took no connection or closed it, 504 for one that did not answer.
    """
    found = filter(None, map(_LINE.fullmatch, map(str.strip, lines)))
    return Counter(status for line in found for status in line["statuses"].split(", ")[:-1])
