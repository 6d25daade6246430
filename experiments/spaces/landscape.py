"""Answers of merges, from one worker as searches have it: merged into a live model and scored there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.candidate import Worker
from evomerge.config import compose
from evomerge.evaluation import SPLITS, Ask, Job
from evomerge.genome import GenomeSpec
from evomerge.recipe import Recipe
from evomerge.run.recipes.space import build_spec
from evomerge.run.recipes.starts import known_starts
from evomerge.run.search import prepare
from experiments.spaces.layouts import LAYOUTS

Array = NDArray[np.float64]
Window = tuple[tuple[str, ...], ...]  # item ids of each of the two tasks


class Family(Protocol):
    """Experts of one base, and two tasks."""

    @property
    def tasks(self) -> tuple[str, str]:
        """The two tasks."""

    def words(self, experts: tuple[str, ...] | None = None) -> list[str]:
        """The words of a search over the family, or over some of its experts."""


@dataclass(frozen=True)
class Space:
    """A search space over some experts.

    Attributes:
        spec: Genomes to recipes.
        starts: Known points of the method that it holds, ``(k, n_var)``.
    """

    spec: GenomeSpec
    starts: Array


class Landscape:
    """Merges of some experts of a family.

    Args:
        family: The family.
        folder: A folder for what is prepared.
        experts: Some of the family's experts; None for all.

    Attributes:
        baselines: Base, experts and their average, by name.
        asked: Items asked so far.
    """

    def __init__(self, family: Family, folder: Path, experts: tuple[str, ...] | None = None) -> None:
        self._words = [*family.words(experts), f"run_dir={folder}"]
        self._family = family
        prepared = prepare(compose.search(self._words))
        self._assembly = prepared.assembly
        self._worker = Worker(prepared.settings, prepared.assembly.suite)
        self._known: dict[tuple[str, str, Window], Array] = {}
        self.baselines = prepared.assembly.baselines
        self.asked = 0

    def space(self, layout: str) -> Space:
        """The search space of a layout."""
        assembly = self._assembly
        config = compose.search([*self._words, *LAYOUTS[layout]])
        spec = build_spec(config, assembly.checkpoints, assembly.method, None)
        return Space(spec, known_starts(assembly.checkpoints, spec, assembly.method, None)[1])

    def window(self, split: str, items: int | None, random: np.random.Generator | None = None) -> Window:
        """Items of a split, the same number of each task: drawn, or the first; None for as many as both tasks have."""
        found, there = [], self._assembly.suite.items[split]
        wanted = min(len(there[task]) for task in self._family.tasks) if items is None else items
        for task in self._family.tasks:
            ids = there[task]
            chosen = range(wanted) if random is None else sorted(random.permutation(len(ids))[:wanted])
            found.append(tuple(ids[place] for place in chosen))
        return tuple(found)

    def answers(self, recipe: Recipe, split: str, window: Window) -> Array:
        """Which items a merge gets right, ``(2, items)``."""
        assert split in SPLITS
        key = recipe.digest, split, window
        if key not in self._known:
            items = dict(zip(self._family.tasks, window, strict=True))
            outcome = self._worker(Job.of(recipe, items, Ask(split, 1, 0)))
            if outcome.error is not None and outcome.error.kind != "nonfinite":
                raise RuntimeError(f"{outcome.error.kind}: {outcome.error.message}")
            right = {response.key: float(response.metrics["acc"]) for response in outcome.responses}
            self._known[key] = np.array([[right.get((task, item), 0.0) for item in ids] for task, ids in items.items()])
            self.asked += sum(map(len, window))
        return self._known[key]

    def scores(self, recipe: Recipe, split: str, window: Window) -> Array:
        """Accuracy on each task, ``(2,)``."""
        return np.asarray(self.answers(recipe, split, window).mean(axis=1))

    def forget(self) -> None:
        """Drops what is known, between searches."""
        self._known.clear()


def random_of(*words: object) -> np.random.Generator:
    """The random numbers of one purpose."""
    return np.random.default_rng([*" ".join(map(str, words)).encode()])


def means(scores: Sequence[Array]) -> Array:
    """Mean over tasks of each row."""
    return np.asarray(scores).mean(axis=1)
