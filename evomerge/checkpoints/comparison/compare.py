"""Comparison of checkpoints with the reference, from headers, configs and tokenizer files alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evomerge.checkpoints.adapters import adapter_of
from evomerge.checkpoints.comparison.config import config_differences
from evomerge.checkpoints.comparison.generation import chat_templates, end_tokens
from evomerge.checkpoints.comparison.tensors import tensor_differences
from evomerge.checkpoints.comparison.tokenizer_files import read_vocabulary, vocabulary_differences
from evomerge.checkpoints.comparison.tokenizers import tokenizer_differences
from evomerge.checkpoints.renamed import in_form_of
from evomerge.checkpoints.source import CheckpointSource, stored_dtype
from evomerge.errors import InputError

Matching = Literal["row", "token", "none"]
"""How embeddings are merged: those of one number, those of one token, or none at all."""

_SHOWN = 5
_STRICTEST: tuple[Matching, ...] = ("row", "token", "none")


@dataclass(frozen=True)
class Comparison:
    """Differences between checkpoints that are to be merged.

    Attributes:
        problems: Reasons why they cannot be merged, all of them.
        warnings: Differences to know about.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def check(self) -> None:
        """Raises an :class:`~evomerge.errors.InputError` with all problems, if there are any."""
        if self.problems:
            raise InputError(self.problems)


def compare(
    reference: CheckpointSource,
    others: Sequence[CheckpointSource],
    *,
    trust_remote_code: bool = False,
    same_depth: bool = True,
    unmatched: str = "refuse",
    matching: Sequence[Matching] = (),
) -> Comparison:
    """Compares checkpoints with the one whose config, tokenizer and tensor names the merged model gets.

    Args:
        reference: The base, or the first model where there is no base.
        others: The checkpoints to merge with it.
        trust_remote_code: Whether configuration classes that come with checkpoints may run.
        same_depth: Whether they must have equally many layers: not where layers are taken one by one.
        unmatched: What becomes of tensors that not all have, see :class:`~evomerge.recipe.Recipe`.
        matching: How the embeddings of each of ``others`` are merged; by row if that is not said.

    Returns:
        All problems and warnings, in the order of ``others``.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for place, other in enumerate(others):
        if (adapted := adapter_of(other)) is not None:
            folder = adapted.adapter.path
            warnings += [f"{folder}: {text}" for text in _adapter_remarks(reference, folder)]
            continue  # what it is on is compared by itself
        if other.path.resolve() == reference.path.resolve():
            continue
        unlike, settings = config_differences(reference, other, trust_remote_code=trust_remote_code)
        how = matching[place] if matching else "row"
        tokens, uncertain = tokenizer_differences(reference, other, how)
        tensors, notes = tensor_differences(
            reference,
            in_form_of(reference, other),
            same_depth=same_depth,
            unmatched=unmatched,
            embeddings=how != "none",
        )
        found = [*unlike, *tensors, *tokens]
        noted = [*settings, *notes, *uncertain, *_remarks(reference, other)]
        problems += [f"{other.path}: {text}" for text in found]
        warnings += [f"{other.path}: {text}" for text in noted]
    if problems:
        problems[0] += f" (the reference is {reference.path})"
    return Comparison(tuple(problems), tuple(warnings))


def strictest(matching: Iterable[Matching]) -> Matching:
    """The matching that asks most of two vocabularies, of several for one checkpoint."""
    return min(matching, key=_STRICTEST.index, default="row")


def _adapter_remarks(reference: CheckpointSource, folder: Path) -> Iterator[str]:
    """Differences of the files beside an adapter, of which none gets into the merged model."""
    templates = chat_templates(folder)
    if templates and templates != chat_templates(reference.path):
        yield "its chat template is not the reference's; the merged model gets the reference's"
    ours, theirs = read_vocabulary(reference.path), read_vocabulary(folder)
    if ours is not None and theirs is not None and (unlike := vocabulary_differences(ours, theirs)):
        yield (
            f"its tokenizer differs from the reference's in {len(unlike)} tokens ({', '.join(unlike[:_SHOWN])}); the "
            "merged model gets the reference's"
        )


def _remarks(reference: CheckpointSource, other: CheckpointSource) -> Iterator[str]:
    ours, theirs = (str(stored_dtype(source)).removeprefix("torch.") for source in (reference, other))
    if ours != theirs:
        yield f"its weights are {theirs}, the reference's are {ours}; merging computes in float32"
    if chat_templates(reference.path) != chat_templates(other.path):
        yield "its chat template is not the reference's; the merged model gets the reference's"
    said, heard = end_tokens(reference.path), end_tokens(other.path)
    for name in said:
        if name in heard and said[name] != heard[name]:
            yield f"{name} is {heard[name]!r}, the reference has {said[name]!r}, which the merged model gets"
