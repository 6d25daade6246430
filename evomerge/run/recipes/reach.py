"""How far genes move a merge: the prior of where experts differ, for searchers that can use one.

After AP-BMM (Chen et al. 2026, arXiv:2512.09972), which tells its Gaussian process before the search which layers
should matter: where parameters and activations of two models differ most. Ours is of parameters alone, of any number of
models and of any layout of the genome, and a length instead of a score: if quality is equally smooth in every direction
of the weights, a gene that moves the merge twice as far has half the length scale.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evomerge.checkpoints import compare_deltas
from evomerge.genome import GenomeSpec
from evomerge.merging import Checkpoints
from evomerge.recipe import values_of
from evomerge.run.likeness import comparable
from evomerge.run.run_config import RunConfig

__all__ = ["Reach", "reach_of", "relative_reach"]

Array = NDArray[np.float64]
Reach = Callable[[], Array]
_DIGITS = 6  # that count: the last ones depend on the processor


def reach_of(config: RunConfig, spec: GenomeSpec, checkpoints: Checkpoints) -> Reach | None:
    """A function to the relative reach of each gene, ``(n_var,)``, which reads every weight once.

    Without a base deltas are taken from the first model: proportions move a merge the same way whatever these are
    taken from. None where a recipe is searched, whose models are not merged by one method.
    """
    if config.recipe is not None:
        return None
    refs = {ref.place: ref for ref in checkpoints.by_ref}
    models = [checkpoints[refs[ref.place]] for ref in config.models]
    base = models[0] if config.base is None else checkpoints[refs[config.base.place]]

    def reach() -> Array:
        products = np.zeros((len(spec.groups), len(models), len(models)))
        for one in compare_deltas(base, models, comparable(checkpoints, base, models)[0]):
            if one.name in spec.members:
                products[spec.members[one.name]] += one.products
        return relative_reach(spec, products)

    return reach


def relative_reach(spec: GenomeSpec, products: Array) -> Array:
    """How far each gene moves the merge from one end of its range to the other, over the median of its coefficient.

    The merge is taken to be the base plus weighted deltas. Coefficients that all models share count as if they weighed
    the mean of the deltas. Genes that move nothing that is known, such as those of layers, have 1.

    Args:
        spec: The search space.
        products: Inner products of the deltas in each group, ``(groups, n, n)``.

    Returns:
        ``(n_var,)``, the other genes being in the middle of their ranges.
    """
    together = products.mean(axis=(1, 2))
    found: dict[str, dict[int, float]] = {}
    for gene in range(spec.n_var):
        x = np.full((2, spec.n_var), 0.5)
        x[:, gene] = 0.0, 1.0
        low, high = (values_of(spec.decode(end)) for end in x)
        for name, step in ((name, high[name] - low[name]) for name in low if high[name].shape == low[name].shape):
            if step.any() and len(step) == len(products):
                per_model = step.ndim == 2
                square = np.einsum("gi,gij,gj->", step, products, step) if per_model else step**2 @ together
                found.setdefault(name, {})[gene] = float(np.sqrt(max(square, 0.0)))
    reach = np.ones(spec.n_var)
    for lengths in found.values():
        middle = float(np.median(list(lengths.values())))
        if middle > 0.0:
            reach[list(lengths)] = np.array(list(lengths.values())) / middle
    return np.round(reach, _DIGITS)
