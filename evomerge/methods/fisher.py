"""Fisher merging: an average of the models in which each weight counts by how much the model's answers depend on it.

An element of the result is the average of the models' elements by ``weight * F^exponent``, where F is the diagonal of a
model's Fisher information: the mean over its own texts of the squared gradient. An exponent of 1 is the method as it is
published, 0 is the plain weighted average, and what lies between is ours.

=========  ====================  =======================  =====================  =====================  ============
option     here                  Matena and Raffel 2022   Jin et al. 2023        MergeLM                MaTS
=========  ====================  =======================  =====================  =====================  ============
normalise  model                 model, or none           none, model or tensor  none or model          none
floor      1e-12                 1e-6                     1e-10                  1e-6                   1e-8
floored    add                   max                      add                    add                    max
target     not set               0                        not set                not set                not set
=========  ====================  =======================  =====================  =====================  ============

``normalise`` divides F by its length, over the whole model or over each tensor, so that a model whose loss is steep
does not outvote the others; the floor is applied first, and the length is that without it. With ``floored: add`` it is
added, also to the length; ``max`` raises what is less. With a ``target`` it is that model's F alone which has a floor.
Where a tensor has no Fisher information of some model, and where no model of a weight other than zero has any, the
models count by their weights alone.

Prepared is F of every model, 2 bytes for each element, or 4 with ``stored: float32``. A candidate is a pass over the
models and these arrays, which takes powers where the exponent is neither 0 nor 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import Finite, dot, fill
from evomerge.methods._shared.averaging.averages import add_models
from evomerge.methods._shared.coefficients import alone, per_model, proportions, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.elementwise import summed
from evomerge.methods._shared.inputs import (
    Coefficients,
    Options,
    Starts,
    TensorContext,
    TensorSet,
    TensorSources,
    by_model,
)
from evomerge.methods._shared.needs import Need, Statistics, sound
from evomerge.methods._shared.tasks import number_problems
from evomerge.options import Option
from evomerge.recipe import Coefficient

NORMALISE = Option(
    "model", ("model", "tensor", "none"), str, "what each model's Fisher information is divided by the length of"
)
FLOOR = Option(1e-12, None, float, "least Fisher information of an element", low=1e-30, high=1.0)
FLOORED = Option("add", ("add", "max"), str, "whether the floor is added, or what is less is raised to it")
TARGET = Option(
    None, None, int, "number of the model, from 0, whose Fisher information alone has a floor; not set: all", low=0,
    of_model=True,
)  # fmt: skip
STORED = Option(
    "bfloat16",
    ("bfloat16", "float32"),
    str,
    "type of what is prepared; bfloat16 is good to 1/500 of an element's share and takes half the room",
)
EXPONENT = Coefficient(
    "exponent",
    0.0,
    1.0,
    1.0,
    per_model=False,
    minimum=0.0,
    doc="exponent of the Fisher information: a plain average (0), as published (1), or between",
)


def prepare(
    context: TensorContext,
    base: torch.Tensor | None,
    models: Sequence[torch.Tensor],
    options: Options,
    statistics: Statistics,
) -> Mapping[str, torch.Tensor]:
    """``fisher.I`` of each model, with its floor, and ``squares``, the sum of the squares of each without one."""
    found = sound(context.name, "fisher", statistics["fisher"], [models[0].shape])
    if found is None:
        return {}
    arrays = {"squares": torch.tensor([dot(own, own) for own in found], dtype=torch.float64)}
    for number, own in enumerate(found):
        if options["target"] in (None, number):
            own = own + options["floor"] if options["floored"] == "add" else own.clamp(min=options["floor"])
        arrays[f"fisher.{number}"] = _pack(own.contiguous(), options)
    return arrays


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """2 or 4 bytes for each element, and 8 for each model."""
    return n_models * (math.prod(shape) * (4 if options["stored"] == "float32" else 2) + 8)


def survey(tensors: TensorSet, options: Options) -> list[float] | None:
    """With ``normalise: model`` the length of each model's Fisher information, all tensors together."""
    if options["normalise"] != "model":
        return None
    found = (sources.prepared["squares"].tolist() for _, sources in tensors if "squares" in sources.prepared)
    return [math.sqrt(math.fsum(squares)) for squares in by_model(found, ("normalise", "model", "tensor"))]


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the average of the models by weight and Fisher information; a model of weight zero takes no part."""
    exponent = shared(coefficients["exponent"])
    weights = proportions("fisher", context.name, per_model(coefficients["weight"]))
    models = [model for model, own in enumerate(weights) if own != 0]
    if exponent == 0 or len(models) == 1 or not sources.prepared:
        return add_models(sources, weights, out)
    lengths = _lengths(sources)
    factors = {model: weights[model] * lengths[model] ** -exponent for model in models}
    fishers = {model: sources.operand(f"fisher.{model}").view(-1) for model in models}

    def average(span: slice) -> torch.Tensor:
        total, divisor = torch.zeros((), device=out.device), torch.zeros((), device=out.device)
        for model in models:
            share = _unpack(fishers[model][span])
            share = (share if exponent == 1 else share.pow(exponent)) * factors[model]
            divisor = share + divisor
            total = share.mul_(sources.flat_models[model][span].to(torch.float32)).add_(total)
        merged = total.div_(divisor)
        if sources.options["target"] is not None and not divisor.all():
            blocks = [sources.flat_models[model][span].to(torch.float32) * weights[model] for model in models]
            merged = torch.where(divisor == 0, summed(blocks), merged)
        return merged

    fill(out, average)
    return None


def _lengths(sources: TensorSources) -> Sequence[float]:
    """The divisor of each model's Fisher information."""
    options, squares = sources.options, sources.prepared["squares"].tolist()
    if options["normalise"] == "none":
        return (1.0,) * len(squares)
    found = sources.survey if options["normalise"] == "model" else [math.sqrt(own) for own in squares]
    return [(own + options["floor"] if options["floored"] == "add" else own) or 1.0 for own in found]


def _pack(array: torch.Tensor, options: Options) -> torch.Tensor:
    """An array as it is stored; bfloat16 as whole numbers of two bytes, which every file of arrays can hold."""
    return array.flatten() if options["stored"] == "float32" else array.flatten().to(torch.bfloat16).view(torch.int16)


def _unpack(array: torch.Tensor) -> torch.Tensor:
    return array if array.dtype == torch.float32 else array.view(torch.bfloat16).to(torch.float32)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, proportions, and ``exponent``."""
    return (weight(simplex=True), EXPONENT)


def starts(n_models: int, options: Options) -> Starts:
    """The mean and every model at an exponent of 0; and the published method."""
    even = (1 / n_models,) * n_models
    points: dict[str, Coefficients] = {"uniform": {"weight": even, "exponent": 0.0}}
    points |= {f"model:{i}": {"weight": alone(i, n_models), "exponent": 1.0} for i in range(n_models)}
    return points | {"neutral": {"weight": even, "exponent": 1.0}}


def _count_problems(n_models: int, options: Options) -> list[str]:
    return number_problems("target", n_models, options)


METHOD = MergeMethod(
    name="fisher",
    summary="average of the models in which each weight counts by its Fisher information on the model's own texts",
    paper="Matena and Raffel 2022, Merging models with Fisher-weighted averaging, https://arxiv.org/abs/2111.09832",
    merge=merge,
    coefficients=coefficients,
    options={"normalise": NORMALISE, "floor": FLOOR, "floored": FLOORED, "target": TARGET, "stored": STORED},
    base="optional",
    count_problems=_count_problems,
    needs=lambda options: (Need("fisher"),),
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    scratch_bytes=lambda shape, n_inputs, options: 8 * math.prod(shape),
    survey=survey,
    starts=starts,
    agrees_with="the authors' code",
    cost="a pass over the models and as many arrays of half their size or all of it",
)
