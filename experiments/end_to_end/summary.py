"""What the searches of a way say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge.analysis import mean_se, student_quantile
from experiments.spaces.landscape import Array

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Summary:
    """The searches of one way, one a run, by run.

    Attributes:
        true: True scores.
        claimed: Claimed scores.
        low: Lower ends of the claims' intervals.
        high: Upper ends.
        items: Answered items.
        candidates: Candidates.
        seconds: Wall seconds.
    """

    true: Array
    claimed: Array
    low: Array
    high: Array
    items: Array
    candidates: Array
    seconds: Array

    @property
    def optimism(self) -> Array:
        """Claimed less true scores."""
        return self.claimed - self.true

    @property
    def held(self) -> Array:
        """Whether a claim's interval holds the truth."""
        return np.asarray((self.low <= self.true) & (self.true <= self.high))


def summaries(entries: Sequence[Entry]) -> tuple[list[int], dict[str, Summary]]:
    """Runs that all ways have done, and the summary of each way over these."""
    by_way: dict[str, dict[int, Entry]] = {}
    for entry in entries:
        by_way.setdefault(entry["way"], {})[entry["run"]] = entry
    runs = sorted(set.intersection(*(set(found) for found in by_way.values())))
    names = Summary.__dataclass_fields__
    return runs, {
        way: Summary(**{name: np.array([found[run][name] for run in runs], dtype=float) for name in names})
        for way, found in by_way.items()
    }


def over_runs(values: Array) -> tuple[float, float, float]:
    """Mean with its 95 % t interval over runs; without ends for fewer than two."""
    mean, se = mean_se(values)
    if len(values) < 2:
        return mean, -np.inf, np.inf
    half = student_quantile(0.95, len(values) - 1) * se
    return mean, mean - half, mean + half
