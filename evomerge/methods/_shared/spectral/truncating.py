"""The ``merge`` of methods that add up deltas cut to their leading singular triples, from the rule of the cut."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from evomerge.kernels import Finite, Mixture, mix
from evomerge.methods._shared.coefficients import per_model, shared
from evomerge.methods._shared.inputs import Coefficients, Merge, TensorContext, TensorSources
from evomerge.methods._shared.spectral.matrices import stack_of
from evomerge.methods._shared.spectral.partial_sums import add_truncated
from evomerge.methods._shared.task_vector import merging

Truncation = Callable[[np.ndarray, float, int], tuple[int, float]]
"""Number of triples that are kept and their factor, from cumulative sums of singular values other than zero, the
coefficient, and the largest rank that a matrix of this shape can have."""
_PLAIN = merging()


def truncating(name: str, truncation: Truncation) -> Merge:
    """The ``merge`` of a method whose deltas are cut.

    Args:
        name: Of the coefficient that says how far; from 1 on deltas are whole.
        truncation: The rule.
    """

    def merge(
        context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
    ) -> Finite | None:
        """Writes the base plus lambda times the weighted truncated deltas; a model of weight zero takes no part."""
        share, weights = shared(coefficients[name]), per_model(coefficients["weight"])
        if out.numel() and sources.options["others"] == "base" and stack_of(out.shape, context.kind) is None:
            return mix(Mixture(sources.flat_base, []), out).finite
        if share >= 1 or not sources.prepared or not any(weights):
            return _PLAIN(context, sources, coefficients, out)
        divisor = (sum(weights) or 1.0) if sources.options["normalise"] == "weight" else 1.0
        scale, most = shared(coefficients["lambda"]) / divisor, min(out.shape[-2:])
        add_truncated(sources, lambda sums: truncation(sums, share, most), [scale * weight for weight in weights], out)
        return None

    return merge
