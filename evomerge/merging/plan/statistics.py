"""The statistics that a recipe's method and steps read: which key is whose, and the arrays of one tensor.

A recipe names statistics by keys, which say everything that they were computed from. Their order is fixed: the needs of
the method, then those of the steps, each once; for each need one key, or one for every source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from evomerge import methods
from evomerge.errors import InputError
from evomerge.merging.plan.inputs import Input
from evomerge.merging.plan.merge_plan import MergePlan
from evomerge.merging.plan.outputs import OutputTensor, needs_of
from evomerge.merging.plan.recipe_source import RecipeSource
from evomerge.methods import Need, Statistics
from evomerge.post import steps_of
from evomerge.recipe import Recipe

COLLECT = "`evomerge statistics collect` with the words of a search collects it where its texts are; copy it from there"


class StatisticsSource(Protocol):
    """Collected statistics, by key and by the name of a tensor."""

    def missing(self, keys: Iterable[str]) -> tuple[str, ...]:
        """The keys that are not there, or not complete."""

    def tensor(self, key: str, name: str) -> torch.Tensor | None:
        """The array of a tensor, float32 on the CPU, to be read only; None where the tensor has none.

        Args:
            key: The statistic's key.
            name: The tensor's name on disk, in the form of the checkpoints that are merged.

        Raises:
            InputError: If the statistic is not there, or its files are broken.
        """

    def transposed(self, key: str, name: str) -> bool:
        """Whether a tensor is a matrix that is stored as (inputs, outputs)."""

    def release(self) -> None:
        """Gives up what is kept for reading."""


def keyed(needs: Sequence[Need], recipe: Recipe) -> dict[Need, tuple[str, ...]]:
    """The keys of a recipe by what needs them; fewer than are needed where it names too few.

    Args:
        needs: Of its method and steps, in their order.
        recipe: The recipe.
    """
    found, start = {}, 0
    for need in needs:
        end = start + need.count(len(recipe.sources))
        found[need] = recipe.statistics[start:end]
        start = end
    return found


@dataclass(frozen=True)
class StatisticsReader:
    """Reads what one merger's recipes need.

    Attributes:
        source: Where statistics are; None: nowhere.
        device: Where merging is computed.
    """

    source: StatisticsSource | None
    device: torch.device

    def check(self, plan: MergePlan) -> None:
        """Makes sure that everything is there that a plan, and recipes inside of it, need.

        Raises:
            InputError: Naming each statistic that is not.
        """
        if problems := list(self._problems(plan)):
            raise InputError(problems)

    def of(self, plan: MergePlan, tensor: OutputTensor, needs: Sequence[Need]) -> Statistics:
        """The arrays of one tensor, by :attr:`Need.key`, on the device of the merger.

        Args:
            plan: The plan.
            tensor: One of its merged tensors.
            needs: Of the method, or of a step.
        """
        keys = keyed(plan.outputs.needs, plan.recipe) if needs else {}
        return {need.key: tuple(self._arrays(need, keys[need], tensor)) for need in needs}

    def release(self) -> None:
        """Gives up what is kept for reading."""
        if self.source is not None:
            self.source.release()

    def _arrays(self, need: Need, keys: Sequence[str], tensor: OutputTensor) -> Iterator[torch.Tensor | None]:
        base, whole = tensor.inputs[0] if tensor.based else None, need.statistic == "gram"
        if need.count(2) == 1:
            yield self._array(keys[0], base, whole)
            return
        for place, entry in zip(tensor.places[tensor.based :], tensor.inputs[tensor.based :], strict=True):
            yield self._array(keys[place - 1], base if need.of == "base" else entry, whole)

    def _array(self, key: str, entry: Input | None, whole: bool) -> torch.Tensor | None:
        """The array of an input; of rows that are gathered token by token there is none.

        Args:
            key: The statistic's key.
            entry: The input.
            whole: Whether it may be a Gram matrix, ``(inputs, inputs)``.
        """
        if entry is None or not isinstance(entry.rows, tuple | None):
            return None
        assert self.source is not None
        found = self.source.tensor(key, entry.name)
        is_gram = found is not None and whole and found.dim() == 2 and found.shape[1] == found.shape[0]
        if found is not None and is_gram and self.source.transposed(key, entry.name):
            # Methods take rows to be outputs, and could not tell: of those that are inputs they get the diagonal.
            found = found.diagonal()[:, None]
        if found is not None and entry.rows is not None and found.shape == entry.source.specs[entry.name].shape:
            found = found[slice(*entry.rows)]
        return None if found is None else found.to(self.device)

    def _problems(self, plan: MergePlan) -> Iterator[str]:
        recipe, needs = plan.recipe, plan.outputs.needs
        if needs and not recipe.statistics:
            yield _miscounted(recipe, needs)
        for need, keys in keyed(needs, recipe).items():
            missing = set(keys if self.source is None else self.source.missing(keys))
            for place, key in enumerate(keys):
                if key in missing:
                    yield f"statistics: {words_for(recipe, need, place)} ({key}) is not here; {COLLECT}"
        for inner in plan.outputs.sources:
            if isinstance(inner, RecipeSource):
                yield from self._problems(inner.plan)


def miscounted(recipe: Recipe) -> Iterator[str]:
    """Says so where a recipe names more or fewer statistics than its method and steps need; none is no number yet."""
    if not recipe.statistics:
        return
    try:
        method = methods.load(recipe.method)
        steps = steps_of([replace(step, coefficients={}) for step in recipe.post])
        needs = needs_of(method, method.resolve(recipe.options), steps)
    except InputError:
        return  # the plan says what is wrong with method, options and steps
    if sum(need.count(len(recipe.sources)) for need in needs) != len(recipe.statistics):
        yield _miscounted(recipe, needs)


def _miscounted(recipe: Recipe, needs: Sequence[Need]) -> str:
    reads = ", ".join(f"{need.statistic} of {_whose(need)}" for need in needs)
    count = sum(need.count(len(recipe.sources)) for need in needs)
    wanted = f"{count} ({reads})" if count else "none"
    steps = "".join(f", {step.name}" for step in recipe.post)
    return (
        f"statistics names {len(recipe.statistics)}; expected {wanted}, which is what {recipe.method}{steps} reads; "
        "recipes of a search name theirs by themselves"
    )


def _whose(need: Need) -> str:
    base = "the base" if need.texts == "shared" else "the base on the texts of every source"
    return base if need.of == "base" else "every source"


def words_for(recipe: Recipe, need: Need, place: int) -> str:
    """The words for what one of the keys of a need stands for.

    Args:
        recipe: The recipe.
        need: The need.
        place: The position of the key among those of the need.
    """
    source = recipe.sources[place] if need.count(2) == 2 else None
    about = recipe.base if need.of == "base" else source
    texts = "the shared texts" if need.texts == "shared" else f"the texts of {source.label if source else 'it'}"
    return f"{need.statistic} of {about.label if about is not None else 'the base'} on {texts}"
