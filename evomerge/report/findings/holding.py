"""Whether members hold what each best expert reaches: no worse by more than the margin, in every objective at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from evomerge.analysis import truncation
from evomerge.analysis.margin import FAILS, HOLDS, LEVEL, OPEN, MarginTest, factor_to_settle, margin_test
from evomerge.evaluation import Evaluation, Objective
from evomerge.report.findings.comparison import pairs
from evomerge.report.results import Results
from evomerge.report.wording import PERCENT

MARGIN = 5.0  # points, in runs whose manifest does not say


@dataclass(frozen=True)
class Holding:
    """Whether one member holds every objective.

    Attributes:
        tests: Objective label to its test against that objective's best expert; empty where nothing was compared.
        verdict: :data:`HOLDS`, :data:`OPEN` or :data:`FAILS`, corrected for the number of members; empty where an
            objective could not be compared.
        needed: Number of held-out items of an objective that would settle what is open, if differences stay as they
            are; infinite where none would, 0 where nothing is open.
    """

    tests: Mapping[str, MarginTest] = field(default_factory=dict)
    verdict: str = ""
    needed: float = 0.0

    @property
    def level(self) -> bool:
        """Whether every objective as observed is held, proven or not."""
        return all(test.level for test in self.tests.values())

    @property
    def below(self) -> tuple[str, ...]:
        """Labels of the objectives that as observed are not held."""
        return tuple(label for label, test in self.tests.items() if not test.level)

    def to_json(self) -> dict[str, Any]:
        """Verdict, items needed, and the tests by objective."""
        return {
            "verdict": self.verdict or None,
            "items_needed": int(self.needed) if math.isfinite(self.needed) else None,
            "objectives": {
                label: {
                    **test.difference.to_json(),
                    "margin": test.margin,
                    "p_holds": test.holds,
                    "p_fails": test.fails,
                }
                for label, test in self.tests.items()
            },
        }


def points(results: Results) -> float:
    """The run's margin in points."""
    given = ((results.store.manifest.get("config") or {}).get("confirm") or {}).get("margin")
    return MARGIN if given is None else float(given)


def margin(results: Results, objective: Objective, expert: float) -> float:
    """The margin of an objective in natural units: points of a share, else per cent of the expert's score.

    Args:
        results: The run.
        objective: The objective.
        expert: The best expert's score.
    """
    return points(results) / 100.0 * (1.0 if results.unit(objective) == PERCENT else abs(expert))


def hold(results: Results, test: Evaluation | None) -> Holding:
    """Tests one member against the best expert of every objective; without a verdict yet."""
    objectives = {o.label: o for o in results.objectives}
    best = {label: results.best_expert(label, "test") for label in objectives}
    found: dict[str, MarginTest] = {}
    for label, (_, ours, theirs) in pairs(results, test, {k: name for k, name in best.items() if name}).items():
        objective = objectives[label]
        sign = 1.0 if objective.higher_is_better else -1.0
        allowed = margin(results, objective, theirs.values[label])
        tested = margin_test(ours.strata[label], theirs.strata[label], allowed, sign)
        if tested is None:
            continue
        cut = truncation(ours.strata[label], theirs.strata[label])
        if cut is not None and cut.apart:
            tested = replace(tested, holds=None, fails=None)  # the difference may be one in length
        found[label] = tested
    return Holding(found)


def with_needed(holding: Holding, verdict: str, members: int, items: Mapping[str, int]) -> Holding:
    """A holding with its verdict, and how many items would settle what is open.

    Args:
        holding: The tests.
        verdict: The verdict.
        members: How many members are corrected for.
        items: Objective label to its number of held-out items.
    """
    if verdict != OPEN:
        return replace(holding, verdict=verdict)
    level = LEVEL / max(members, 1)
    if holding.level:  # every objective has to be shown
        left = {label: t for label, t in holding.tests.items() if t.holds is None or t.holds >= level}
        needed = max(_to_settle(left, level, items), default=0.0)
    else:  # one that falls short is enough
        left = {label: holding.tests[label] for label in holding.below}
        needed = min(_to_settle(left, level / len(holding.tests), items), default=math.inf)
    return replace(holding, verdict=verdict, needed=needed)


def _to_settle(tests: Mapping[str, MarginTest], level: float, items: Mapping[str, int]) -> list[float]:
    """For each test the number of items that would settle it; infinite where none would."""
    found = []
    for label, test in tests.items():
        factor = factor_to_settle(test, level) if test.holds is not None else math.inf
        found.append(float(math.ceil(items[label] * factor)) if math.isfinite(factor) else math.inf)
    return found


__all__ = ["FAILS", "HOLDS", "MARGIN", "OPEN", "Holding", "hold", "margin", "points", "with_needed"]
