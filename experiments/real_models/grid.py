"""An exhaustive search over few genes: one weight for each of the two specialists, scored on many items.

If no point of the grid holds both specialists, even one that is chosen by the very items that it is scored on, then it
is not the search that fails: merging by these weights cannot do it. Where the best point lies on the grid's upper edge,
the grid goes on around it until it does not.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.recipe import Recipe
from experiments import json_lines
from experiments.real_models.families import Family
from experiments.real_models.shares import Array, share
from experiments.spaces.landscape import Landscape, Window

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
CHOICE, SCORED = "selection", "test"  # splits: points are chosen by the one and scored on the other
ITEMS: Mapping[str, int | None] = {CHOICE: 120, SCORED: None}


def points(family: Family, levels: Sequence[float] = LEVELS) -> dict[str, tuple[float, ...]]:
    """Name to the weights of all experts: base, specialists, every point of the grid; third experts are left out."""
    others = (0.0,) * (len(family.skills) - 2)
    return {f"{a:g} {b:g}": (a, b, *others) for a, b in itertools.product(levels, repeat=2)}


def run(family: Family, work: Path, levels: Sequence[float] = LEVELS, items: Mapping[str, int | None] = ITEMS) -> Path:
    """Scores what is missing of a family's grid.

    Args:
        family: The family.
        work: Folder for what is made.
        levels: Weights of each specialist.
        items: Split to items of each task; None for all.

    Returns:
        A file with a line for each point: ``point``, ``weights``, ``seconds``, and by split the answers of each task, a
        text of zeros and ones.
    """
    work.mkdir(parents=True, exist_ok=True)
    file = work / f"{family.name}_grid.jsonl"
    done = read(file)
    todo = {name: weights for name, weights in points(family, levels).items() if name not in done}
    if not todo and not beyond(family, done, levels):
        return file
    landscape = Landscape(family, work / "prepared" / family.name)
    space = landscape.space("global")
    windows = {split: landscape.window(split, count) for split, count in items.items()}
    while todo := todo or beyond(family, read(file), levels):
        for number, (name, weights) in enumerate(todo.items(), start=1):
            started = time.perf_counter()
            recipe = space.spec.recipe({"weight": weights})
            entry = {"point": name, "weights": weights, **_answers(landscape, recipe, windows)}
            entry["seconds"] = round(time.perf_counter() - started, 2)
            json_lines.append(file, entry)
            right = " ".join(f"{value:.3f}" for value in answers(entry, SCORED).mean(axis=1))
            print(f"{family.name} grid {number}/{len(todo)}: {name}: {right}, {entry['seconds']:.1f} s", flush=True)
        todo = {}
    return file


def beyond(
    family: Family, done: Mapping[str, Mapping[str, Any]], levels: Sequence[float] = LEVELS
) -> dict[str, tuple[float, ...]]:
    """The points around the best one, on held-out items, that are missing; none where it is within the levels."""
    if not {"1 0", "0 1"} <= set(done):
        return {}
    held_out = np.array([answers(done["1 0"], SCORED)[0], answers(done["0 1"], SCORED)[1]])
    best = max(done, key=lambda name: share(answers(done[name], SCORED), held_out))
    a, b = map(float, best.split())
    if max(a, b) < max(levels):
        return {}
    step = levels[-1] - levels[-2]
    others = (0.0,) * (len(family.skills) - 2)
    around = [(a + i * step, b + j * step) for i, j in itertools.product((-1, 0, 1), repeat=2)]
    return {f"{x:g} {y:g}": (x, y, *others) for x, y in around if min(x, y) >= 0.0 and f"{x:g} {y:g}" not in done}


def _answers(landscape: Landscape, recipe: Recipe, windows: Mapping[str, Window]) -> dict[str, list[str]]:
    found = {split: landscape.answers(recipe, split, window) for split, window in windows.items()}
    return {split: ["".join(str(int(value)) for value in row) for row in rows] for split, rows in found.items()}


def read(file: Path) -> dict[str, dict[str, Any]]:
    """The points that are done."""
    return {entry["point"]: entry for entry in json_lines.read(file)}


def answers(entry: Mapping[str, Any], split: str) -> Array:
    """The answers of a point, ``(2, items)``."""
    return np.array([[float(letter) for letter in row] for row in entry[split]])
