"""Verdicts on the source articles' figures B3-B5 (CLAIMS.md): what slow and impatient readers cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.reporting.claims import TOLERANCE
from loadtests.reporting.comparison import percent
from loadtests.reporting.figures import Claim, Verdict
from loadtests.reporting.readership import Share

ARTICLE_QUEUE_KIB = 8.0
ARTICLE_BATCH_ABANDONMENT, ARTICLE_STREAM_ABANDONMENT = 0.21, 0.03
TOKENS_DROP = 1 - 890 / 2_100


@dataclass(frozen=True, slots=True)
class Memory:
    """What a client who reads nothing costs a relay: KiB of its process, those that wait for it among them."""

    relay: str
    clients: int
    process_kib: float
    waiting_kib: float
    grows: bool


def b3(relays: Sequence[Memory]) -> Claim:
    """Memory a connection that does not read; our stack first.

    The claim is on memory, so it is the process's growth that is compared, and not the one queue in it.
    """
    article = "memory a connection: unbounded → about 8 KB with asyncio.Queue(maxsize=512)"
    ours = relays[0]
    measured = "a client who reads nothing costs " + ", ".join(map(_cost, relays))
    verdict = "not reproduced" if ours.grows else _at_most(ours.process_kib, ARTICLE_QUEUE_KIB)
    return Claim("B3", article, measured, verdict)


def _cost(memory: Memory) -> str:
    still = ", growing" if memory.grows else ""
    waiting = f"{memory.waiting_kib:,.1f} KiB wait for it{still}"
    return f"{memory.relay} {memory.process_kib:,.0f} KiB at {memory.clients} clients ({waiting})"


def b4(batch: Share, stream: Share) -> Claim:
    """Abandonment; a batch stack that fewer give up on than the article's has nothing to be improved."""
    article = "abandonment 21 → 3 % (and sessions with rage-clicks 34 → 4 %)"
    measured = (
        f"{_of_readers(batch)} → {_of_readers(stream)} give up before the first text, under this model of "
        "patience; rage-clicks are not modelled"
    )
    if batch.high < ARTICLE_BATCH_ABANDONMENT or stream.low > ARTICLE_STREAM_ABANDONMENT:
        return Claim("B4", article, measured, "not reproduced")
    beaten = stream.high < ARTICLE_STREAM_ABANDONMENT
    return Claim("B4", article, measured, "beaten" if beaten else "reproduced")


def b5(batch_tokens: float, stream_tokens: float) -> Claim:
    """Tokens an answer that are paid for; the article's answers are longer, so it is the change that counts."""
    article = "tokens a response 2,100 → 890 (−58 %), because readers leave and generation stops"
    drop = 1 - stream_tokens / batch_tokens
    measured = (
        f"{batch_tokens:.0f} → {stream_tokens:.0f} tokens an answer ({percent(-drop, sign=True)}), under this "
        "model of reading: the answer is written long before it is read"
    )
    if drop > TOKENS_DROP * (1 + TOLERANCE):
        return Claim("B5", article, measured, "beaten")
    near = drop >= TOKENS_DROP * (1 - TOLERANCE)
    return Claim("B5", article, measured, "reproduced" if near else "not reproduced")


def _of_readers(one: Share) -> str:
    return f"{100 * one.share:.1f} % ({100 * one.low:.1f}–{100 * one.high:.1f})"


def _at_most(measured: float, article: float) -> Verdict:
    if measured < article * (1 - TOLERANCE):
        return "beaten"
    return "reproduced" if measured <= article * (1 + TOLERANCE) else "not reproduced"
