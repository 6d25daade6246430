"""WIDEN: each column of a delta is weighed by how far it moves in length and direction, compared with the others.

Every column of a matrix (for an embedding: every token's row) has a length and a direction. Yu et al. 2024 rank a
model's columns by how far both have moved from the base's, as fractions from 0 to 1, so that models that have moved
little and much can be compared. A column's score in a model is the softmax of its ranks over the models, but
``calibration`` where its rank is above ``ratio`` times the mean rank; the two scores' mean is the factor of that column
of the delta. Factors are not normalised. Of a vector the elements' magnitudes take the place of ranks.

They have ``ratio`` 1 and ``calibration`` 1, and no weights: ``weight`` multiplies the factors, and models of weight 0
take no part. Where their code only knows matrices: of tensors of more dimensions columns are those along the first. A
column of zeros in one model alone has changed its direction as if to a right angle. A middle rank counts as no
higher than the mean (in their code rounding errors decide), and with ``ratio`` 0 also the lowest is calibrated.

Ranks are prepared, 8 bytes for each model and column. A candidate reads every tensor once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import Delta, Finite, absolute_sum, flat
from evomerge.methods._shared.coefficients import delta_starts, per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.elementwise import add_update, summed, taking_part
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.vectors import add_up, grams_bytes, prepare_grams
from evomerge.recipe import Coefficient

RATIO = Coefficient(
    "ratio", 0.0, 2.0, 1.0, per_model=False, minimum=0.0, doc="rank, in mean ranks, above which a column is calibrated"
)
CALIBRATION = Coefficient("calibration", 0.1, 1.5, 1.0, per_model=False, doc="score of columns of high rank")


def vectors_of(context: TensorContext) -> str:
    """The vectors that have a length and a direction: an embedding's rows, which are tokens'; else columns."""
    return "rows" if context.kind == "embedding" else "columns"


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """``ranks`` of columns by length and direction, ``(2, models, columns)``; of vectors ``means`` of magnitudes."""
    if base.dim() < 2:
        means = [absolute_sum(Delta(flat(base), flat(model))) / max(1, base.numel()) for model in models]
        return {"means": torch.tensor(means, dtype=torch.float64)}
    grams = prepare_grams(context, None, [base, *models], {"vectors": vectors_of(context)})["grams"]
    lengths = grams.diagonal(dim1=1, dim2=2).sqrt()  # (columns, 1 + models)
    products = lengths[:, :1] * lengths[:, 1:]
    cosines = grams[:, 0, 1:] / torch.where(products == 0, 1.0, products)
    cosines[(lengths[:, :1] == 0) & (lengths[:, 1:] == 0)] = 1.0
    moved = torch.stack([(lengths[:, 1:] - lengths[:, :1]).abs(), 1 - cosines]).transpose(1, 2)
    # The place of each column in the order of its model.
    return {"ranks": moved.argsort(dim=2, stable=True).argsort(dim=2).to(torch.int32).contiguous()}


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """8 bytes for each model and column, or row if there are more, since an embedding has rows."""
    if len(shape) < 2:
        return 8 * n_models
    return max(grams_bytes(shape, 1, {"vectors": vectors}) for vectors in ("rows", "columns")) * n_models


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the deltas by their columns' factors."""
    models, weights = taking_part(coefficients), per_model(coefficients["weight"])
    factors = [weights[model] * shared(coefficients["lambda"]) for model in models]
    ratio, calibration = shared(coefficients["ratio"]), shared(coefficients["calibration"])
    if out.dim() < 2 or not models:
        means = sources.prepared["means"].tolist() if models else []

        def update(deltas: list[torch.Tensor]) -> torch.Tensor:
            sizes = torch.stack([delta.abs() for delta in deltas])
            limits = torch.tensor([means[model] for model in models], device=sizes.device)
            scores = scored(sizes, (sizes > (limits * ratio)[:, None]) | (ratio == 0), calibration)
            terms = zip(deltas, scores, factors, strict=True)
            return summed([delta.mul_(score).mul_(factor) for delta, score, factor in terms])

        add_update(sources, models, update, out)
        return None
    ranks = sources.prepared["ranks"][:, models].to(torch.float64)
    count = ranks.shape[2]
    high = (ranks > ratio * (count - 1) / 2) | (ratio == 0)
    scores = scored(ranks / max(1, count), high, calibration).mean(dim=0)
    own = scores * torch.tensor(factors, dtype=torch.float64)[:, None]
    deltas = [sources.flat_models[model] for model in models]
    return add_up(sources.flat_base, deltas, own.t(), vectors_of(context), out)


def scored(values: torch.Tensor, high: torch.Tensor, calibration: float) -> torch.Tensor:
    """Scores over models, which are the last dimension but one.

    Args:
        values: Ranks from 0 to 1, or magnitudes.
        high: Which of them are calibrated.
        calibration: Their score.
    """
    return values.softmax(dim=-2).masked_fill_(high, calibration)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``ratio``, ``calibration`` and ``lambda``."""
    return (weight(simplex=False), RATIO, CALIBRATION, scale(searched=False))


def starts(n_models: int, options: Options) -> Starts:
    """With all columns calibrated to 1, see :func:`delta_starts`; and the published method."""
    points = {
        name: {**values, "ratio": 0.0}
        for name, values in delta_starts(
            n_models, {"normalise": "none"}, sparse=False, elects=False, further=(RATIO, CALIBRATION)
        ).items()
    }
    return points | {"neutral": {"weight": (1.0,) * n_models, "ratio": 1.0, "calibration": 1.0, "lambda": 1.0}}


METHOD = MergeMethod(
    name="widen",
    summary="sum of deltas with factors of columns by how far they move in length and direction",
    paper="Yu et al. 2024, Extend model merging from fine-tuned to pre-trained large language models via weight "
    "disentanglement, https://arxiv.org/abs/2408.03092",
    merge=merge,
    coefficients=coefficients,
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    starts=starts,
    agrees_with="the authors' code",
)
