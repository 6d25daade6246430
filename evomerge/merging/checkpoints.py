"""The opened checkpoints that recipes name."""

from __future__ import annotations

import functools
import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Self

from evomerge.checkpoints import (
    CheckpointSource,
    Comparison,
    Matching,
    TensorSpec,
    compare,
    is_computed,
    locate,
    open_all,
    strictest,
)
from evomerge.errors import InputError
from evomerge.merging.converted import ConvertedSource, converted
from evomerge.recipe import AdapterRef, ModelRef, Recipe, Tokenizer


class Checkpoints:
    """The checkpoints of a search, opened once and shared by all its recipes.

    Args:
        checkpoints: Opened checkpoints by the reference that recipes name them with. The first is the reference
            checkpoint unless ``reference`` says otherwise.
        reference: Whose tensor names, config and tokenizer the merged models get.

    Attributes:
        reference: The reference checkpoint.
        by_ref: All opened checkpoints, each in the reference's form: under its tensor names, stacked as it is.
    """

    def __init__(self, checkpoints: Mapping[ModelRef, CheckpointSource], reference: ModelRef | None = None) -> None:
        if not checkpoints:
            raise ValueError("there is no checkpoint to merge")
        self.reference = checkpoints[reference] if reference is not None else next(iter(checkpoints.values()))
        self.by_ref = {ref: converted(self.reference, checkpoint) for ref, checkpoint in checkpoints.items()}
        self._by_identity: dict[Hashable, CheckpointSource] = {}
        for ref, checkpoint in self.by_ref.items():
            self._by_identity.setdefault(_identity(ref), checkpoint)  # of equal weights the first are read

    @classmethod
    def open(cls, recipe: Recipe, *, offline: bool = True) -> Self:
        """Finds and opens all checkpoints and adapters that a recipe names.

        Raises:
            InputError: If some cannot be found or read; all problems.
        """
        return cls.open_all(recipe.references, offline=offline)

    @classmethod
    def open_all(cls, references: Iterable[ModelRef], *, offline: bool = True) -> Self:
        """Finds and opens checkpoints and adapters on them; the first becomes the reference.

        Raises:
            InputError: If some cannot be found or read; all problems.
        """
        return cls(open_all(references, lambda ref: locate(ref.source, ref.revision, offline=offline)))

    def __getitem__(self, ref: ModelRef) -> CheckpointSource:
        """The opened checkpoint of a reference.

        Raises:
            InputError: If none was opened for it.
        """
        try:
            return self._by_identity[_identity(ref)]
        except KeyError:
            raise InputError(f"the recipe names {ref.source!r}, which is none of the opened checkpoints") from None

    def compare(
        self,
        *,
        trust_remote_code: bool = False,
        same_depth: bool = True,
        unmatched: str = "refuse",
        matching: Mapping[ModelRef, Matching] | Matching = "row",
    ) -> Comparison:
        """Compares all checkpoints with the reference, from headers, configs and tokenizer files alone.

        Args:
            trust_remote_code: Whether configuration classes that come with checkpoints may run.
            same_depth: Whether they must have equally many layers.
            unmatched: What becomes of tensors that not all have, see :class:`~evomerge.recipe.Recipe`.
            matching: How the embeddings of each are merged, see :func:`matching_of`; or of all of them.
        """
        known = dict.fromkeys(self.by_ref, matching) if isinstance(matching, str) else matching
        hows: dict[int, list[Matching]] = {}
        for ref, checkpoint in self.by_ref.items():
            hows.setdefault(id(checkpoint), []).append(known.get(ref, "row"))
        others = {id(checkpoint): checkpoint for checkpoint in self.by_ref.values()}
        unlike = {key: checkpoint for key, checkpoint in others.items() if checkpoint is not self.reference}
        found = compare(
            self.reference,
            list(unlike.values()),
            trust_remote_code=trust_remote_code,
            same_depth=same_depth,
            unmatched=unmatched,
            matching=[strictest(hows[key]) for key in unlike],
        )
        return replace(found, warnings=(*found.warnings, *self._remarks()))

    def _remarks(self) -> tuple[str, ...]:
        """Names the checkpoints whose tensors are put together anew whenever they are read."""
        return tuple(
            f"{source.path}: {len(source.made)} of its tensors, such as {source.made[0]}, lie there in another form "
            "than the reference's and are put together whenever they are read. Saving both with one version of "
            "transformers is faster"
            for source in {id(source): source for source in self.by_ref.values()}.values()
            if isinstance(source, ConvertedSource)
        )

    @functools.cached_property
    def merged_names(self) -> tuple[str, ...]:
        """Names of the tensors that coefficients apply to, in the order of the files.

        These are the floating-point tensors of the reference, without heads that repeat the input embeddings and
        without tables that models compute by themselves.
        """
        reference = self.reference
        return tuple(
            name for name, info in reference.specs.items() if name not in reference.aliases and is_weight(name, info)
        )


def matching_of(recipe: Recipe) -> dict[ModelRef, Matching]:
    """How a recipe, and those among its sources, merge the embeddings of each checkpoint that they name."""
    how: Matching = "none" if recipe.embeddings == "base" else "row" if recipe.tokenizer == Tokenizer() else "token"
    found: dict[ModelRef, Matching] = {}
    for source in recipe.named():
        inner = matching_of(source) if isinstance(source, Recipe) else {source: how}
        for ref, its in inner.items():
            for named in (ref, ref.on) if isinstance(ref, AdapterRef) else (ref,):
                found[named] = strictest([its, *([found[named]] if named in found else [])])
    return found


def is_weight(name: str, spec: TensorSpec) -> bool:
    """Whether a tensor is merged: of floating-point numbers, and no table that models compute by themselves."""
    return spec.dtype.is_floating_point and not is_computed(name, spec)


def _identity(ref: ModelRef) -> Hashable:
    """The identity of a checkpoint or an adapter on one, by which recipes know it."""
    return json.dumps(ref.identity(), sort_keys=True)
