"""The plan of one candidate: the output tensors of its recipe, with their coefficients."""

from __future__ import annotations

import functools
import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from evomerge.checkpoints import TensorSpec
from evomerge.errors import InputError
from evomerge.merging.plan.outputs import Outputs, OutputTensor
from evomerge.post import Step
from evomerge.recipe import Recipe

Values = Mapping[str, float | tuple[float, ...]]


@dataclass(frozen=True)
class MergePlan:
    """A recipe that fits its method and its sources.

    Attributes:
        recipe: The recipe.
        outputs: The tensors of the merged model, which candidates have in common.
    """

    recipe: Recipe
    outputs: Outputs
    _values: dict[tuple[int, int], Values] = field(init=False, default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, recipe: Recipe, outputs: Outputs) -> MergePlan:
        """Puts a recipe's coefficients to its outputs.

        Args:
            recipe: The recipe.
            outputs: Of a recipe that differs in nothing but coefficients.

        Raises:
            InputError: If the recipe does not fit its method or its sources; all problems.
        """
        problems = [*outputs.method.problems(recipe), *outputs.problems]
        if recipe.layers and not problems:
            problems += _empty_shares(recipe, outputs)
        problems += _without_base(recipe, outputs)
        if problems:
            raise InputError(problems)
        return cls(recipe, outputs)

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Type and shape of every tensor by name, in the order of the files."""
        return self.outputs.specs

    @functools.cached_property
    def steps(self) -> tuple[Step, ...]:
        """The recipe's steps after the merge, with their coefficients."""
        named = zip(self.outputs.steps, self.recipe.post, strict=True)
        return tuple(replace(step, coefficients=post.coefficients) for step, post in named)

    @functools.cached_property
    def active(self) -> Mapping[int, tuple[int, ...]]:
        """For each row of merged tensors, the positions of the steps that change something there."""
        rows = sorted({tensor.row for tensor in self.outputs.merged.values() if tensor.row is not None})
        return {row: tuple(i for i, step in enumerate(self.steps) if not step.idle(row)) for row in rows}

    def stepped(self, tensor: OutputTensor) -> bool:
        """Whether some step changes a merged tensor."""
        return bool(self.steps) and tensor.row is not None and bool(self.active[tensor.row])

    def coefficients(self, tensor: OutputTensor) -> Values:
        """The values for one merged tensor."""
        assert tensor.row is not None
        place = tensor.row, tensor.slots
        if place not in self._values:
            rows = {name: values[tensor.row] for name, values in self.recipe.coefficients.items()}
            self._values[place] = {
                name: tuple(map(float, row[: tensor.slots])) if row.ndim else float(row) for name, row in rows.items()
            }
        return self._values[place]

    def keys(self) -> dict[str, Hashable]:
        """For every tensor, everything that its bytes depend on, but for the device.

        Where two plans have equal keys for a name, they give equal bytes for it, so a tensor that is already in place
        need not be merged again. Coefficients enter by the tensor's own row alone: `MergeMethod.merge` sees no others,
        and a survey sees none. A step that measures the whole merged delta sees all of them.
        """
        found: dict[str, Hashable] = {}
        rows: dict[tuple[int, int], Hashable] = {}
        for name, tensor in self.outputs.tensors.items():
            if tensor.context is None or tensor.row is None:
                found[name] = tensor.key
                continue
            place = tensor.row, tensor.slots
            if place not in rows:
                rows[place] = tuple(
                    # As bytes: zeros of different signs are equal, what comes of them need not be.
                    (label, (values[tensor.row, : tensor.slots] if values.ndim == 2 else values[tensor.row]).tobytes())
                    for label, values in self.recipe.coefficients.items()
                )
            found[name] = (tensor.key, rows[place], *self._step_key(tensor.row))
        return found | {head: found[name] for head, name in self.outputs.aliases.items()}

    def _step_key(self, row: int) -> tuple[Hashable, ...]:
        """Everything that steps make of a tensor of some row depends on; empty without steps."""
        if not self.steps:
            return ()
        active = [self.steps[place] for place in self.active[row]]
        how = json.dumps([[step.process.name, step.options] for step in active], sort_keys=True)
        values = tuple(values[row].tobytes() for step in active for values in step.coefficients.values())
        surveyed = self.outputs.survey_key if any(step.process.survey is not None for step in active) else None
        whole = self.recipe.digest if any(step.measures for step in active) else None
        return (how, self.outputs.layers, values, surveyed, whole)


def _without_base(recipe: Recipe, outputs: Outputs) -> Iterator[str]:
    """Steps without anything that the merged delta could be the difference to."""
    without = [tensor.name for tensor in outputs.merged.values() if not tensor.based] if recipe.post else []
    if without and recipe.base is None:
        names = ", ".join(step.name for step in recipe.post)
        yield f"post names {names}, which take the merged model minus its base, but the recipe names no base; set base"
    elif without:
        yield (
            f"post takes the merged model minus its base, but for tensor {without[0]!r} the recipe names no layer of "
            "the base; set base in its layers"
        )


def _empty_shares(recipe: Recipe, outputs: Outputs) -> Iterator[str]:
    """Proportions that leave nothing to the inputs of a tensor that has fewer than others."""
    declared = outputs.method.coefficients(outputs.options)
    shares = [coefficient.name for coefficient in declared if coefficient.simplex and coefficient.minimum == 0]
    for row, slots in sorted({(tensor.row or 0, tensor.slots) for tensor in outputs.merged.values()}):
        for name in shares:
            if recipe.coefficients[name][row, :slots].sum() <= 0:
                label = recipe.groups.groups[row].label
                yield f"coefficient {name!r} of group {label!r} sums to zero or less over the first {slots} inputs"
