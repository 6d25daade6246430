"""Facts of a sweep, gathered once; the page and the data are views of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

from evomerge.analysis.sweeps import Spread
from evomerge.evaluation import Objective
from evomerge.report.sweep.group import SEED, Group, Measure
from evomerge.report.sweep.runs import SweepRun, read_run
from evomerge.report.wording import NBSP, PERCENT, bounds, count, decimals, number, score, shortened
from evomerge.store import Sweep
from evomerge.store.sweep import FINISHED

_LONG = 60  # letters of a setting in a sentence
SPLIT_SCORES = {"test": "held-out scores", "search": "search scores, which flatter: members were selected by them"}


class SweepFacts:
    """A sweep's facts.

    Attributes:
        sweep: The sweep.
        runs: One run per job, in the order planned.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self._units: dict[tuple[Objective, ...], dict[str, str]] = {}
        self.runs = tuple(read_run(sweep.folder, job, self._units) for job in sweep.jobs)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Runs by what they searched for; runs without a score are in none."""
        found: dict[tuple[Objective, ...], list[SweepRun]] = {}
        for run in self.runs:
            if run.fronts:
                found.setdefault(run.objectives, []).append(run)
        return tuple(
            Group(runs, self.sweep.keys, self._units.get(objectives, {})) for objectives, runs in found.items()
        )

    @cached_property
    def troubled(self) -> list[tuple[SweepRun, str]]:
        """Jobs that are not finished, or cannot be read, with the reason."""
        found = []
        for run in self.runs:
            state = run.job.state
            if state != FINISHED or run.problem or not run.fronts:
                why = [state if state != FINISHED else "", run.job.reason, run.problem]
                if state == FINISHED and not run.fronts and not run.problem:
                    why.append("finished without a feasible candidate")
                found.append((run, " ".join(filter(None, why))))
        return found

    def scores(self, run: SweepRun) -> list[tuple[str, str]]:
        """Each number that a run is compared by, with its unit; none of a run that has no score."""
        found = [(group, group.runs.index(run)) for group in self.groups if run in group.runs]
        return [
            (measure.label, score(measure.values[row], measure.unit))
            for group, row in found
            for measure in group.measures
            if math.isfinite(measure.values[row])
        ]

    @property
    def finished(self) -> int:
        """Number of finished jobs."""
        return sum(run.job.state == FINISHED for run in self.runs)

    @property
    def title(self) -> str:
        """The varied keys, in a line."""
        return f"sweep over {', '.join(self.sweep.keys)}" if self.sweep.keys else "sweep"

    @property
    def headline(self) -> str:
        """The sentence to take away."""
        if not self.groups:
            return f"None of {count(len(self.runs), 'job')} has a score yet."
        if len(self.groups) > 1:
            sets = f"{len(self.groups)} different sets of objectives"
            return f"{count(len(self.runs), 'job')} search for {sets}; runs compare within a set."
        return _finding(self.groups[0])

    @cached_property
    def findings(self) -> dict[str, str]:
        """Objectives of each group to its finding, where there are several groups."""
        return {group_title(group): _finding(group) for group in self.groups} if len(self.groups) > 1 else {}


def group_title(group: Group) -> str:
    """The objectives of a group, in a line."""
    return ", ".join(o.label for o in group.objectives)


def measured(measure: Measure, rows: Sequence[int]) -> str:
    """Mean and standard deviation of some runs, in words."""
    found = measure.of(rows)
    if not found.n:
        return "no score"
    if found.n == 1:
        return f"{score(found.mean, measure.unit)} (one run)"
    mean, sd = (number(value, measure.unit == PERCENT, decimals=places(found)) for value in (found.mean, found.sd))
    unit = f"{NBSP}{measure.unit}" if measure.unit else ""
    return f"{mean} ± {sd}{unit} ({count(found.n, 'run')})"


def places(found: Spread) -> int | None:
    """Decimals that show two digits of a standard deviation; None where it is not known."""
    return min(6, max(0, 1 - math.floor(math.log10(found.sd)))) if 0.0 < found.sd < math.inf else None


def difference(group: Group, setting: str) -> str:
    """A setting's difference to the best one, in words; empty for that one, and where it is not known."""
    found, unit = group.behind.get(setting), group.measures[0].unit
    if found is None or not math.isfinite(found.low):
        return ""
    shown = number(found.mean, unit == PERCENT, True, decimals(found))
    return f"{shown} {bounds(found, unit, True)}"


def _finding(group: Group) -> str:
    measure = group.measures[0]
    where = "on held-out items" if group.split == "test" else "on search items"
    what = "hypervolume" if group.several else f"{measure.label} of the chosen member"
    if len(group.settings) == 1 or group.best is None:
        (rows,) = list(group.settings.values())[:1]
        return f"{what.capitalize() if group.several else what} {where}: {measured(measure, rows)}."
    rest = [name for name in group.settings if name != group.best and measure.of(group.settings[name]).n]
    if not rest:
        found = measured(measure, group.settings[group.best])
        return f"Only {shortened(group.best, _LONG)} has a score: {what} {where} {found}."
    sign = 1.0 if measure.higher else -1.0
    second = max(rest, key=lambda name: sign * measure.of(group.settings[name]).mean)
    start = (
        f"{shortened(group.best, _LONG)} has the best mean {what} {where}, "
        f"{measured(measure, group.settings[group.best])}, before {shortened(second, _LONG)} with "
        f"{measured(measure, group.settings[second])}"
    )
    gap = group.behind.get(second)
    if gap is None or not math.isfinite(gap.low):
        return f"{start}; whether that is chance cannot be told without seeds that both have run."
    return f"{start}; the difference {'is more than' if gap.high < 0.0 or gap.low > 0.0 else 'may be'} chance."


__all__ = ["SEED", "SPLIT_SCORES", "SweepFacts", "difference", "group_title", "measured", "places"]
