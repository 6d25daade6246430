"""Runs with the same objectives, which can be compared."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import Interval
from evomerge.analysis.pareto import hypervolume
from evomerge.analysis.sweeps import LEVELS, Importance, Spread, attainment_surface, importance, paired_by, spread
from evomerge.evaluation import Objective
from evomerge.report.findings.indicators import scaled_r2
from evomerge.report.sweep.runs import SPLITS, SweepRun

SEED, HYPERVOLUME, R2, DEFAULT = "seed", "hypervolume", "R2", "as by default"
_BUDGETS = {"evaluations", "budgets.evaluations"}
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """One number of every run.

    Attributes:
        label: The objective, ``hypervolume`` or ``R2``.
        higher: Whether more is better.
        unit: The unit of its values; empty where they have none.
        values: One per run, natural units; NaN where a run has none.
    """

    label: str
    higher: bool
    unit: str
    values: tuple[float, ...]

    def of(self, rows: Sequence[int]) -> Spread:
        """Mean, spread and best of some runs."""
        return spread([self.values[row] for row in rows], self.higher)


class Group:
    """Runs with the same objectives.

    Attributes:
        runs: The runs.
        keys: The keys that the sweep varies.
        objectives: What all of them searched for.
        unit: Objective label to the unit of its scores; empty where they have none.
        split: The split whose scores they are compared by: the test split where any has been confirmed.
    """

    def __init__(self, runs: Sequence[SweepRun], keys: Sequence[str], units: Mapping[str, str]) -> None:
        self.runs = tuple(runs)
        self.keys = tuple(keys)
        self.objectives: tuple[Objective, ...] = runs[0].objectives
        self.unit = {o.label: units.get(o.label, "") for o in self.objectives}
        self.split = next((split for split in SPLITS if any(split in run.fronts for run in runs)), "search")

    @property
    def several(self) -> bool:
        """Whether there are several objectives."""
        return len(self.objectives) > 1

    @cached_property
    def signs(self) -> Array:
        """Factor per objective between natural units and values to minimise."""
        return np.array([-1.0 if o.higher_is_better else 1.0 for o in self.objectives])

    @cached_property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Key to its value in each run, as written."""
        return {key: tuple(run.job.values.get(key, DEFAULT) for run in self.runs) for key in self.keys}

    @cached_property
    def levels(self) -> dict[str, tuple[str, ...]]:
        """Key to its values in this group, in the order of the runs; only keys with several."""
        found = {key: tuple(dict.fromkeys(values)) for key, values in self.values.items()}
        return {key: levels for key, levels in found.items() if len(levels) > 1}

    @cached_property
    def settings(self) -> dict[str, tuple[int, ...]]:
        """Setting, which is the values of all keys but the seed in words, to its runs."""
        found: dict[str, list[int]] = {}
        for row in range(len(self.runs)):
            words = [f"{key}={self.values[key][row]}" for key in self.levels if key != SEED]
            found.setdefault(", ".join(words) or "all runs", []).append(row)
        return {name: tuple(rows) for name, rows in found.items()}

    def rows(self, key: str, level: str) -> list[int]:
        """The runs that have a value of a key."""
        return [row for row, value in enumerate(self.values[key]) if value == level]

    @property
    def repeated(self) -> bool:
        """Whether any setting has several runs to compare."""
        return any(self.measures[0].of(rows).n > 1 for rows in self.settings.values())

    @cached_property
    def reference(self) -> dict[str, Array]:
        """Split to the common reference point: per objective the worst baseline score of any run, less being better.

        Where no baseline was scored it is the worst score of the fronts.
        """
        found = {}
        for split in SPLITS:
            points = [scores for run in self.runs for scores in run.baselines.get(split, {}).values()]
            points = points or [point for run in self.runs if split in run.fronts for point in run.fronts[split]]
            if points:
                found[split] = np.max(points, axis=0)
        return found

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """The numbers that runs are compared by: of several objectives hypervolume and R2, then the score of each."""
        chosen = [run.chosen.get(self.split) for run in self.runs]
        found = [
            Measure(
                o.label,
                o.higher_is_better,
                self.unit[o.label],
                tuple(math.nan if row is None else float(self.signs[i] * row[i]) for row in chosen),
            )
            for i, o in enumerate(self.objectives)
        ]
        if not self.several:
            return tuple(found)
        return (Measure(HYPERVOLUME, True, "", self._volumes()), Measure(R2, False, "", self._distances()), *found)

    @cached_property
    def ideal(self) -> dict[str, Array]:
        """Split to the best score of each objective that any run's front or baseline has, less being better."""
        found = {}
        for split in self.reference:
            points = [scores for run in self.runs for scores in run.baselines.get(split, {}).values()]
            points += [point for run in self.runs if split in run.fronts for point in run.fronts[split]]
            found[split] = np.min(points, axis=0)
        return found

    def _distances(self) -> tuple[float, ...]:
        reference, ideal = self.reference.get(self.split), self.ideal.get(self.split)
        return tuple(
            math.nan
            if reference is None or ideal is None or not len(run.fronts.get(self.split, ()))
            else scaled_r2(run.fronts[self.split], ideal, reference)
            for run in self.runs
        )

    def _volumes(self) -> tuple[float, ...]:
        reference = self.reference.get(self.split)
        return tuple(
            math.nan
            if self.split not in run.fronts or reference is None
            else hypervolume(run.fronts[self.split], reference)
            for run in self.runs
        )

    @cached_property
    def best(self) -> str | None:
        """The setting with the best mean of the first measure; the first of equal ones."""
        measure = self.measures[0]
        means = {name: measure.of(rows).mean for name, rows in self.settings.items()}
        known = {name: mean if measure.higher else -mean for name, mean in means.items() if math.isfinite(mean)}
        return max(known, key=lambda name: known[name]) if known else None

    @cached_property
    def behind(self) -> dict[str, Interval | None]:
        """Setting to the first measure of it minus that of the best one, over the seeds that both have.

        The best was found among all, so the intervals hold for all pairs together.
        """
        if self.best is None:
            return {}
        of = {name: self._by_seed(rows) for name, rows in self.settings.items()}
        pairs = len(of) * (len(of) - 1) // 2
        return {name: paired_by(own, of[self.best], pairs) for name, own in of.items() if name != self.best}

    def _by_seed(self, rows: Sequence[int]) -> dict[Hashable, float]:
        seeds = self.values.get(SEED) or (DEFAULT,) * len(self.runs)
        return {seeds[row]: self.measures[0].values[row] for row in rows}

    @cached_property
    def importance(self) -> dict[str, Importance | None]:
        """Measure to what it depends on; None where that cannot be told."""
        columns = [[self.levels[key].index(value) for value in self.values[key]] for key in self.levels]
        table = np.array(columns, dtype=np.int64).reshape(len(columns), len(self.runs)).T
        block = list(self.levels).index(SEED) if SEED in self.levels else None
        return {m.label: importance(table, m.values, block) for m in self.measures}

    @property
    def effects(self) -> list[tuple[int, ...]]:
        """The keys and pairs of keys whose importance is known for any measure, as columns of `levels`."""
        every = [effect.columns for found in self.importance.values() if found for effect in found.effects]
        return sorted(dict.fromkeys(every), key=lambda columns: (len(columns), columns))

    def surfaces(self, split: str, first: int, second: int) -> dict[str, list[Array]]:
        """Setting to its attainment surfaces in two objectives at the quartiles and the median, natural units."""
        signs = self.signs[[first, second]]
        found = {}
        for name, rows in self.settings.items():
            fronts = [
                self.runs[row].fronts[split][:, [first, second]] for row in rows if split in self.runs[row].fronts
            ]
            found[name] = [signs * attainment_surface(fronts, level) for level in LEVELS] if fronts else []
        return found

    def courses(self) -> dict[str, list[Array]]:
        """Setting to the quartiles and the median of the best score after so many candidates, of a single objective."""
        found = {}
        for name, rows in self.settings.items():
            steps = [self.runs[row].course for row in rows if len(self.runs[row].course)]
            found[name] = [
                np.array([1.0, self.signs[0]]) * attainment_surface(steps, level) for level in LEVELS if steps
            ]
        return found

    @cached_property
    def shared_baselines(self) -> dict[str, Mapping[str, Array]]:
        """Split to baselines, natural units, where all compared runs scored the same ones alike."""
        found: dict[str, Mapping[str, Array]] = {}
        for split in SPLITS:
            every = [run.baselines.get(split, {}) for run in self.runs if split in run.fronts]
            alike = every and all(
                own.keys() == every[0].keys() and all(np.array_equal(own[name], every[0][name]) for name in own)
                for own in every
            )
            found[split] = {name: self.signs * scores for name, scores in every[0].items()} if alike else {}
        return found

    @cached_property
    def notes(self) -> list[str]:
        """Reasons to compare these runs with care."""
        compared = [run for run in self.runs if self.split in run.fronts]
        found = []
        if len(compared) < len(self.runs):
            what = "a confirmed member" if self.split == "test" else "a feasible candidate"
            left = len(self.runs) - len(compared)
            found.append(f"{left} of {len(self.runs)} runs without {what}: left out of what follows.")
        if len({run.items.get(self.split) for run in compared}) > 1:
            words = "held-out" if self.split == "test" else "search"
            found.append(
                f"The runs were scored on different {words} items, as settings or seeds chose them: differences "
                "between runs are partly differences between items."
            )
        budgets = {run.candidates for run in compared}
        if len(budgets) > 1 and not _BUDGETS & set(self.levels):
            low, high = min(budgets), max(budgets)
            found.append(f"The runs have {low} to {high} candidates: longer searches find more.")
        if any(not run.job.status.get("finished") for run in compared):
            found.append("Some of the runs are not finished; their scores so far are shown.")
        return found
