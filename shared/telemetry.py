"""What both stacks call the things they observe."""

import re
import uuid

REQUEST_ID_HEADER = "X-Request-ID"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")


def choose_request_id(offered: str | None) -> str:
    """The client's own id when it is well-formed (1-128 of A-Z a-z 0-9 . _ -), else a new one."""
    return offered if offered and _WELL_FORMED.fullmatch(offered) else uuid.uuid4().hex
