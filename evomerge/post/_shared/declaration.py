"""Declaration of a step after the merge, and what it gets for one tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evomerge.methods import Need, Statistics, TensorSet, TensorSources
from evomerge.options import Option, RecipeOptions
from evomerge.recipe import Coefficient

if TYPE_CHECKING:
    import torch

Options = Mapping[str, Any]
Values = Mapping[str, float]
"""A step's coefficients for one tensor."""


@dataclass(frozen=True)
class StepContext:
    """Everything that a step knows of a tensor besides the merged delta, the sources and its coefficients.

    Attributes:
        name: The tensor's name in the merged model.
        layer: Zero-based layer index, or None outside the layers.
        kind: Module kind, see :data:`evomerge.recipe.MODULE_KINDS`.
        layers: Number of layers of the merged model, as its tensors' names show them.
        options: The step's options, resolved.
        survey: The step's findings about all sources.
        measured: The step's findings about the whole merged delta of this candidate.
        statistics: The statistics of the tensor that the step needs.
    """

    name: str
    layer: int | None = None
    kind: str = "other"
    layers: int = 0
    options: Options = field(default_factory=dict)
    survey: Any = None
    measured: Any = None
    statistics: Statistics = field(default_factory=dict)


Apply = Callable[[StepContext, TensorSources, "torch.Tensor", Values], "torch.Tensor | None"]
Factors = Callable[[StepContext, Sequence[int], Values], "torch.Tensor | None"]
DeltaSet = Iterable[tuple[StepContext, TensorSources, "torch.Tensor"]]
"""Merged deltas of all tensors; each is valid until the next one is asked for."""


def _no_coefficients(options: Options) -> tuple[Coefficient, ...]:
    return ()


def _no_needs(options: Options) -> tuple[Need, ...]:
    return ()


def _never(values: Values, options: Options) -> bool:
    return False


def _always(options: Options) -> bool:
    return True


def _any_count(n_models: int, options: Options) -> Sequence[str]:
    return ()


def _no_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    return 0


def _nothing_kept(shapes: Iterable[Sequence[int]], options: Options) -> int:
    return 0


@dataclass(frozen=True)
class PostProcess(RecipeOptions, sort="step"):
    """Declares one step after the merge: a function of the merged delta, whatever method has merged it.

    The merged delta of a tensor is the merged tensor minus the base's, float32, before anything is rounded. All
    functions get resolved options (:meth:`resolve`).

    Attributes:
        name: Name of the step and of its file.
        summary: One sentence for people.
        paper: Title and address of the publication it implements, or where else the rule comes from.
        apply: ``apply(context, sources, delta, values)`` changes the merged delta of one tensor in place and returns
            None, or returns another float32 tensor of its shape. ``sources`` are those that the method got: base,
            models, the method's own options; none of them is written to. The delta is contiguous, on the device that
            is merged on, and of any shape, also empty. What is not finite in it must not be hidden.
        coefficients: The coefficients it takes under given options, one value for each group and none per model; those
            that are ``whole`` have one value for all groups where they are searched.
        options: The options it takes.
        count_problems: ``count_problems(n_models, options)`` gives the reasons why these options do not fit so many
            merged models, one sentence each.
        needs: ``needs(options)`` names the statistics that ``apply`` finds in its context.
        identity: ``identity(values, options)`` says whether the step changes nothing under these coefficients of a
            group. It is then left out there, so that the merge is bit for bit the one without it.
        survey: ``survey(tensors, options)`` computes findings about base and models of all tensors, independent of all
            coefficients, once per search, or returns None if these options need none.
        surveyed: The options that such findings depend on; None: all.
        kept_bytes: ``kept_bytes(shapes, options)`` is the most memory of its own that such findings take while a search
            goes on, from the shapes of the tensors that are merged.
        measure: ``measure(deltas, survey, options)`` computes findings about the whole merged delta, as the steps
            before this one have left it. It takes one more merge of all tensors for every candidate.
        measures: ``measures(options)`` says whether these options need what is measured.
        factors: Of a step that does nothing but multiply elements by factors of their channels:
            ``factors(context, shape, values)`` gives these for a tensor of some shape, see
            :func:`evomerge.kernels.channel_factors`, or None where there is nothing to multiply. They are then
            multiplied in while base plus delta is written, where no step comes after it; the bits are those of
            ``apply``.
        working_bytes: ``working_bytes(shape, n_models, options)`` is the memory that ``apply`` takes beside the delta.
        adds: Whether it adds something of the models to the merged delta, so that one of zeros need not stay so.
        agrees_with: Whose results its own are held to in the tests, such as ``the authors' code``; empty where they are
            held to an example that was worked by hand alone.
        cost: What it adds to the cost of a candidate, in words for people.
    """

    name: str
    summary: str
    paper: str
    apply: Apply
    coefficients: Callable[[Options], tuple[Coefficient, ...]] = _no_coefficients
    options: Mapping[str, Option] = field(default_factory=dict)
    count_problems: Callable[[int, Options], Sequence[str]] = _any_count
    needs: Callable[[Options], tuple[Need, ...]] = _no_needs
    identity: Callable[[Values, Options], bool] = _never
    survey: Callable[[TensorSet, Options], Any] | None = None
    surveyed: tuple[str, ...] | None = None
    kept_bytes: Callable[[Iterable[Sequence[int]], Options], int] = _nothing_kept
    measure: Callable[[DeltaSet, Any, Options], Any] | None = None
    measures: Callable[[Options], bool] = _always
    factors: Factors | None = None
    working_bytes: Callable[[Sequence[int], int, Options], int] = _no_bytes
    adds: bool = False
    agrees_with: str = ""
    cost: str = "a pass over the merged delta"
