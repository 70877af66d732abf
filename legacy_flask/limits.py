"""What a user may ask for: so many answers in a window of time, and so many at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.auth import Caller

from .services import services


# region: admitted
@contextmanager
def admitted(who: Caller) -> Iterator[None]:
    """Counts an answer of this user; raises TooManyAnswers or RateLimited, and has then counted nothing."""
    limiter = services().limiter
    with limiter.answering(who.user):
        limiter.admit(who.user)
        yield
