"""Answers of merges: scored as a search scores its candidates, and kept on disk as soon as they are there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evomerge.candidate import Worker
from evomerge.config import compose
from evomerge.evaluation import Ask, Failure, Job, Response
from evomerge.recipe import Recipe
from evomerge.run.search import prepare
from experiments.responses.families import Family

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Answered:
    """The answers of one merge.

    Attributes:
        values: Task and metric, joined by a slash, to one value per item, ``(items,)``; under ``probabilities`` those
            of the options, ``(items, options)``.
        seconds: Of merging and scoring.
        error: The failure of a merge that has no answers.
    """

    values: Mapping[str, Array]
    seconds: float
    error: Failure | None = None


class Landscape:
    """The merges of a family.

    Args:
        family: The family; its models are there.
        work: Folder for what has been answered.

    Attributes:
        spec: The search space.
        starts: Known points of it, which searches begin with, ``(k, n_var)``.
        baselines: Base, experts and their average, by name.
        items: Task to its items, those of the three splits one after the other.
        split: Split of each item.
        fresh: How many merges have been scored now, and not before.
    """

    def __init__(self, family: Family, work: Path) -> None:
        self.family = family
        prepared = prepare(compose.search([*family.words, f"run_dir={work / 'run'}"]), lambda _: None)
        assembly = prepared.assembly
        self._suite = assembly.suite
        self._worker = Worker(prepared.settings, assembly.suite)
        self.spec, self.starts, self.baselines = assembly.spec, assembly.starts, assembly.baselines
        asked = {
            split: {task: _spread(ids, family.items[split]) for task, ids in tasks.items()}
            for split, tasks in assembly.suite.items.items()
        }
        self._asked = asked
        self.items = {task: tuple(id for tasks in asked.values() for id in tasks[task]) for task in asked["search"]}
        self.split = {id: split for split, tasks in asked.items() for ids in tasks.values() for id in ids}
        self._folder = work / f"answers-{prepared.settings.items[:12]}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self.fresh = 0

    def describe(self, item: str) -> dict[str, object]:
        """An item as people read it."""
        return self._suite.describe(item)

    def scores(self, answered: Answered) -> Array:
        """The family's two objectives on the search split, ``(2,)``; what searches know of a merge."""
        if answered.error is not None:
            return np.zeros(2)
        found = []
        for task, metric in self.family.objectives:
            searched = [self.split[item] == "search" for item in self.items[task]]
            found.append(answered.values[f"{task}/{metric}"][searched].mean())
        return np.array(found)

    def ask(self, recipe: Recipe) -> Answered:
        """A merge's answers to all items, from disk where they are known."""
        file = self._folder / f"{recipe.digest}.npz"
        if not file.exists():
            answered = self._scored(recipe)
            partial = file.with_suffix(".partial")
            with partial.open("wb") as opened:
                about = {"seconds": answered.seconds, "error": answered.error and answered.error.to_json()}
                np.savez_compressed(opened, about=json.dumps(about), **answered.values)
            partial.replace(file)
            self.fresh += 1
        with np.load(file) as kept:
            about = json.loads(str(kept["about"]))
            error = Failure(**about["error"]) if about["error"] else None
            values = {name: kept[name].astype(np.float64) for name in kept.files if name != "about"}
        return Answered(values, about["seconds"], error)

    def _scored(self, recipe: Recipe) -> Answered:
        responses: dict[tuple[str, str], Response] = {}
        seconds = 0.0
        for split, items in self._asked.items():
            outcome = self._worker(Job.of(recipe, items, Ask(split, 1, 0)))
            seconds += sum(outcome.seconds.values())
            if outcome.error is not None:
                return Answered({}, seconds, outcome.error)
            responses |= {response.key: response for response in outcome.responses}
        values: dict[str, Array] = {}
        for task, ids in self.items.items():
            answers = [responses[task, item] for item in ids]
            for metric in answers[0].metrics:
                values[f"{task}/{metric}"] = np.array([answer.metrics[metric] for answer in answers])
            if len(answers[0].logprobs) > 1:
                values[f"{task}/probabilities"] = np.array([_probabilities(answer.logprobs) for answer in answers])
        return Answered({name: array.astype(np.float32) for name, array in values.items()}, seconds)


def _spread(ids: Sequence[str], limit: int | None) -> tuple[str, ...]:
    """At most so many items, from all over a task: neighbours in it are often alike."""
    if limit is None or limit >= len(ids):
        return tuple(ids)
    return tuple(ids[place * len(ids) // limit] for place in range(limit))


def _probabilities(logprobs: tuple[float, ...]) -> Array:
    """Of each option when only the options are possible."""
    values = np.asarray(logprobs, dtype=np.float64)
    weights = np.exp(values - values.max())
    return weights / weights.sum()
