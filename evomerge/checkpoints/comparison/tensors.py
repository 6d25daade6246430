"""Comparison of tensors: names, shapes, layers and output embeddings."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evomerge.checkpoints.computed import is_computed
from evomerge.checkpoints.heads import is_embedding, is_head, says_tied, untied_heads
from evomerge.checkpoints.source import CheckpointSource
from evomerge.recipe import DEFAULT_LAYER_PATTERN

_SHOWN = 5


def expected_names(reference: CheckpointSource) -> list[str]:
    """Names that every checkpoint must have: the reference's, less repeated heads and computed tables."""
    return [
        name for name, spec in reference.specs.items() if name not in reference.aliases and not is_computed(name, spec)
    ]


def tensor_differences(reference: CheckpointSource, other: CheckpointSource, *, same_depth: bool = True) -> list[str]:
    """Compares the tensors of two checkpoints, by their headers.

    Args:
        reference: The checkpoint whose tensors the merged model gets.
        other: One that is merged with it.
        same_depth: Whether they must have equally many layers.

    Returns:
        Differences that merging cannot bridge.
    """
    expected = set(expected_names(reference))
    came = set(expected_names(other))
    problems = _heads(reference, other)
    expected = {name for name in expected if not is_head(name) or name in came}
    came = {name for name in came if not is_head(name) or name in expected}
    ours, theirs = _layer_count(expected), _layer_count(came)
    if ours != theirs:
        if same_depth:
            problems.append(f"it has {theirs} layers, the reference has {ours}")
        shared = min(ours, theirs)
        expected = {name for name in expected if _layer(name) < shared}
        came = {name for name in came if _layer(name) < shared}
    missing = [name for name in reference.specs if name in expected and name not in came]
    extra = [name for name in other.specs if name in came and name not in expected]
    if len(missing) == len(expected) and expected:
        return [
            *problems,
            f"none of its tensor names is one of the reference's (it has {_some(extra)}; the reference has "
            f"{_some(missing)}). If it is the same architecture, load both with transformers and save them again",
        ]
    if missing:
        problems.append(f"{_count(missing)} missing: {_some(missing)}")
    if extra:
        problems.append(f"{_count(extra)} not in the reference: {_some(extra)}")
    return problems + _shapes(reference, other, [name for name in reference.specs if name in expected and name in came])


def _shapes(reference: CheckpointSource, other: CheckpointSource, names: Sequence[str]) -> list[str]:
    problems = []
    unlike = [name for name in names if reference.specs[name].shape != other.specs[name].shape]
    for name in unlike[:_SHOWN]:
        ours, theirs = reference.specs[name].shape, other.specs[name].shape
        problem = f"tensor {name!r} has shape {list(theirs)}, the reference has {list(ours)}"
        if (is_head(name) or is_embedding(name)) and ours[1:] == theirs[1:]:
            problem += ". If the other rows are padding, model.resize_token_embeddings makes them equal"
        problems.append(problem)
    if len(unlike) > _SHOWN:
        problems.append(f"{len(unlike) - _SHOWN} more tensors have other shapes: {_some(unlike[_SHOWN:])}")
    return problems


def _heads(reference: CheckpointSource, other: CheckpointSource) -> list[str]:
    own, theirs = untied_heads(reference), untied_heads(other)
    if own and not theirs and says_tied(other.config) is False and not any(map(is_head, other.specs)):
        return [
            f"it lacks the output embeddings ({own[0]}), and its config.json does not tie them to the input ones. "
            "Fetch it again; if they are one tensor, set tie_word_embeddings to true there and use a tied reference"
        ]
    if own and not theirs:
        return [
            f"its output embeddings are tied to its input embeddings, the reference has its own ({own[0]}). Untie "
            "them first: save a copy of the input embeddings under that name and set tie_word_embeddings to false"
        ]
    if theirs and not own:
        return [
            f"it has output embeddings of its own ({theirs[0]}), but the reference ties them to the input embeddings. "
            "Use an untied reference, or tie this checkpoint"
        ]
    return []


def _layer(name: str) -> int:
    found = re.search(DEFAULT_LAYER_PATTERN, name)
    return int(found[1]) if found else -1


def _layer_count(names: set[str]) -> int:
    return max((_layer(name) for name in names), default=-1) + 1


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _count(names: Sequence[str]) -> str:
    return "1 tensor is" if len(names) == 1 else f"{len(names)} tensors are"
