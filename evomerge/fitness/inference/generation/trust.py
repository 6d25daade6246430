"""How far drafts are trusted: shares of taken tokens by where a draft came from, learned while a candidate answers."""

from __future__ import annotations

import math
from collections import defaultdict

# Tokens' worth of the assumptions before anything is seen.
_PRIOR_TOKENS = 12
# Assumed share of tokens that are taken where known answers are followed, and by the length of an agreement.
_FOLLOWS = 0.95
_AGREED = ((2, 0.4), (3, 0.55), (4, 0.7), (6, 0.8), (9, 0.9), (16, 0.95))
KNOWN = 0  # source of drafts that are branches of known answers; others are named by their agreement


class Trust:
    """Estimates, for one candidate; they follow from its answers alone, never from time."""

    def __init__(self) -> None:
        self._taken: dict[int, int] = defaultdict(int)
        self._tried: dict[int, int] = defaultdict(int)

    def of(self, source: int) -> float:
        """Probability that the next token of a draft is taken if all before it were.

        Args:
            source: :data:`KNOWN`, or the number of tokens that agreed.
        """
        kind = _kind(source)
        prior = _FOLLOWS if kind == KNOWN else dict(_AGREED)[kind]
        return (self._taken[kind] + prior * _PRIOR_TOKENS) / (self._tried[kind] + _PRIOR_TOKENS)

    def length(self, source: int, least: float) -> int:
        """Number of drafted tokens whose probability is at least ``least``."""
        share = self.of(source)
        return int(math.log(least) / math.log(share)) if share < 1.0 else 2**31

    def learn(self, source: int, taken: int, missed: bool) -> None:
        """Takes what came of a draft: how many of its tokens were taken, and whether one was tried and not taken."""
        kind = _kind(source)
        self._taken[kind] += taken
        self._tried[kind] += taken + missed


def _kind(source: int) -> int:
    return KNOWN if source == KNOWN else max(least for least, _ in _AGREED if least <= source)
