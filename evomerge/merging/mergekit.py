"""A recipe in mergekit's YAML dialect, where that can express it.

mergekit looks a parameter of a tensor up in lists of ``{filter, value}``: the first entry whose filter is a substring
of the tensor's name has its value, and the last entry has no filter. So groups become substrings here, as few as a
greedy choice finds, and what comes out is checked name by name.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from evomerge import methods
from evomerge.merging.plan.unbuilt import unbuilt
from evomerge.methods import Coefficients, MergeMethod
from evomerge.recipe import CheckpointRef, Recipe, Tokenizer

Filters = tuple[tuple[str | None, int], ...]
"""(substring, class) in order; the last substring is None and takes the rest."""


def mergekit_config(recipe: Recipe, tensor_names: Iterable[str]) -> dict[str, Any] | None:
    """Writes a recipe as a mergekit configuration.

    Args:
        recipe: The recipe.
        tensor_names: Names of all tensors that coefficients apply to.

    Returns:
        The configuration, ready for YAML, or None where mergekit has no way to say the same.
    """
    method = methods.load(recipe.method)
    parameters = method.mergekit(method.resolve(recipe.options))
    if parameters is None or any(unbuilt(recipe)) or not _plain(recipe):
        return None
    names = list(tensor_names)
    values = _effective(recipe, method)
    if values is None:
        return None
    rows = [recipe.groups.index(name) for name in names]
    config: dict[str, Any] = {"merge_method": parameters.get("merge_method", recipe.method)}
    if method.base in ("required", "either") and isinstance(recipe.base, CheckpointRef):
        config["base_model"] = _model(recipe.base)
    elif method.base == "none":
        config["base_model"] = _model(recipe.models[0])
    models: list[dict[str, Any]] = [{"model": _model(ref)} for ref in recipe.models]
    shared: dict[str, Any] = {key: value for key, value in parameters.items() if key != "merge_method"}
    for coefficient, array in values.items():
        if array.ndim == 1:
            shared[coefficient] = _parameter(names, rows, array)
            continue
        for position, entry in enumerate(models):
            entry.setdefault("parameters", {})[coefficient] = _parameter(names, rows, array[:, position])
    config["models"] = models
    if shared:
        config["parameters"] = shared
    return config | {"dtype": recipe.dtype, "out_dtype": recipe.out_dtype}


@functools.lru_cache(maxsize=16)
def filters(names: tuple[str, ...], classes: tuple[int, ...]) -> Filters:
    """Finds substrings that sort names into classes, to be tried in order, first match wins.

    Args:
        names: The names, all different.
        classes: The class of each.

    Returns:
        Substrings with the class of the names they pick; the last is None and takes every other name.
    """
    chosen = _greedy(names, classes)
    if tuple(classify(chosen, name) for name in names) != classes:
        # Whole names always work if no name comes after one that it contains.
        whole = sorted(zip(names, classes, strict=True), key=lambda pair: -len(pair[0]))
        chosen = (*whole, (None, classes[0]))
    return chosen


def classify(chosen: Filters, name: str) -> int:
    """The class that mergekit would give a name."""
    return next(of for substring, of in chosen if substring is None or substring in name)


def _parameter(names: Sequence[str], rows: Sequence[int], values: np.ndarray) -> Any:
    used = sorted({float(values[row]) for row in rows})
    if len(used) == 1:
        return used[0]
    chosen = filters(tuple(names), tuple(used.index(float(values[row])) for row in rows))
    return [
        {"value": used[of]} if substring is None else {"filter": substring, "value": used[of]}
        for substring, of in chosen
    ]


def _effective(recipe: Recipe, method: MergeMethod) -> dict[str, np.ndarray] | None:
    """The coefficients with those of frozen groups set to what gives the reference's own tensors, if anything does."""
    frozen = [row for row, group in enumerate(recipe.groups.groups) if group.frozen]
    values = {name: np.array(array) for name, array in recipe.coefficients.items()}
    said = method.mergekit_parameters
    if said is not None and not all(_is_unsaid(recipe, method, name, values.pop(name)) for name in said.lacks):
        return None
    if not frozen:
        return values
    deltas = method.base == "required" or (method.base == "either" and recipe.base is not None)
    if recipe.base is not None and not deltas:
        return None  # the reference is none of the merged models
    untouched = _untouched(method, len(recipe.sources), deltas)
    if untouched is None:
        return None
    for name, value in untouched.items():
        values[name][frozen] = value
    return values


def _is_unsaid(recipe: Recipe, method: MergeMethod, name: str, array: np.ndarray) -> bool:
    """Whether a coefficient that mergekit does not have says nothing: equal proportions, or neutral values."""
    declared = next(c for c in method.coefficients(method.resolve(recipe.options)) if c.name == name)
    live = array[[not group.frozen for group in recipe.groups.groups]]
    return bool((live == live[:, :1]).all() if declared.simplex else (live == declared.neutral).all())


def _untouched(method: MergeMethod, n_models: int, deltas: bool) -> Coefficients | None:
    """Coefficients that give the base, or the first model, in mergekit; None if nothing does."""
    return None if method.mergekit_parameters is None else method.mergekit_parameters.untouched(n_models, deltas)


def _plain(recipe: Recipe) -> bool:
    """Whether all layers of checkpoints are merged, each with the same layer of the others."""
    sources = (*recipe.sources, *(() if recipe.base is None else (recipe.base,)))
    if recipe.embeddings != "merge" or recipe.tokenizer != Tokenizer() or recipe.chat_template is not None:
        return False
    return not recipe.layers and all(isinstance(source, CheckpointRef) for source in sources)


def _model(ref: CheckpointRef) -> str:
    if ref.hub_id is not None:
        return ref.hub_id
    return ref.source if ref.revision is None else f"{ref.source}@{ref.revision}"


def _greedy(names: Sequence[str], classes: Sequence[int]) -> Filters:
    """Picks the substring that takes most of the names still left and takes them from one class, again and again."""
    # Sets of names are integers with one bit per name: set operations on thousands of names are then single steps.
    holding: dict[str, int] = defaultdict(int)
    members: dict[int, int] = defaultdict(int)
    for position, (name, of) in enumerate(zip(names, classes, strict=True)):
        members[of] |= 1 << position
        for run in _runs(name):
            holding[run] |= 1 << position
    last = max(members, key=lambda of: members[of].bit_count())
    candidates = sorted(holding, key=lambda run: -holding[run].bit_count())
    left = (1 << len(names)) - 1
    chosen: list[tuple[str | None, int]] = []
    while left & ~members[last]:
        best, most, its_class = "", 0, last
        for run in candidates:
            if holding[run].bit_count() <= most:
                break  # no later candidate takes more
            picked = holding[run] & left
            if picked.bit_count() <= most:
                continue
            of = classes[picked.bit_length() - 1]
            if of != last and not picked & ~members[of]:
                best, most, its_class = run, picked.bit_count(), of
        # A whole name is a candidate and takes itself, so there is always a best one.
        chosen.append((best, its_class))
        left &= ~holding[best]
    return (*chosen, (None, last))


def _runs(name: str) -> Iterator[str]:
    """Substrings of a name from dot to dot, with the dots, so that ``.1.`` is not found in ``.11.``."""
    parts = name.split(".")
    for start in range(len(parts)):
        for stop in range(start + 1, len(parts) + 1):
            run = ".".join(parts[start:stop])
            yield ("." if start else "") + run + ("." if stop < len(parts) else "")
