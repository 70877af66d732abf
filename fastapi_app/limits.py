"""What a user may ask for: so many answers in a window of time, and so many at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.auth import Caller

from .services import Services


# region: admitted
@asynccontextmanager
async def admitted(held: Services, who: Caller) -> AsyncIterator[None]:
    """Counts an answer of this user; raises TooManyAnswers or RateLimited, and has then counted nothing."""
    limiter = held.limiter
    async with limiter.answering(who.user):
        await limiter.admit(who.user)
        held.drain.check()  # one that began meanwhile did not see this answer come
        yield
