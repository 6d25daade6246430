"""OPCM: one delta after the other, each without what lies in the subspace of those before it.

The first delta is taken as it is. Every further one is projected for each matrix: with the singular value decomposition
``U S V^T`` of the sum so far, and ``k`` the number of leading singular values that make up at most ``alpha`` of their
sum, ``U^T delta V`` loses its ``k`` by ``k`` block of leading directions and all of its diagonal. What is left is added
to the sum. Embeddings, norms and biases are added up as they are. At the end the whole sum is given the mean length of
the deltas, so that it stays as far from the base as one expert is, however many there are.

==========  ========================================  ==========================
option      Tang et al. 2025, in fusion_bench         here
==========  ========================================  ==========================
alpha       0.5                                       any from 0 to 1
weights     fixed                                     fixed, or searched
stored                                                float32, or float16
==========  ========================================  ==========================

Models are added in the order of the recipe's sources; the paper shuffles them. The code rescales the sum after every
model and undoes that before the next, which comes to the same as doing it once. Where the sum has fewer directions than
a matrix's shorter side, as with low-rank adapters, the code also takes the diagonal off at arbitrary further ones; here
those are left alone. Lengths are of all tensors that are merged: those of frozen groups do not count.

``lambda`` is the scale of the result. With ``weights: searched`` each model has a weight, a proportion, of what is left
of its delta and of its length in the mean. What is taken off does not depend on weights, so that nothing is decomposed
again. A tensor's own weights stand for those of all tensors. ``alpha`` is no coefficient, since another one takes all
decompositions again.

What is left of the deltas of each matrix is prepared: their sum, or with searched weights that of each model, arrays as
large as the models. A candidate is one pass over the base and them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evomerge.errors import InputError
from evomerge.kernels import Finite, Mixture, Part, mix
from evomerge.methods._shared.coefficients import scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSet, TensorSources
from evomerge.methods._shared.spectral.decomposition import Svd, one_thread, svd
from evomerge.methods._shared.spectral.matrices import decomposing_bytes, deltas_of
from evomerge.methods._shared.spectral.options import STORED, WEIGHTS
from evomerge.methods._shared.spectral.updates import merge_prepared, pack_updates, updates_bytes, weights_of
from evomerge.methods._shared.vectors import prepare_grams
from evomerge.options import Option
from evomerge.recipe import Coefficient

ALPHA = Option(
    0.5,
    None,
    float,
    "share of the sum of singular values that leading directions make up; the sum so far keeps these to itself",
    low=0.0,
    high=1.0,
)


def remainders(deltas: Sequence[torch.Tensor], alpha: float) -> list[torch.Tensor]:
    """Each delta of a matrix without what those before it have, float32."""
    left = [deltas[0]]
    total = deltas[0]
    for delta in deltas[1:]:
        left.append(apart(delta, svd(total), alpha))
        total = total + left[-1]
    return left


def apart(delta: torch.Tensor, seen: Svd, alpha: float) -> torch.Tensor:
    """A delta without its part among the leading directions of another matrix, and along each of the others.

    Args:
        delta: The delta.
        seen: The other matrix's singular triples.
        alpha: Share of the sum of singular values that the leading ones make up at most.
    """
    shares = seen.values.cumsum(0) / seen.values.sum()
    first = int((shares <= alpha).sum())
    with one_thread():
        images = delta @ seen.right
        block = seen.left[:, :first].t() @ images[:, :first]
        along = (seen.left * images).sum(0)[first:]
        leading = seen.left[:, :first] @ block @ seen.right[:, :first].t()
        return delta - leading - (seen.left[:, first:] * along) @ seen.right[:, first:].t()


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Inner products of what is left of each delta, ``(n, n)``, and squared lengths of the deltas, ``(n,)``, float64.

    And of a matrix what is left, as updates: the sum, or with searched weights that of each model.
    """
    plain = prepare_grams(context, base, models, {})["grams"][0]
    lengths = plain.diagonal().clone()
    stack = None if context.kind == "embedding" else deltas_of(context, base, models)
    if stack is None:
        return {"products": plain, "lengths": lengths}
    left = [remainders(deltas, options["alpha"]) for deltas in stack]
    products = torch.stack([_products(own) for own in left]).sum(0)
    updates = left if options["weights"] == "searched" else [[torch.stack(own).sum(0)] for own in left]
    return {"products": products, "lengths": lengths, **pack_updates(updates, base.shape, options["stored"])}


def _products(left: Sequence[torch.Tensor]) -> torch.Tensor:
    """Inner products of some matrices, float64."""
    with one_thread():
        rows = torch.stack([own.reshape(-1).to(torch.float64) for own in left])
        return (rows @ rows.t()).cpu()


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """One array of the tensor's shape, or with searched weights one for each model, and 8 bytes per pair of models."""
    arrays = n_models if options["weights"] == "searched" else 1
    return updates_bytes(shape, arrays, options) + 8 * (n_models**2 + n_models)


@dataclass(frozen=True)
class Survey:
    """Lengths in the whole model.

    Attributes:
        products: Inner products of what is left of each delta, ``(n, n)``.
        lengths: Lengths of the deltas, ``(n,)``.
    """

    products: np.ndarray
    lengths: np.ndarray

    def factor(self, weights: Sequence[float]) -> float:
        """The factor that gives the weighted sum of what is left the weighted mean length of the deltas."""
        own = np.asarray(weights)
        length = math.sqrt(max(0.0, float(own @ self.products @ own)))
        return float(own @ self.lengths) / own.sum() / length if length else 0.0


def survey(tensors: TensorSet, options: Options) -> Survey:
    """Adds up lengths and inner products of all tensors; what is not finite shows in its own tensor alone."""
    products: np.ndarray | None = None
    squares: np.ndarray | None = None
    for context, sources in tensors:
        own, lengths = (sources.prepared[name].nan_to_num(0.0, 0.0, 0.0).numpy() for name in ("products", "lengths"))
        if products is None or squares is None:
            products, squares = np.zeros_like(own), np.zeros_like(lengths)
        if own.shape != products.shape:
            raise InputError(
                f"method opcm adds whole models one after the other, but tensor {context.name!r} is merged from "
                f"{len(own)} inputs and others from {len(products)}; give all layers as many inputs as there are "
                "sources"
            )
        products += own
        squares += lengths
    if products is None or squares is None:
        return Survey(np.zeros((1, 1)), np.zeros(1))
    return Survey(products, np.sqrt(squares))


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the sum of what is left, which has the mean length of the deltas."""
    if out.numel() == 0:
        return True
    weights = weights_of(sources, coefficients)
    factor = shared(coefficients["lambda"]) * sources.survey.factor(weights) if any(weights) else 0.0
    if "scales" not in sources.prepared:
        parts = [Part(model, own) for model, own in zip(sources.flat_models, weights, strict=True) if own != 0]
        return mix(Mixture(sources.flat_base, parts, scale=factor), out).finite
    return merge_prepared(context, sources, {**coefficients, "lambda": factor}, out)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``lambda``, and ``weight`` if that is searched."""
    weighted = options["weights"] == "searched"
    return (*((weight(simplex=True),) if weighted else ()), scale(searched=True))


def starts(n_models: int, options: Options) -> Starts:
    """The method as it is published."""
    weights: Coefficients = {"weight": (1 / n_models,) * n_models} if options["weights"] == "searched" else {}
    return {"neutral": {**weights, "lambda": 1.0}}


METHOD = MergeMethod(
    name="opcm",
    summary="deltas one after the other, each without its part in the subspace of those before it",
    paper="Tang et al. 2025, Merging models on the fly without retraining: a sequential approach to scalable continual "
    "model merging, https://arxiv.org/abs/2501.09522",
    merge=merge,
    coefficients=coefficients,
    options={"alpha": ALPHA, "weights": WEIGHTS, "stored": STORED},
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    scratch_bytes=decomposing_bytes,
    survey=survey,
    starts=starts,
    exact_starts="none",
    copies=None,
    symmetric=False,
    agrees_with="the authors' code",
    cost="a pass over the base and one array of its size, or with searched weights one for each model",
)
