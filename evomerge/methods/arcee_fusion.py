"""Arcee Fusion: the base takes over those of the other model's elements that matter most.

There is no paper; the rule is mergekit's. An element matters by its delta's magnitude, times the divergence of its row:
both models' rows are read as distributions (softmax), and their Kullback-Leibler divergence counts. What reaches the
median plus 1.5 interquartile ranges is taken over, in each tensor by itself. The coefficient ``cutoff`` is that 1.5.

Of deltas as small as most experts' are, divergences in float32 are largely rounding errors. mergekit takes these
(``divergence: float32``, always on the CPU, so that they are the same everywhere); ``float64`` are the true ones, near
the threshold other elements then are taken over. Quartiles are exact; mergekit takes those of a random million of a
larger tensor's elements. Of types below float32 mergekit rounds on the way and gives float32; here the recipe's type is
given, and rounded to once.

Prepared are the divergence of each row and the quartiles of all elements' importance; a candidate costs one pass over
the base and the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from evomerge.kernels import BLOCK, Finite, fill, flat, magnitude_bits, spans, spread
from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.methods._shared.vectors import folded
from evomerge.options import Option
from evomerge.recipe import Coefficient

_ADDED = 1e-8  # to probabilities, so that none is zero
_HALF = 16  # bits of a magnitude that are counted at once
_DIVERGENCE = Option("float32", ("float32", "float64"), str, "arithmetic of rows' divergences; float32 is mergekit's")


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """``divergence`` of each row, and the ``quartiles`` of all elements' importance; float32."""
    ours, theirs, width = flat(base), flat(models[0]), _width(base.shape)
    if not len(ours):
        return {"divergence": torch.empty(0), "quartiles": torch.zeros(3)}
    step = max(1, BLOCK // width) * width
    measured = divergences if options["divergence"] == "float64" else rounded_divergences
    divergence = torch.cat([measured(ours[span], theirs[span], width) for span in spans(len(ours), step)])

    def blocks() -> Iterator[torch.Tensor]:
        for span in spans(len(ours), device=ours.device):
            delta = theirs[span].to(torch.float32) - ours[span].to(torch.float32)
            yield importance(delta, divergence, span, width)

    ranks = [int(share * (len(ours) - 1)) for share in (0.25, 0.5, 0.75)]
    return {"divergence": divergence.cpu(), "quartiles": order_statistics(blocks, ranks)}


def divergences(ours: torch.Tensor, theirs: torch.Tensor, width: int) -> torch.Tensor:
    """Divergence of each row of the other model from the base's, in nats."""
    rows = [flats.to(torch.float64).view(-1, width).softmax(dim=1) + _ADDED for flats in (theirs, ours)]
    return folded([rows[0] * (rows[0] / rows[1]).log()], dim=1)[0].clamp(min=0).to(torch.float32)


def rounded_divergences(ours: torch.Tensor, theirs: torch.Tensor, width: int) -> torch.Tensor:
    """The same in float32 throughout, rounding errors included; on the CPU, since those of a GPU are others."""
    p, q = (flats.cpu().to(torch.float32).view(-1, width).softmax(dim=-1) + _ADDED for flats in (theirs, ours))
    return (p * (p / q).log()).sum(dim=-1).clamp(min=0).to(ours.device)


def importance(delta: torch.Tensor, divergence: torch.Tensor, span: slice, width: int) -> torch.Tensor:
    """Importance of some elements."""
    return delta.abs() * spread(divergence, span, "rows", width)


def order_statistics(blocks: Callable[[], Iterator[torch.Tensor]], ranks: Sequence[int]) -> torch.Tensor:
    """Values of these ranks, 0 being the smallest, among non-negative numbers; in two passes over their blocks.

    Args:
        blocks: Goes through the numbers, float32.
        ranks: The ranks.
    """
    upper = sum(torch.bincount(magnitude_bits(block) >> _HALF, minlength=1 << _HALF).cpu() for block in blocks())
    assert isinstance(upper, torch.Tensor)
    upto = upper.cumsum(0)
    keys = torch.searchsorted(upto, torch.tensor(ranks), right=True).tolist()
    lower = {key: torch.zeros(1 << _HALF, dtype=torch.int64) for key in keys}
    for block in blocks():
        bits = magnitude_bits(block)
        for key, counts in lower.items():
            counts += torch.bincount(bits[bits >> _HALF == key] & ((1 << _HALF) - 1), minlength=1 << _HALF).cpu()
    found = []
    for rank, key in zip(ranks, keys, strict=True):
        below = rank - int(upto[key] - upper[key])
        found.append((key << _HALF) + int(torch.searchsorted(lower[key].cumsum(0), below, right=True)))
    return torch.tensor(found, dtype=torch.int32).view(torch.float32)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus the deltas that matter."""
    base, (model,), width = sources.flat_base, sources.flat_models, _width(out.shape)
    first, median, third = sources.prepared["quartiles"].tolist()
    least = median + shared(coefficients["cutoff"]) * (third - first)
    divergence = sources.operand("divergence").to(out.device)

    def fused(span: slice) -> torch.Tensor:
        start = base[span].to(torch.float32)
        delta = model[span].to(torch.float32) - start
        # Multiplied, not selected: what is not finite must reach the result. No negative zeros are taken off.
        taken = delta * (importance(delta, divergence, span, width) >= least)
        return start - taken.neg_().add_(0.0)

    fill(out, fused)
    return None


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``cutoff``, shared."""
    doc = "interquartile ranges above the median from which an element is taken over"
    return (Coefficient("cutoff", -1.0, 4.0, 1.5, per_model=False, doc=doc),)


def starts(n_models: int, options: Options) -> Starts:
    """Mergekit's cutoff."""
    return {"neutral": {"cutoff": 1.5}}


def mergekit(options: Options) -> Mapping[str, Any] | None:
    """Mergekit's ``arcee_fusion``, whose divergences are those of float32."""
    return {} if options["divergence"] == "float32" else None


def _width(shape: Sequence[int]) -> int:
    """Number of elements in a row; a vector is one row."""
    return shape[-1] if shape else 1


METHOD = MergeMethod(
    name="arcee_fusion",
    summary="base with those elements of the other model that matter most by size and by their row's divergence",
    paper="rule of mergekit's arcee_fusion, https://github.com/arcee-ai/mergekit",
    merge=merge,
    coefficients=coefficients,
    options={"divergence": _DIVERGENCE},
    models=(1, 1),
    prepare=prepare,
    prepared_bytes=lambda shape, n_models, options: 4 * (math.prod(shape) // max(1, _width(shape)) + 3),
    starts=starts,
    exact_starts="none",
    copies=False,
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(lacks=("cutoff",)),
    agrees_with="mergekit 0.1.5",
)
