"""Keeps random elements of deltas, and of these the largest: DARE before TIES (MergeLM)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evomerge.kernels import BernoulliMask, Histogram, Mask, Sparse, Threshold, Values, Window, histogram_of
from evomerge.methods._shared.coefficients import MIN_DENSITY, per_model
from evomerge.methods._shared.inputs import Coefficients, Options, TensorContext, TensorSet, TensorSources, by_model
from evomerge.methods._shared.sparsify.net_sign import NetSign
from evomerge.methods._shared.sparsify.random_drop import drop
from evomerge.methods._shared.sparsify.top_k import TopK, threshold_rank, thresholds_of_tensor
from evomerge.methods._shared.sparsify.whole_model import Found, WholeModel
from evomerge.methods._shared.task_vector import delta_of
from evomerge.options import Option
from evomerge.recipe import Coefficient

TRIM = Option(
    "none",
    ("none", "tensor", "global"),
    str,
    "whether of what random dropping leaves the smallest elements are trimmed, by fractions of every tensor or of the"
    " whole model",
    later=True,
)
TRIM_DENSITY = Coefficient(
    "trim_density",
    0.05,
    1.0,
    1.0,
    minimum=MIN_DENSITY,
    maximum=1.0,
    doc="fraction of each delta's elements that is left where it is dropped at random and then trimmed",
)
# Thresholds of whole models that are kept: each takes passes over the model.
_REMEMBERED = 256


def drop_and_trim(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, models: Sequence[int]
) -> list[Mask | None]:
    """Masks that keep random elements, and with the option ``trim`` the largest of these, by magnitude undivided.

    Trimming a tensor takes a pass over each delta for every candidate, trimming the whole model two over all of them
    for all densities that are new.
    """
    masks = [drop(context, sources, coefficients, model) for model in models]
    scope = sources.options["trim"]
    if scope == "none":
        return list(masks)
    densities = per_model(coefficients["trim_density"])
    asked = [place for place, model in enumerate(models) if densities[model] < 1]
    if scope == "global":
        own = [(models[place], per_model(coefficients["density"])[models[place]]) for place in asked]
        thresholds = [
            sources.survey.top_k.threshold(context, sources, (model, density, densities[model]))
            for model, density in own
        ]
    else:
        largest = [_largest(sources, masks[place], models[place], densities[models[place]]) for place in asked]
        thresholds = thresholds_of_tensor(largest, sources.options["kept"])
    trimmed: list[Mask | None] = list(masks)
    for place, threshold in zip(asked, thresholds, strict=True):
        mask, window = masks[place], Window(threshold)
        trimmed[place] = window if mask is None else replace(mask, window=window)
    return trimmed


def _left(sources: TensorSources, model: int, mask: BernoulliMask | None) -> Values:
    """A delta of which random elements are dropped."""
    delta = delta_of(sources, model)
    return delta if mask is None else Sparse(delta.base, delta.model, mask)


def _largest(sources: TensorSources, mask: BernoulliMask | None, model: int, density: float) -> TopK:
    values = _left(sources, model, mask)
    histogram = histogram_of(values)
    return TopK(values, histogram, threshold_rank(density, histogram.count, sources.options))


class TrimmedTopK:
    """Top-k thresholds of whole models of which random elements are dropped.

    Args:
        tensors: All tensors of the merge; iterated whenever a density is new.
        options: ``kept`` and ``rounding``.
    """

    def __init__(self, tensors: TensorSet, options: Options) -> None:
        self._tensors, self._options = tensors, options
        self._found: OrderedDict[tuple[int, float, float], Found] = OrderedDict()

    def threshold(self, context: TensorContext, sources: TensorSources, key: tuple[int, float, float]) -> Threshold:
        """The threshold of those elements of a tensor that are among the largest that are left of the whole model.

        Args:
            context: The tensor.
            sources: Its sources.
            key: The model, the fraction of its elements that is not dropped, and that which is left in the end.

        Raises:
            InputError: If tensors are merged from different numbers of models.
        """
        model, density, left = key
        if key not in self._found:
            self._found[key] = self._whole(model, density).find(left, self._options)
        self._found.move_to_end(key)
        while len(self._found) > _REMEMBERED:
            self._found.popitem(last=False)
        values = _values_of(model, density, context, sources)
        return self._found[key].threshold(context.name, values, self._options)

    def _whole(self, model: int, density: float) -> WholeModel:
        def values_of(context: TensorContext, sources: TensorSources) -> Values:
            return _values_of(model, density, context, sources)

        own, count = {}, 0
        for context, sources in self._tensors:
            count = count or len(sources.models)
            by_model([range(count), range(len(sources.models))])  # refuses any other number
            own[context.name] = histogram_of(values_of(context, sources))
        return WholeModel(self._tensors, values_of, own, Histogram.union(own.values()))


def _values_of(model: int, density: float, context: TensorContext, sources: TensorSources) -> Values:
    mask = drop(context, sources, {"density": (density,) * len(sources.models)}, model)
    return _left(sources, model, mask)


@dataclass(frozen=True)
class Survey(NetSign):
    """Findings about all tensors together, with ``trim: global``.

    Attributes:
        top_k: Thresholds of whole models.
    """

    top_k: TrimmedTopK


def survey(tensors: TensorSet, options: Options) -> Survey | None:
    """Nothing but the tensors, for thresholds of whole models, if there are to be any."""
    return Survey(tensors, drop_and_trim, TrimmedTopK(tensors, options)) if options["trim"] == "global" else None
