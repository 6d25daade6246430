"""What the searches of a way say together, and beside those of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge.analysis import Stratum, stratified_score
from experiments.spaces.landscape import Array, random_of

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Summary:
    """The searches of one way, one a run.

    Attributes:
        searches: Run to record.
    """

    searches: Mapping[int, Entry]

    @property
    def runs(self) -> list[int]:
        """The runs that are done."""
        return sorted(self.searches)

    def column(self, name: str, runs: Sequence[int] | None = None) -> Array:
        """A field of the records, of all runs or of some, by run."""
        return np.array([self.searches[run][name] for run in (self.runs if runs is None else runs)], dtype=np.float64)

    @property
    def optimism(self) -> Array:
        """Claimed less true scores, by run."""
        return self.column("claimed") - self.column("true")

    @property
    def held(self) -> Array:
        """Whether a claim's interval holds the truth, by run."""
        true = self.column("true")
        return np.asarray((self.column("low") <= true) & (true <= self.column("high")))

    def less(self, other: Summary, name: str = "true") -> Array:
        """A field less another way's, over the runs that both have done."""
        both = sorted(set(self.searches) & set(other.searches))
        return self.column(name, both) - other.column(name, both)

    def share(self, other: Summary, name: str = "true") -> Array:
        """A field over another way's, over the runs that both have done."""
        both = sorted(set(self.searches) & set(other.searches))
        return self.column(name, both) / other.column(name, both)


def redrawn(search: Entry, items: int, repeats: int = 200) -> float:
    """How often a claim's interval would hold the truth with other test items.

    They are drawn anew, right answers with the true scores of the model that was returned.

    Args:
        search: The record of a search, with its true scores on each exam.
        items: Test items of each exam.
        repeats: How often they are drawn.
    """
    random, held = random_of("redrawn", search["way"], search["run"]), 0
    for _ in range(repeats):
        answers = [(random.random(items) < score).astype(np.float64) for score in search["exams"]]
        claim = stratified_score([Stratum("", (), values, 1 / len(answers)) for values in answers])
        held += claim.low <= search["true"] <= claim.high
    return held / repeats


def summaries(entries: Sequence[Entry], names: Sequence[str]) -> dict[str, Summary]:
    """The summaries of ways, in the order of their names, as far as they have done a run."""
    found: dict[str, dict[int, Entry]] = {name: {} for name in names}
    for entry in entries:
        if entry["way"] in found:
            found[entry["way"]][entry["run"]] = entry
    return {name: Summary(searches) for name, searches in found.items() if searches}
