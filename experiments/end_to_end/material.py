"""What is searched: families of tiny decoders, a benchmark for every run, and fresh items that no search can ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from evomerge.evaluation import SPLITS
from evomerge.recipe import Recipe
from experiments.example.example_family.tasks import TASKS, write_tasks
from experiments.responses.families import example
from experiments.spaces.families import Family
from experiments.spaces.landscape import Array, Landscape

FAMILIES = 3
EXAMS = ("exam_a", "exam_b")
BENCHMARK = 600  # items of each exam for a run: about 300 to search on, 120 to select on, 180 to confirm on
FRESH = 2_500  # of each exam, for true scores
_FRESH_SEED, _BENCHMARK_SEED = 70_000, 71_000


class Material:
    """Families and items. Models that are missing are trained, a minute for each family.

    Args:
        work: Folder for models and items.
        fresh: How many fresh items of each exam.
    """

    def __init__(self, work: Path, fresh: int = FRESH) -> None:
        self._work = work.absolute()
        self._fresh_texts = frozenset(_write(self._work / "fresh", fresh, _FRESH_SEED, frozenset()))
        self._made: dict[int, tuple[str, ...]] = {}
        self._truths: dict[int, Landscape] = {}

    def family(self, run: int) -> Family:
        """The family of a run, asked the run's own benchmark: items drawn for it, none of them fresh."""
        folder = self._work / f"benchmark_{run}"
        _write(folder, BENCHMARK, _BENCHMARK_SEED + run, self._fresh_texts)
        return self._asked(run % FAMILIES, folder)

    def landscape(self, run: int) -> Landscape:
        """Merges of a run's family, and their answers to its benchmark."""
        return Landscape(self.family(run), self._work / "prepared")

    def truth(self, run: int, recipe: Recipe) -> Array:
        """True accuracy of a merge on each exam, ``(2,)``: that on all fresh items."""
        number = run % FAMILIES
        if number not in self._truths:
            self._truths[number] = Landscape(self._asked(number, self._work / "fresh"), self._work / "prepared")
        landscape = self._truths[number]
        parts = [landscape.answers(recipe, split, landscape.window(split, None)) for split in SPLITS]
        return np.asarray(np.concatenate(parts, axis=1).mean(axis=1))

    def baselines(self, run: int) -> dict[str, float]:
        """True scores of base, experts and their average, means over both exams."""
        self.truth(run, next(iter(self.landscape(run).baselines.values())))
        known = self._truths[run % FAMILIES].baselines
        return {name: float(self.truth(run, recipe).mean()) for name, recipe in known.items()}

    def _asked(self, number: int, tasks: Path) -> Family:
        """The family of a base seed, asked the tasks of a folder."""
        if number not in self._made:
            made = example(number, self._work)
            made.make()
            place = "example:" if made.models is None else f"{made.models}/"
            self._made[number] = tuple(f"{place}{name}" for name in ("base", "expert_1", "expert_2"))
        base, *experts = self._made[number]
        return Family(f"family {number}", tuple(experts), base, str(tasks), EXAMS)


def _write(folder: Path, items: int, seed: int, elsewhere: frozenset[str]) -> set[str]:
    exams = tuple(replace(task, items=items) for task in TASKS if task.name in EXAMS)
    return write_tasks(folder, exams, seed, elsewhere)
