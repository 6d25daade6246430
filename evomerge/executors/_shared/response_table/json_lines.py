"""Response tables as one file of JSON lines.

The first line holds what rows share: item ids and metric names by task, and the recipes without their coefficients.
Every other line is a candidate: the number of its recipe, its coefficients, and for each task and metric one value per
item, null where it was not asked; a metric that repeats another's values is that metric's name. A failed candidate has
its error instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.evaluation import Failure
from evomerge.executors._shared.response_table.table import Key, Recorded
from evomerge.recipe import Recipe, values_of, with_values, without_values

__all__ = ["read", "write"]

FORMAT = 1


def write(path: Path, candidates: Sequence[Recorded], about: str, decimals: int | None = None) -> None:
    """Writes a table.

    Args:
        path: The file.
        candidates: Its rows.
        about: Where they come from, for people.
        decimals: Values are rounded to so many decimals; None to keep them.
    """
    keys = list(dict.fromkeys(key for candidate in candidates for key in candidate.metrics))
    items: dict[str, list[str]] = {}
    for task, item in keys:
        items.setdefault(task, []).append(item)
    shared = list(dict.fromkeys(without_values(candidate.recipe) for candidate in candidates))
    head = {"format": FORMAT, "about": about, "items": items, "recipes": [recipe.to_json() for recipe in shared]}
    numbers = {recipe: number for number, recipe in enumerate(shared)}
    lines = [head]
    for candidate in candidates:
        row: dict[str, Any] = {"recipe": numbers[without_values(candidate.recipe)]}
        row["coefficients"] = {name: values.tolist() for name, values in values_of(candidate.recipe).items()}
        if candidate.error is not None:
            row["error"] = candidate.error.to_json()
        else:
            row["metrics"] = {task: _columns(candidate, task, ids, decimals) for task, ids in items.items()}
        lines.append(row)
    text = "".join(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")


def read(path: Path) -> list[Recorded]:
    """Reads a table.

    Raises:
        InputError: If the file cannot be read, or is no table of this format; it names the line.
    """
    number, found = 1, list[Recorded]()
    try:
        first, *rows = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        head = json.loads(first)
        if head["format"] != FORMAT:
            raise InputError(f"has table format {head['format']!r}; expected {FORMAT}")
        shared = dict(enumerate(head["recipes"]))
        for row in rows:
            number += 1
            found.append(_candidate(json.loads(row), head["items"], shared))
    except OSError as error:
        raise InputError(f"the response table {path} cannot be read: {error.strerror or error}") from error
    except InputError as error:
        raise InputError([f"{path}, line {number}: {problem}" for problem in error.problems]) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path}, line {number}: is no line of a response table ({type(error).__name__}: {error}); expected what "
            "experiments/recorded writes"
        ) from error
    return found


def _columns(candidate: Recorded, task: str, ids: Sequence[str], decimals: int | None) -> dict[str, Any]:
    answers = [candidate.metrics.get((task, item)) for item in ids]
    names = dict.fromkeys(name for answer in answers if answer is not None for name in answer)
    columns: dict[str, Any] = {}
    for name in names:
        values = [None if answer is None else _rounded(answer.get(name), decimals) for answer in answers]
        columns[name] = next((other for other, column in columns.items() if column == values), values)
    return columns


def _rounded(value: Any, decimals: int | None) -> Any:
    if isinstance(value, list | tuple):
        return [_rounded(one, decimals) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return round(value, decimals) if decimals is not None and isinstance(value, float) else value


def _candidate(row: Mapping[str, Any], items: Mapping[str, Sequence[str]], shared: dict[int, Any]) -> Recorded:
    """Reads a row; the first of a recipe puts the recipe in the place of its JSON."""
    first = shared[row["recipe"]]
    if not isinstance(first, Recipe):
        first = shared[row["recipe"]] = Recipe.from_json({**first, "coefficients": {}})
    recipe = with_values(first, row["coefficients"])
    if "error" in row:
        return Recorded(recipe, error=Failure(row["error"]["kind"], row["error"]["message"]))
    metrics: dict[Key, dict[str, Any]] = {}
    for task, columns in row["metrics"].items():
        for name, column in columns.items():
            values = columns[column] if isinstance(column, str) else column
            for item, value in zip(items[task], values, strict=True):
                if value is not None:
                    metrics.setdefault((task, item), {})[name] = value
    return Recorded(recipe, metrics)
