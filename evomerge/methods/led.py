"""LED-Merging: add up of every delta what matters to its expert and to the base, and to no other expert.

The score of a weight on an expert's texts is its magnitude times the magnitude of the loss's gradient (SNIP), in the
expert and in the base. An expert elects the weights that are among the top ``rate`` of their tensor by both scores; an
element is added, times ``weight``, where one expert alone elects it.

======  ======================================================  ============================================
        Ma et al. 2025 and their code                            here
======  ======================================================  ============================================
own     scores above the k-th largest, k = int(rate * count)     the same; a rate of 1 elects all
others  scores of the k-th largest and above                     the same
equal   of the k-th largest score none of its own                all of them
k of 0  nearly all                                               none
zeros   elected where the k-th largest score is zero too         ``elected``, or with ``zeros: left`` never
======  ======================================================  ============================================

The paper adds deltas as they are, at rates of 0.1 to 0.5. Their code has an expert compete by what it elects with k
itself, one more than it adds, so that an expert adds one element fewer than k; zeros are weights that no text reaches,
such as embeddings of tokens that do not occur: with ``elected`` an expert whose rate is above its share of scored
weights takes them all from the others. An expert of weight 0 takes no part. Tensors without scores stay the base's.

Prepared is one number of two bytes for each weight and expert: the larger of the two ranks, in steps of 1/32768 of
tensors that have more elements. A candidate compares it with two limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import per_model, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.elementwise import deltas_of, summed
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.matrices import add_update
from evomerge.methods._shared.needs import Need, Statistics, sound
from evomerge.options import Option
from evomerge.recipe import Coefficient

LEVELS = 1 << 15
"""The number of ranks that are told apart."""
RATE = Coefficient(
    "rate",
    0.02,
    0.6,
    0.3,
    minimum=0.0,
    maximum=1.0,
    doc="fraction of each tensor's weights that an expert elects by each of the two scores",
)
ZEROS = Option(
    "left",
    ("left", "elected"),
    str,
    "whether weights of score zero are left to the other experts, or elected where an expert has fewer others than its "
    "rate asks for",
)
_OWN, _OF_BASE = Need("snip"), Need("snip", of="base", texts="own")


def prepare(
    context: TensorContext,
    base: torch.Tensor,
    models: Sequence[torch.Tensor],
    options: Options,
    statistics: Statistics,
) -> Mapping[str, torch.Tensor]:
    """``ranks.I`` of each expert, see :func:`ranks_of`."""
    shape = [models[0].shape]
    own = sound(context.name, _OWN.key, statistics[_OWN.key], shape)
    of_base = sound(context.name, _OF_BASE.key, statistics[_OF_BASE.key], shape)
    if own is None or of_base is None:
        return {}
    return {f"ranks.{number}": ranks_of(pair) for number, pair in enumerate(zip(own, of_base, strict=True))}


def ranks_of(scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """The largest rank of each element in some arrays of scores, int16 ``(numel,)``.

    A rank is the number of elements of larger scores, in steps of a :data:`LEVELS`-th of them where there are more than
    so many. Of elements with a score of zero it is inverted bit by bit, so that it is negative.
    """
    numel = scores[0].numel()
    count = np.int32 if numel < 2**31 else np.int64
    ranks, zero = np.zeros(numel, count), np.zeros(numel, bool)
    for own in scores:
        falling = -own.reshape(-1).numpy()
        order = np.argsort(falling)  # and no search for each element, which reads all over the memory
        ordered = falling[order]
        larger = np.arange(numel, dtype=count)
        larger[1:][ordered[1:] == ordered[:-1]] = 0  # as many as before the first of its equals
        np.maximum.accumulate(larger, out=larger)
        ranks[order] = np.maximum(ranks[order], larger)
        zero |= falling == 0
        del order, ordered, larger
    if numel > LEVELS:
        ranks = ranks.astype(np.int64) * LEVELS // numel
    return torch.from_numpy(np.where(zero, -1 - ranks, ranks).astype(np.int16))


def limits(rate: float, numel: int) -> tuple[int, int]:
    """The numbers of ranks that an expert elects for itself, and that it takes from others.

    Args:
        rate: The fraction.
        numel: The number of elements.
    """
    count = int(rate * numel)
    if rate >= 1.0:
        return LEVELS, LEVELS
    own = max(count - 1, 0)
    if numel > LEVELS:
        return own * LEVELS // numel, -(-count * LEVELS // numel)
    return own, count


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus of each delta, times its weight, what its expert alone elects."""
    weights, rates = per_model(coefficients["weight"]), per_model(coefficients["rate"])
    experts = [expert for expert, own in enumerate(weights) if own != 0] if sources.prepared else []
    bounds = [limits(rates[expert], out.numel()) for expert in experts]
    ranks = [sources.operand(f"ranks.{expert}") for expert in experts]
    takes_zeros = sources.options["zeros"] == "elected"

    def update(span: slice) -> torch.Tensor:
        if not experts:
            return torch.zeros(span.stop - span.start, device=out.device)
        found = [_elected(own[span], bound, takes_zeros) for own, bound in zip(ranks, bounds, strict=True)]
        taken = summed([others for _, others in found])
        deltas = deltas_of(sources, span, experts)
        for delta, (own, others), expert in zip(deltas, found, experts, strict=True):
            # Multiplied, not selected: what is not finite must reach the result.
            delta.mul_(own.mul_((taken - others).eq_(0.0))).mul_(weights[expert])
        return summed(deltas)

    add_update(sources, update, out)
    return None


def _elected(ranks: torch.Tensor, bounds: tuple[int, int], takes_zeros: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The elements that an expert elects for itself, and those that it takes from others: 1, else 0, float32."""
    whole, (own, others) = bounds == (LEVELS, LEVELS), bounds
    ranks = ranks.to(torch.int32)  # which holds a limit of all ranks, too
    scored = ranks >= 0
    levels = torch.where(scored, ranks, ~ranks)
    mine = levels < own if whole else (levels < own) & scored
    theirs = levels < others if whole or takes_zeros else (levels < others) & scored
    return mine.to(torch.float32), theirs.to(torch.float32)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight`` and ``rate``."""
    return (weight(simplex=False), RATE)


def starts(n_models: int, options: Options) -> Starts:
    """The published method, with a rate between theirs; deltas are never added whole."""
    return {"neutral": {"weight": (1.0,) * n_models, "rate": (RATE.neutral,) * n_models}}


METHOD = MergeMethod(
    name="led",
    summary="of each delta what matters to its expert and to the base on that expert's texts, and to no other expert",
    paper="Ma et al. 2025, LED-Merging: mitigating safety-utility conflicts in model merging with "
    "location-election-disjoint, https://arxiv.org/abs/2502.16770",
    merge=merge,
    coefficients=coefficients,
    options={"zeros": ZEROS},
    needs=lambda options: (_OWN, _OF_BASE),
    prepare=prepare,
    prepared_bytes=lambda shape, n_models, options: 2 * n_models * math.prod(shape),
    scratch_bytes=lambda shape, n_inputs, options: 34 * math.prod(shape),
    starts=starts,
    copies=False,  # what several experts elect stays the base's
    agrees_with="the authors' code",
    cost="a pass over base, models and arrays of two bytes for each of their elements",
)
