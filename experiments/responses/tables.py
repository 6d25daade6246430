"""The recorded merges of a family as one response table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evomerge.executors._shared.response_table import Recorded, RecordedItem, ResponseTable
from evomerge.recipe import CheckpointRef, Recipe
from experiments.responses.families import Family
from experiments.responses.landscape import Array, Landscape
from experiments.responses.merges import Merge

FIFTHS = 5
PROBABILITIES = "probabilities"


def table(landscape: Landscape, found: Sequence[Merge]) -> ResponseTable:
    """A table of merges, in their order."""
    family = landscape.family
    candidates = tuple(
        Recorded(
            portable(merge.recipe, family),
            {},
            merge.answered.error,
            merge.origin,
            merge.name,
            merge.batch,
            () if merge.genome is None else tuple(merge.genome.tolist()),
            round(merge.answered.seconds, 3),
        )
        for merge in found
    )
    columns = _columns(landscape, found)
    probabilities = {task: known.pop(PROBABILITIES) for task, known in columns.items() if PROBABILITIES in known}
    hard = {
        task: _fifths(known["gold_logprob"][[one.origin == "baseline" for one in candidates]])
        for task, known in columns.items()
    }
    items = tuple(
        _item(family, task, item, landscape.split[item], landscape.describe(item), int(hard[task][place]))
        for task, ids in landscape.items.items()
        for place, item in enumerate(ids)
    )
    scored = sum(one.error is None for one in candidates)
    about = f"{len(candidates)} candidates, {scored} of them with answers to {len(items)} items: {family.about}"
    return ResponseTable(candidates, items, columns, probabilities, about)


def portable(recipe: Recipe, family: Family) -> Recipe:
    """The recipe with the names that models have where they are made by default; its digest stays."""
    if family.models is None:
        return recipe
    folder = str(family.models)

    def renamed(ref: Any) -> Any:
        assert isinstance(ref, CheckpointRef)
        return replace(ref, source=ref.source.replace(folder, family.home))

    base = None if recipe.base is None else renamed(recipe.base)
    found = replace(recipe, sources=tuple(map(renamed, recipe.sources)), base=base)
    assert found.digest == recipe.digest, "models are known by their content"
    return found


def _columns(landscape: Landscape, found: Sequence[Merge]) -> dict[str, dict[str, Array]]:
    """Task to metric to values, ``(merges, items)``; NaN in rows of failed merges."""
    first = next(merge.answered for merge in found if merge.answered.error is None)
    columns: dict[str, dict[str, Array]] = {task: {} for task in landscape.items}
    for name, values in first.values.items():
        nothing = np.full_like(values, np.nan)
        task, _, metric = name.partition("/")
        columns[task][metric] = np.array([merge.answered.values.get(name, nothing) for merge in found])
    return columns


def _fifths(gold_logprobs: Array) -> Array:
    """From 1, easy, to 5, hard, by the baselines' mean log-likelihood of the right answer, ``(items,)``."""
    order = np.argsort(-gold_logprobs.mean(axis=0), kind="stable")
    ranks = np.empty(len(order), dtype=int)
    ranks[order] = np.arange(len(order))
    return 1 + FIFTHS * ranks // len(order)


def _item(
    family: Family, task: str, item: str, split: str, described: Mapping[str, Any], difficulty: int
) -> RecordedItem:
    question = described["question"]
    return RecordedItem(
        task,
        item,
        split,
        family.subtask(task, question),
        described["cluster"],
        difficulty,
        question,
        tuple(described["options"]),
        described["gold"],
        described["doc_hash"],
    )
