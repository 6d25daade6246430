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


def columns(entries: Sequence[Entry], names: Sequence[str]) -> tuple[list[int], dict[str, dict[str, Array]]]:
    """Runs that all ways have done, and for each way the values of some fields over these."""
    by_way: dict[str, dict[int, Entry]] = {}
    for entry in entries:
        by_way.setdefault(entry["way"], {})[entry["run"]] = entry
    runs = sorted(set.intersection(*(set(found) for found in by_way.values())))
    return runs, {
        way: {name: np.array([found[run][name] for run in runs], dtype=float) for name in names}
        for way, found in by_way.items()
    }


def summaries(entries: Sequence[Entry]) -> tuple[list[int], dict[str, Summary]]:
    """Runs that all ways have done, and the summary of each way over these."""
    runs, found = columns(entries, tuple(Summary.__dataclass_fields__))
    return runs, {way: Summary(**values) for way, values in found.items()}


def over_runs(values: Array) -> tuple[float, float, float]:
    """Mean with its 95 % t interval over runs; without ends for fewer than two."""
    mean, se = mean_se(values)
    if len(values) < 2:
        return mean, -np.inf, np.inf
    half = student_quantile(0.95, len(values) - 1) * se
    return mean, mean - half, mean + half


def percent(found: tuple[float, float, float], digits: int = 1) -> str:
    """A share with its interval, in per cent."""
    mean, low, high = (100 * value for value in found)
    return f"{mean:.{digits}f} % [{low:.{digits}f}, {high:.{digits}f}]"


def points(found: tuple[float, float, float]) -> str:
    """A difference of shares with its interval, in points."""
    mean, low, high = (100 * value for value in found)
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
