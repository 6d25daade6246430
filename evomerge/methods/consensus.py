"""Consensus task arithmetic: add up the deltas where enough experts' masks agree that the element matters.

A mask of Wang et al. 2024 (TALL mask) has the elements at which a delta is larger than its distance to the sum of all
deltas times ``mask_lambda``: ``|delta| > mask_lambda * |sum - delta|``. What fewer than ``k`` masks have is left out.
With ``vector: ties`` it is consensus TIES: the sum is that of TIES, here and in what is merged.

======  ==============================================================================================================
option  what it decides
======  ==============================================================================================================
k       how many masks must have an element: 2 in the paper; 1 leaves out what no expert wants, 0 nothing
task    not set: one model for all. A number: the model for that expert's task, counted from 0, which is the base plus
        the sum of all deltas in that expert's mask, as the paper compresses models
vector  sum: the sum of all deltas. ties: the sum of what TIES keeps of them, a fraction ``density`` of each model's
        elements over all tensors, the largest (20 % in the paper), and of these those of the elected sign
======  ==============================================================================================================

The paper chooses ``mask_lambda`` from 0.2 to 0.6 for each expert on validation data, and adds 0.3 or so of the deltas.
Masks come from plain deltas and their unscaled sum, as in the authors' code; ``weight`` is what is added of each delta,
so an expert of weight 0 still has its say on what matters. Where there are fewer than ``k`` models, all must agree
(ours). TIES elects as in their code: by plain deltas, and where votes cancel the sign of most elements, else minus; the
code adds up what agrees, and compares each delta as it is, not trimmed, with that sum.

Nothing is prepared of the plain sum: a candidate reads every tensor once. With ``vector: ties`` histograms of the
deltas' magnitudes are, and a candidate reads every tensor once more where votes cancel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from evomerge.kernels import Finite, Window, in_window
from evomerge.methods._shared.coefficients import delta_starts, density, per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.elementwise import Update, add_update, deltas_of, summed, weighted
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSet, TensorSources
from evomerge.methods._shared.matrices import add_update as add_spans
from evomerge.methods._shared.sparsify import trim as trimming
from evomerge.methods._shared.sparsify.top_k import histograms_bytes, prepare_histograms
from evomerge.methods._shared.tasks import TASK, task_of, task_problems
from evomerge.options import Option
from evomerge.recipe import Coefficient

K = Option(2, None, int, "number of experts whose masks must have an element for it to be merged", low=0)
VECTOR = Option(
    "sum",
    ("sum", "ties"),
    str,
    "what is merged and what masks are compared with: the sum of deltas, or TIES' sum of their largest elements that "
    "agree in sign",
    later=True,
)
_TIES: Options = {
    "scope": "global", "kept": "threshold", "rescale": "none", "votes": "plain", "tie": "majority_or_minus",
    "normalise": "none",
}  # fmt: skip
MASK_LAMBDA = Coefficient(
    "mask_lambda",
    0.0,
    1.0,
    0.0,
    minimum=0.0,
    doc="distance to the sum of all deltas, in magnitudes of the expert's own, beyond which its mask drops an element",
)


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """With ``vector: ties`` histograms of the deltas' magnitudes."""
    return prepare_histograms(context, base, models, _TIES) if options["vector"] == "ties" else {}


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """With ``vector: ties`` those of histograms."""
    return histograms_bytes(shape, n_models, _TIES) if options["vector"] == "ties" else 0


@dataclass(frozen=True)
class _ForTies:
    """All tensors as TIES would have them; every iteration is a fresh pass."""

    tensors: TensorSet

    def __iter__(self) -> Iterator[tuple[TensorContext, TensorSources]]:
        return ((context, replace(sources, options=_TIES)) for context, sources in self.tensors)


def survey(tensors: TensorSet, options: Options) -> trimming.Survey | None:
    """With ``vector: ties`` its thresholds and elections of whole models."""
    return trimming.survey(_ForTies(tensors), _TIES) if options["vector"] == "ties" else None


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the weighted deltas that enough masks have, or the model for one task."""
    options, count = sources.options, len(sources.models)
    if options["vector"] == "ties":
        _merge_ties(context, sources, coefficients, out)
        return None
    task = None if options["task"] is None else task_of(context, sources, options["task"])
    update = _agreed(coefficients, min(options["k"], count)) if task is None else _own(coefficients, task)
    models = range(count) if task is not None or any(per_model(coefficients["weight"])) else ()
    add_update(sources, models, update, out, scale=shared(coefficients["lambda"]))
    return None


def _agreed(coefficients: Coefficients, least: int) -> Update:
    """The weighted sum of deltas in at least so many masks."""
    weights, limits = per_model(coefficients["weight"]), per_model(coefficients["mask_lambda"])

    def update(deltas: list[torch.Tensor]) -> torch.Tensor:
        whole = summed(deltas)
        votes = summed([mask(delta, whole, limit) for delta, limit in zip(deltas, limits, strict=True)])
        # Multiplied, not selected: what is not finite must reach the result.
        return votes.ge_(least).mul_(summed(weighted(deltas, range(len(deltas)), weights)))

    return update


def _own(coefficients: Coefficients, task: int) -> Update:
    """The sum of all deltas in one mask."""
    limit = shared(coefficients["mask_lambda"])

    def update(deltas: list[torch.Tensor]) -> torch.Tensor:
        whole = summed(deltas)
        return mask(deltas[task], whole, limit).mul_(whole)

    return update


def _merge_ties(context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor) -> None:
    """Writes the same of TIES' sum."""
    options, every, factor = sources.options, range(len(sources.models)), shared(coefficients["lambda"])
    task = None if options["task"] is None else task_of(context, sources, options["task"])
    weights = (1.0,) * len(every) if task is not None else per_model(coefficients["weight"])
    if not any(weights) or not out.numel():
        add_update(sources, (), summed, out)
        return
    limits, least = _of_each(coefficients["mask_lambda"], len(every)), min(options["k"], len(every))
    elect = _Election.of(context, sources, _of_each(coefficients["density"], len(every)))

    def update(span: slice) -> torch.Tensor:
        deltas = deltas_of(sources, span)
        kept = elect.kept(deltas, span)
        whole = summed(kept)
        if task is not None:
            return mask(deltas[task], whole, limits[task]).mul_(whole).mul_(factor)
        votes = summed([mask(delta, whole, limit) for delta, limit in zip(deltas, limits, strict=True)])
        return votes.ge_(least).mul_(summed(weighted(kept, every, weights))).mul_(factor)

    add_spans(sources, update, out)


def _of_each(value: float | tuple[float, ...], count: int) -> tuple[float, ...]:
    """The values of a coefficient that models share, or each have."""
    return value if isinstance(value, tuple) else (value,) * count


@dataclass(frozen=True)
class _Election:
    """TIES' choice of elements in one tensor.

    Attributes:
        sources: The tensor.
        masks: The largest elements of each model's deltas.
        coefficients: The coefficients of TIES that they follow from.
    """

    sources: TensorSources
    masks: Sequence[Window | None]
    coefficients: Coefficients

    @classmethod
    def of(cls, context: TensorContext, sources: TensorSources, densities: tuple[float, ...]) -> _Election:
        """The choice at some densities."""
        own: Coefficients = {"weight": (1.0,) * len(densities), "density": densities, "lambda": 1.0}
        masks = trimming.trim(context, replace(sources, options=_TIES), own, range(len(densities)))
        return cls(sources, masks, own)

    def kept(self, deltas: list[torch.Tensor], span: slice) -> list[torch.Tensor]:
        """The elements of one block of each delta that TIES adds up, zeros elsewhere; what is not finite stays so."""
        trimmed = [
            delta.clone() if mask is None else delta * in_window(mask, delta, span)
            for delta, mask in zip(deltas, self.masks, strict=True)
        ]
        signs = summed(trimmed).sign_()
        tied = signs == 0.0
        if any(bool((own[tied] != 0.0).any()) for own in trimmed):
            signs.masked_fill_(tied, 1.0 if self.sources.survey.net_sign(self.coefficients) > 0 else -1.0)
        return [own.mul_((own * signs).gt_(0.0)) for own in trimmed]


def mask(delta: torch.Tensor, whole: torch.Tensor, limit: float) -> torch.Tensor:
    """The elements that matter to one expert: 1, and 0 elsewhere.

    Args:
        delta: Its delta.
        whole: The sum of all deltas.
        limit: The expert's ``mask_lambda``.
    """
    return delta.abs().gt_((whole - delta).abs_().mul_(limit))


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``mask_lambda`` and ``lambda``; with ``task`` the last two, of one expert. TIES has a ``density``."""
    ties = options["vector"] == "ties"
    if options["task"] is not None:
        own = (replace(density(), per_model=False, neutral=0.2),) if ties else ()
        return (*own, _of_one_expert(), scale(searched=True))
    return (weight(simplex=False), *((density(),) if ties else ()), MASK_LAMBDA, scale(searched=False))


def _of_one_expert() -> Coefficient:
    return Coefficient("mask_lambda", 0.0, 1.0, 0.4, per_model=False, minimum=0.0, doc=MASK_LAMBDA.doc)


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`: with masks of all elements that differ from the base's. With ``task`` one mask."""
    ties = options["vector"] == "ties"
    if options["task"] is not None:
        own = {"density": 0.2} if ties else {}
        return {"neutral": {**own, "mask_lambda": 0.4, "lambda": 1.0}}
    return delta_starts(n_models, {"normalise": "none"}, sparse=ties, elects=ties, further=(MASK_LAMBDA,))


METHOD = MergeMethod(
    name="consensus",
    summary="weighted sum of deltas where enough experts' masks agree that the element matters",
    paper="Wang et al. 2024, Localizing task information for improved model merging and compression, "
    "https://arxiv.org/abs/2405.07813",
    merge=merge,
    coefficients=coefficients,
    options={"k": K, "task": TASK, "vector": VECTOR},
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    prepares=lambda context, shape, options: options["vector"] == "ties",
    survey=survey,
    count_problems=task_problems,
    starts=starts,
    exact_starts="none",  # what fewer than k experts changed is left out
    agrees_with="the authors' code",
    cost="a pass over base and models; with vector: ties histograms of deltas are prepared once",
)
