"""How far drafts are trusted: shares of taken tokens by where a draft came from, learned while a candidate answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

# Tokens' worth of the assumptions before anything is seen.
_PRIOR_TOKENS = 12
# Assumed share of tokens that are taken where known answers are followed, by how many of them came so far; and where
# what followed the same tokens elsewhere is followed, by how many agreed.
_KNOWN = {1: 0.8, 2: 0.88, 4: 0.94, 8: 0.97}
_AGREED = {2: 0.4, 3: 0.55, 4: 0.7, 6: 0.8, 9: 0.9, 16: 0.95}


@dataclass(frozen=True)
class Source:
    """The origin of a drafted token.

    Attributes:
        known: Whether it follows in known answers; else it was looked up.
        support: Number of answers that came so far, or of tokens that agreed.
    """

    known: bool
    support: int

    @property
    def kind(self) -> tuple[bool, int]:
        """The sources that it shares an estimate with."""
        assumed = _assumed(self.known)
        return self.known, max((least for least in assumed if least <= self.support), default=min(assumed))


class Trust:
    """Estimates, for one candidate; they follow from its answers alone, never from time."""

    def __init__(self) -> None:
        self._taken: dict[tuple[bool, int], int] = defaultdict(int)
        self._tried: dict[tuple[bool, int], int] = defaultdict(int)

    def of(self, source: Source) -> float:
        """Probability that the next token of a draft is taken if all before it were."""
        known, support = source.kind
        prior = _assumed(known)[support] * _PRIOR_TOKENS
        return (self._taken[known, support] + prior) / (self._tried[known, support] + _PRIOR_TOKENS)

    def length(self, source: Source, least: float) -> int:
        """Number of drafted tokens whose probability is at least ``least``."""
        return int(math.log(least) / math.log(self.of(source)))

    def learn(self, source: Source, taken: int, *, missed: bool) -> None:
        """Takes what came of a draft: how many of its tokens were taken, and whether one was tried and not taken."""
        self._taken[source.kind] += taken
        self._tried[source.kind] += taken + missed


def _assumed(known: bool) -> Mapping[int, float]:
    return _KNOWN if known else _AGREED
