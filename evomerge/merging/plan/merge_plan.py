"""The plan of one candidate: the output tensors of its recipe, with their coefficients."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from evomerge.checkpoints import TensorSpec
from evomerge.errors import InputError
from evomerge.merging.plan.outputs import Outputs, OutputTensor
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
        if problems:
            raise InputError(problems)
        return cls(recipe, outputs)

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Type and shape of every tensor by name, in the order of the files."""
        return self.outputs.specs

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
        and a survey sees none.
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
            found[name] = (tensor.key, rows[place])
        return found | {head: found[name] for head, name in self.outputs.aliases.items()}


def _empty_shares(recipe: Recipe, outputs: Outputs) -> Iterator[str]:
    """Proportions that leave nothing to the inputs of a tensor that has fewer than others."""
    declared = outputs.method.coefficients(outputs.options)
    shares = [coefficient.name for coefficient in declared if coefficient.simplex and coefficient.minimum == 0]
    for row, slots in sorted({(tensor.row or 0, tensor.slots) for tensor in outputs.merged.values()}):
        for name in shares:
            if recipe.coefficients[name][row, :slots].sum() <= 0:
                label = recipe.groups.groups[row].label
                yield f"coefficient {name!r} of group {label!r} sums to zero or less over the first {slots} inputs"
