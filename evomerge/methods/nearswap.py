"""NearSwap: elements of the base that lie near the other model's become the other model's.

There is no paper. The rule is mergekit's and that of https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001: an
element moves all the way where the two differ by at most a threshold, and by the threshold where they differ by more.

=======  ===========================
option   mergekit's ``nearswap``
=======  ===========================
unit     absolute
=======  ===========================

mergekit's threshold ``t`` is a difference of weights, so what it means depends on the model and the tensor. By default
(``unit: rms``) it is a multiple of the root mean square of the tensor's delta.

Prepared is the root mean square of each tensor's delta; a candidate costs one pass over the base and the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from evomerge.kernels import Finite, Variance, fill, flat, square_sums
from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.options import Option
from evomerge.recipe import Coefficient

UNIT = Option(
    "rms",
    ("rms", "absolute"),
    str,
    "what t counts: root mean squares of the tensor's delta (rms), or differences of weights as they are (absolute)",
)


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """The root mean square of the delta: ``rms``, one number."""
    (total,) = square_sums(Variance(flat(base), [flat(models[0])]))
    return {"rms": torch.tensor([math.sqrt(total / max(1, base.numel()))], dtype=torch.float64)}


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base, each element moved towards the model's by the threshold at most."""
    threshold = shared(coefficients["t"])
    if sources.options["unit"] == "rms":
        threshold *= float(sources.prepared["rms"])
    base, (model,) = sources.flat_base, sources.flat_models

    def moved(span: slice) -> torch.Tensor:
        ours, theirs = base[span].to(torch.float32), model[span].to(torch.float32)
        away = (ours - theirs).abs_()
        share = torch.where(away <= threshold, 1.0, threshold / away)
        # A weighted sum: exact at both ends, and what is not finite in either reaches the result.
        return share * theirs + (1 - share) * ours

    fill(out, moved)
    return None


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``t``, shared: the threshold."""
    high = 4.0 if options["unit"] == "rms" else 0.01
    doc = "difference up to which elements are swapped for the model's, and by which others move"
    return (Coefficient("t", 0.0, high, high, per_model=False, minimum=0.0, doc=doc),)


def starts(n_models: int, options: Options) -> Starts:
    """The model, but for its largest deltas; nothing where the size of deltas is not known."""
    return {"uniform": {"t": 4.0}, "model:0": {"t": 4.0}} if options["unit"] == "rms" else {}


def mergekit(options: Options) -> Mapping[str, Any] | None:
    """Mergekit's ``nearswap``."""
    return {} if options["unit"] == "absolute" else None


METHOD = MergeMethod(
    name="nearswap",
    summary="elements near the other model's become the other model's, the rest move by the threshold",
    paper="rule of mergekit's nearswap, https://github.com/arcee-ai/mergekit",
    merge=merge,
    coefficients=coefficients,
    options={"unit": UNIT},
    models=(1, 1),
    prepare=prepare,
    prepared_bytes=lambda shape, n_models, options: 8,
    starts=starts,
    exact_starts="none",
    copies=False,
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(read=lambda parameters: {"unit": "absolute"}),
    agrees_with="mergekit 0.1.5",
)
