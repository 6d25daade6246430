"""Keeps the elements of largest magnitude of each model's deltas over all tensors."""

from __future__ import annotations

from evomerge.kernels import Histogram, Threshold, Values
from evomerge.methods._shared.inputs import Options, TensorContext, TensorSet, TensorSources, by_model
from evomerge.methods._shared.sparsify.whole_model import ValuesOf, WholeModel
from evomerge.methods._shared.task_vector import delta_of


class GlobalTopK:
    """Top-k thresholds of whole models, from prepared histograms.

    Args:
        tensors: All tensors of the merge, each stored tensor once; iterated now and again later.
        options: ``kept`` and ``rounding``, see :func:`~evomerge.methods._shared.sparsify.top_k.threshold_rank`.

    Raises:
        InputError: If tensors are merged from different numbers of models.
    """

    def __init__(self, tensors: TensorSet, options: Options) -> None:
        self._options = options
        own: dict[str, list[Histogram]] = {
            context.name: [Histogram.load(sources.prepared, str(i)) for i in range(len(sources.models))]
            for context, sources in tensors
        }
        self._models = [
            WholeModel(tensors, _deltas(model), dict(zip(own, parts, strict=True)), Histogram.union(parts))
            for model, parts in enumerate(by_model(own.values()))
        ]

    def threshold(self, context: TensorContext, sources: TensorSources, model: int, density: float) -> Threshold:
        """The threshold of those elements of a tensor's delta that are among the largest of the whole model."""
        found = self._models[model].find(density, self._options)
        return found.threshold(context.name, delta_of(sources, model), self._options)


def _deltas(model: int) -> ValuesOf:
    def values_of(context: TensorContext, sources: TensorSources) -> Values:
        return delta_of(sources, model)

    return values_of
