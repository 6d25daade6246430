"""Comparison of tensors: names, shapes, layers and output embeddings."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evomerge.checkpoints.computed import is_computed
from evomerge.checkpoints.heads import is_head, is_vocabulary, untied_heads
from evomerge.checkpoints.source import CheckpointSource
from evomerge.recipe import DEFAULT_LAYER_PATTERN

_SHOWN = 5


def expected_names(reference: CheckpointSource) -> list[str]:
    """Names that every checkpoint must have: the reference's, less repeated heads and computed tables."""
    return [
        name for name, spec in reference.specs.items() if name not in reference.aliases and not is_computed(name, spec)
    ]


def tensor_differences(
    reference: CheckpointSource,
    other: CheckpointSource,
    *,
    same_depth: bool = True,
    unmatched: str = "refuse",
    embeddings: bool = True,
) -> tuple[list[str], list[str]]:
    """Compares the tensors of two checkpoints, by their headers.

    Args:
        reference: The checkpoint whose tensors the merged model gets.
        other: One that is merged with it.
        same_depth: Whether they must have equally many layers.
        unmatched: What becomes of tensors without a match, see :class:`~evomerge.recipe.Recipe`.
        embeddings: Whether input and output embeddings are merged; if not, the other's may be anything.

    Returns:
        Differences that merging cannot bridge, and what becomes of the tensors without a match where it can.
    """
    expected = set(expected_names(reference))
    came = set(expected_names(other))
    problems, notes = _heads(reference, other, unmatched) if embeddings else ([], [])
    if not embeddings:
        expected, came = ({name for name in names if not is_vocabulary(name)} for names in (expected, came))
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
        none = (
            f"none of its tensor names is one of the reference's (it has {_some(extra)}; the reference has "
            f"{_some(missing)}). If it is the same architecture, load both with transformers and save them again"
        )
        return [*problems, none], notes
    both = [name for name in reference.specs if name in expected and name in came]
    unlike = [name for name in both if not _fits(name, reference.specs[name].shape, other.specs[name].shape)]
    if unmatched == "refuse" or len(unlike) == len(both):  # none fits: another model, whatever it is called
        found = _described(missing, extra) + _shapes(reference, other, unlike)
        hint = [_CHOICES] if found and len(unlike) < len(both) else []
        return [*problems, *found, *hint], notes
    return problems, notes + _notes(missing, extra, unlike, unmatched)


_CHOICES = (
    "to merge the other tensors, set unmatched=freeze, by which the merged model has exactly the reference's tensors "
    "and those without a match are copies, or unmatched=keep, by which it also gets copies of those that the "
    "reference lacks"
)


def _notes(missing: Sequence[str], extra: Sequence[str], unlike: Sequence[str], unmatched: str) -> list[str]:
    """Notes on tensors without a match."""
    found = _described(missing, extra)
    if missing:
        found[0] += f"; the merged model has the reference's (unmatched={unmatched})"
    if extra:
        done = "copied into the merged model" if unmatched == "keep" else "left out"
        found[-1] += f"; {done} (unmatched={unmatched})"
    if unlike:
        are = "1 tensor has another shape" if len(unlike) == 1 else f"{len(unlike)} tensors have other shapes"
        found.append(f"{are}: {_some(unlike)}; the merged model has the reference's (unmatched={unmatched})")
    return found


def _described(missing: Sequence[str], extra: Sequence[str]) -> list[str]:
    found = [f"{_count(missing)} missing: {_some(missing)}"] if missing else []
    return [*found, f"{_count(extra)} not in the reference: {_some(extra)}"] if extra else found


def _fits(name: str, ours: Sequence[int], theirs: Sequence[int]) -> bool:
    """Whether tensors of these shapes are merged: rows that only one vocabulary has are no matter."""
    return ours == theirs or (len(ours) == len(theirs) and ours[1:] == theirs[1:] and is_vocabulary(name))


def _shapes(reference: CheckpointSource, other: CheckpointSource, unlike: Sequence[str]) -> list[str]:
    problems = []
    for name in unlike[:_SHOWN]:
        ours, theirs = reference.specs[name].shape, other.specs[name].shape
        problems.append(f"tensor {name!r} has shape {list(theirs)}, the reference has {list(ours)}")
    if len(unlike) > _SHOWN:
        problems.append(f"{len(unlike) - _SHOWN} more tensors have other shapes: {_some(unlike[_SHOWN:])}")
    return problems


def _heads(reference: CheckpointSource, other: CheckpointSource, unmatched: str) -> tuple[list[str], list[str]]:
    """Problems and notes about output embeddings; the merged model has them in the form that the reference has."""
    own, theirs = untied_heads(reference), untied_heads(other)
    if own and not theirs:
        if not any(map(is_head, other.specs)):  # else the reference's names have given it a tied one
            return [
                f"it lacks the output embeddings ({own[0]}), and its config.json does not tie them to the input ones. "
                "Fetch it again; if they are one tensor, set tie_word_embeddings to true there"
            ], []
        return [], [
            f"its output embeddings are tied to its input embeddings, the reference has its own ({own[0]}), and so has "
            "the merged model: they are merged with this checkpoint's input embeddings"
        ]
    if not theirs or own:
        return [], []
    has = f"it has output embeddings of its own ({theirs[0]}), but the reference ties them to the input embeddings"
    if unmatched == "freeze":
        return [], [f"{has}, and so does the merged model: they are left out (unmatched=freeze)"]
    choice = " (a tied model has no place to keep them)" if unmatched == "keep" else ""
    return [
        f"{has}. Use an untied reference, tie this checkpoint, or set unmatched=freeze, by which they are left "
        f"out{choice}"
    ], []


def _layer(name: str) -> int:
    found = re.search(DEFAULT_LAYER_PATTERN, name)
    return int(found[1]) if found else -1


def _layer_count(names: set[str]) -> int:
    return max((_layer(name) for name in names), default=-1) + 1


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _count(names: Sequence[str]) -> str:
    return "1 tensor is" if len(names) == 1 else f"{len(names)} tensors are"
