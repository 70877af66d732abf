"""The verdict on the source articles' figure B6 (CLAIMS.md): connections that an idle timeout drops."""

from dataclasses import dataclass

from loadtests.reporting.figures import Claim, Verdict

ARTICLE_DROPS = 12.0
DAY_ANSWERS = 10_000
"""Claim A9: 10k+ daily users; one answer each."""


@dataclass(frozen=True, slots=True)
class Drops:
    """Answers with a silence each, those dropped without heartbeats and with them, and the share of silences
    that are longer than the idle timeout by the distribution that they were drawn from."""

    answers: int
    before: int
    after: int
    share_beyond: float

    @property
    def before_a_day(self) -> float:
        return self.before / self.answers * DAY_ANSWERS

    @property
    def after_a_day(self) -> float:
        return self.after / self.answers * DAY_ANSWERS

    @property
    def article_share(self) -> float:
        """The share of a day's answers that has such a silence when 12 drops a day come about."""
        return ARTICLE_DROPS / (DAY_ANSWERS * self.share_beyond)


def b6(drops: Drops) -> Claim:
    """By the change: how many there were before is the traffic's, and how many are left is the heartbeat's."""
    article = "nginx dropped connections 12 a day → 0"
    measured = (
        f"{drops.before_a_day:.0f} → {drops.after_a_day:.0f} a day of {DAY_ANSWERS:,} answers, each with a "
        f"silence of an assumed length ({drops.answers:,} replayed); the article's 12 come about when "
        f"{drops.article_share:.0%} of the answers have one (computed)"
    )
    return Claim("B6", article, measured, _verdict(drops))


def _verdict(drops: Drops) -> Verdict:
    return "reproduced" if drops.before and not drops.after else "not reproduced"
