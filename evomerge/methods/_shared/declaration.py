"""Declaration of a merge method: what it needs, what can be searched, and the functions that do the work."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from evomerge.errors import InputError
from evomerge.methods._shared.coefficient_problems import coefficient_problems
from evomerge.methods._shared.inputs import (
    Coefficients,
    Merge,
    Options,
    Starts,
    TensorContext,
    TensorSet,
    TensorSources,
)
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.methods._shared.needs import Need, Statistics, chosen
from evomerge.methods._shared.whole_tensor import whole_tensor_bytes
from evomerge.options import Option, RecipeOptions, model_numbers
from evomerge.recipe import Coefficient, Recipe

if TYPE_CHECKING:
    import torch


def _no_starts(n_models: int, options: Options) -> Starts:
    return {}


def _no_bytes(shape: Sequence[int], n_inputs: int, options: Options) -> int:
    return 0


def _any_count(n_models: int, options: Options) -> Sequence[str]:
    return ()


def _no_needs(options: Options) -> tuple[Need, ...]:
    return ()


def _not_in_mergekit(options: Options) -> Mapping[str, Any] | None:
    return None


@dataclass(frozen=True)
class MergeMethod(RecipeOptions, sort="method"):
    """Declares one merge method: what it needs, what can be searched, and the functions that do the work.

    All functions get resolved options (:meth:`resolve`). Tensors of models and base have the same shape, any floating
    dtype and device, and are never written to.

    Attributes:
        name: Name of the method and of its file.
        summary: One sentence for people.
        paper: Title and address of the publication it implements, or where else the rule comes from.
        merge: ``merge(context, sources, coefficients, out)`` writes the merged tensor into ``out``, which has the
            tensor's shape and any floating dtype; float32 inside. It returns whether all written elements are finite
            (a flag that is still on a device will do), or None if it did not check: then the caller does.
        coefficients: The coefficients it takes under given options.
        options: The options it takes.
        base: Whether it needs a base. ``optional``: a base may be named but does not change the result. ``either``:
            deltas are merged where there is a base, else models.
        models: How many models it merges, as (least, most); None is no limit.
        count_problems: ``count_problems(n_models, options)`` gives the reasons why these options do not fit so many
            models, one sentence each.
        stochastic: Whether it uses ``context.keys``.
        prepare: ``prepare(context, base, models, options)`` computes everything independent of coefficients, once per
            tensor: named contiguous tensors on the CPU, a function of nothing but the tensors, the options and the
            tensor's name, layer and kind (not of the random keys). They can be stored, mapped into memory and shared
            between processes. Of a method with needs it is called with the statistics of the tensor after these.
        needs: ``needs(options)`` names the statistics that ``prepare`` reads. They are gone once it has: ``merge`` sees
            nothing but what was prepared.
        prepared_bytes: ``prepared_bytes(shape, n_models, options)`` is the most that the prepared tensors take; given
            where ``prepare`` is.
        scratch_bytes: ``scratch_bytes(shape, n_inputs, options)`` is the memory beside blocks that ``merge``, or
            ``prepare`` beside what it gives, takes for base and models of this shape; that of :func:`whole_tensor` is
            known. Not asked of tensors that ``prepares`` excludes.
        prepares: ``prepares(context, shape, options)`` says whether anything is prepared for a tensor, of a method that
            treats some alone; None is every tensor.
        survey: ``survey(tensors, options)`` computes findings about all tensors, independent of coefficients, once per
            search, or returns None if these options need none. It folds over the prepared arrays, stays in memory
            and should be cheap beside preparing. It may keep ``tensors`` and iterate again later. Where a recipe has
            layers of its own, tensors may be merged from different numbers of models.
        starts: ``starts(n_models, options)`` names points from which a search should start, as coefficient values:
            ``uniform``, ``model:i`` (model i alone), ``task_arithmetic:0.3`` (the base plus 0.3 of every delta), each
            only where the method can express it or comes close. A method that comes close to none of these has at most
            ``neutral``: what its neutral coefficients give, such as the published method.
        exact_starts: Starting points that give exactly what they are named after: ``all`` of them, ``models`` alone, or
            ``none``. The others come near.
        copies: Whether copies of one expert give that expert: from the start ``uniform``, or with neutral
            coefficients. If not, the elements of the result lie between base and expert; None promises neither.
        symmetric: Whether models can be reordered together with their coefficients, if no option is the number of one
            (:meth:`symmetric_under`).
        sums: Where the result is a weighted sum of the tensors, ``sums(name, coefficients, options)`` gives for the
            base, if it counts, and for each model the terms that its factor is the sum of; None for all other methods.
            Models that are low-rank deltas of a checkpoint are then added up without being multiplied out.
        mergekit: The top-level parameters of a mergekit configuration that computes the same, or None if there is
            none. ``merge_method`` is the method's name unless the parameters name another.
        mergekit_parameters: The other direction: options from mergekit's parameters. None where it is not said here.
        agrees_with: Whose results its own are held to in the tests, such as ``the authors' code``; empty where they are
            held to an example that was worked by hand alone.
        cost: What a candidate costs beside what is prepared once, in words for people; empty where that is one pass
            over base and models.
    """

    name: str
    summary: str
    paper: str
    merge: Merge
    coefficients: Callable[[Options], tuple[Coefficient, ...]]
    options: Mapping[str, Option] = field(default_factory=dict)
    base: Literal["required", "optional", "either", "none"] = "required"
    models: tuple[int, int | None] = (1, None)
    count_problems: Callable[[int, Options], Sequence[str]] = _any_count
    stochastic: bool = False
    prepare: Callable[..., Mapping[str, torch.Tensor]] | None = None
    needs: Callable[[Options], tuple[Need, ...]] = _no_needs
    prepared_bytes: Callable[[Sequence[int], int, Options], int] | None = None
    scratch_bytes: Callable[[Sequence[int], int, Options], int] = _no_bytes
    prepares: Callable[[TensorContext, Sequence[int], Options], bool] | None = None
    survey: Callable[[TensorSet, Options], Any] | None = None
    starts: Callable[[int, Options], Starts] = _no_starts
    exact_starts: Literal["all", "models", "none"] = "all"
    copies: bool | None = True
    symmetric: bool = True
    sums: Callable[[str, Coefficients, Options], tuple[Sequence[float], Sequence[float]]] | None = None
    mergekit: Callable[[Options], Mapping[str, Any] | None] = _not_in_mergekit
    mergekit_parameters: MergekitParameters | None = None
    agrees_with: str = ""
    cost: str = ""

    def __post_init__(self) -> None:
        """Refuses a method whose memory nobody could predict."""
        if (self.prepare is None) != (self.prepared_bytes is None):
            raise ValueError(f"method {self.name}: expected prepare and prepared_bytes, or neither; one is missing")

    def working_bytes(self, shape: Sequence[int], n_inputs: int, options: Options) -> int:
        """Memory, beside blocks, that merging one tensor of this shape from base and models takes."""
        return whole_tensor_bytes(self.merge, math.prod(shape), n_inputs) + self.scratch_bytes(shape, n_inputs, options)

    def symmetric_under(self, options: Options) -> bool:
        """Whether models can be reordered together with their coefficients under these options."""
        return self.symmetric and not model_numbers(self.options, options)

    def sources(
        self,
        context: TensorContext,
        base: torch.Tensor | None,
        models: Sequence[torch.Tensor],
        options: Options,
        statistics: Statistics | None = None,
    ) -> TensorSources:
        """Inputs of :attr:`merge`, freshly prepared; without a survey.

        Args:
            context: The tensor's identity.
            base: The base's tensor, or None.
            models: The models' tensors.
            options: Resolved options.
            statistics: Those of the tensor, of a method that needs some.

        Raises:
            InputError: If a statistic that the method needs is not there.
        """
        prepared: Mapping[str, torch.Tensor] = {}
        if self.prepare is not None and (needs := self.needs(options)):
            known = chosen(f"method {self.name}", context.name, needs, statistics, len(models))
            prepared = self.prepare(context, base, models, options, known)
        elif self.prepare is not None:
            prepared = self.prepare(context, base, models, options)
        return TensorSources(base, models, options, prepared)

    def problems(self, recipe: Recipe) -> list[str]:
        """Problems of a recipe with this method: options, number of models, base, coefficients.

        Returns:
            One sentence per problem; empty if the recipe is usable.
        """
        try:
            options = self.resolve(recipe.options)
        except InputError as error:
            return list(error.problems)
        problems = []
        if not recipe.layers:  # else it depends on the layer
            problems += self.input_problems(len(recipe.sources), recipe.base is not None)
            problems += [f"method {self.name}: {p}" for p in self.count_problems(len(recipe.sources), options)]
        return problems + [
            f"method {self.name}: {problem}"
            for problem in coefficient_problems(self.coefficients(options), recipe.coefficients, recipe.groups)
        ]

    def takes_deltas(self, has_base: bool) -> bool:
        """Whether deltas are merged, rather than models.

        Args:
            has_base: Whether there is a base.
        """
        return self.base == "required" or (self.base == "either" and has_base)

    def input_problems(self, n_models: int, has_base: bool, of: str = "the recipe") -> list[str]:
        """Reasons why a number of models, or a missing base, cannot be used with this method.

        Args:
            n_models: The number of models.
            has_base: Whether there is a base.
            of: Names whatever has them, for messages.
        """
        least, most = self.models
        problems = []
        if n_models < least or (most is not None and n_models > most):
            wanted = str(least) if most == least else f"at least {least}" if most is None else f"{least} to {most}"
            noun = "model" if most == 1 else "models"
            problems.append(f"method {self.name} merges {wanted} {noun}; {of} names {n_models}")
        if self.base == "required" and not has_base:
            problems.append(f"method {self.name} works on differences to a base, but {of} names none; set base")
        return problems
