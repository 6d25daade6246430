"""RegMean: each matrix is the one that best does, on every model's own texts, what that model's matrix does there.

Of the matrices ``W_i`` of linear layers whose inputs on the model's own texts are the rows of ``X_i`` it is
``sum_i c_i W_i G_i (sum_i c_i G_i)^-1``, with the Gram matrices ``G_i = X_i^T X_i`` over the number of tokens, of which
off-diagonal elements are multiplied by ``alpha`` (Jin et al. 2023). Everything without a Gram matrix, such as norms,
biases and embeddings, is the plain average by the same weights.

=========  ======================================  ================================
option     here                                    Jin et al. 2023 and their code
=========  ======================================  ================================
weights    searched, or fixed: all alike           all alike, or given
alpha      searched from 0.05 to 1, or an option   0.1 or 0.9; 1 by default
alpha: 0   diagonal form                           ``regmean_diag``
excluded   names that are averaged, if any         ``regmean_exclude_param_regex``
=========  ======================================  ================================

Weights are proportions everywhere; in their code averages are not divided by the sum of the weights. Where inputs are
wider than the user's limit on Gram matrices, and where a matrix is stored as (inputs, outputs), the diagonal alone is
used, whatever alpha. A channel that no model uses is averaged. The output head is a linear layer; tied to the
embeddings, it is averaged.

Forms and what they cost are told in :mod:`evomerge.methods._shared.averaging.regression`. Weights and alpha both
searched take a decomposition of each matrix for each candidate; ``weights: fixed``, or two models and an ``alpha`` that
is set, one product of matrices; ``alpha: 0`` a pass over the models. Prepared are n arrays of the size of a matrix and
of its Gram matrix each, one of each for two models and a set alpha, two and one with fixed weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import torch

from evomerge.kernels import Finite, channel_factors, fill
from evomerge.methods._shared.averaging import regression
from evomerge.methods._shared.averaging.averages import add_models
from evomerge.methods._shared.coefficients import alone, per_model, proportions, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.needs import Need, Statistics, sound
from evomerge.options import Option
from evomerge.recipe import Coefficient

WEIGHTS = Option(
    "searched", ("searched", "fixed"), str, "whether each model has a weight that can be searched, or all count alike"
)
ALPHA_OPTION = Option(
    None, None, float, "factor of off-diagonal elements of Gram matrices, the same everywhere; 0: the diagonal form; "
    "not set: a coefficient", low=0.0, high=1.0,
)  # fmt: skip
EXCLUDED = Option(None, None, str, "regular expression; tensors in whose names it is found are averaged; not set: none")
ALPHA = Coefficient(
    "alpha",
    0.05,
    1.0,
    0.9,
    per_model=False,
    minimum=0.0,
    maximum=1.0,
    doc="factor of off-diagonal elements of Gram matrices: as they are (1), or the diagonal alone (0)",
)


def prepares(context: TensorContext, shape: Sequence[int], options: Options) -> bool:
    """Whether a tensor may have a Gram matrix: a matrix that is no embedding and is not excluded."""
    if len(shape) != 2 or 0 in shape or context.kind == "embedding":
        return False
    return options["excluded"] is None or not re.search(options["excluded"], context.name)


def prepare(
    context: TensorContext,
    base: torch.Tensor | None,
    models: Sequence[torch.Tensor],
    options: Options,
    statistics: Statistics,
) -> Mapping[str, torch.Tensor]:
    """The arrays of the form that options and the number of models ask for; none without Gram matrices."""
    shape = models[0].shape
    if not prepares(context, shape, options) or len(models) == 1:
        return {}
    height, width = shape
    found = sound(context.name, "gram", statistics["gram"], [(width, width), (width,), (height, 1)])
    if found is None:
        return {}
    if options["alpha"] == 0 or any(own.shape != (width, width) for own in found):
        diagonals = [own.diagonal() if own.shape == (width, width) else own for own in found]
        return {
            f"diagonal.{number}": own.float().contiguous() for number, own in enumerate(regression.alive(diagonals))
        }
    grams = regression.alive([own.to(models[0].device) for own in found])
    arrays = _prepare_form([model.detach().contiguous() for model in models], grams, options)
    return {name: array.cpu() for name, array in arrays.items()}


def _prepare_form(models: Sequence[torch.Tensor], grams: Sequence[torch.Tensor], options: Options) -> regression.Arrays:
    if options["weights"] == "fixed":
        return regression.prepare_spectral(models, grams)
    if options["alpha"] is None:
        return regression.prepare_general(models, grams)
    if len(models) == 2:
        return regression.prepare_pair(models, grams, options["alpha"])
    # Shrunk once: to a candidate's alpha of 1 nothing is left to do.
    return regression.prepare_general(models, [regression.shrunk(own, options["alpha"]) for own in grams])


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """4 bytes for each element of the form's arrays, or 8 for an eigenvalue."""
    if len(shape) != 2 or n_models == 1:
        return 0
    (height, width), matrix, gram = shape, math.prod(shape), shape[1] ** 2
    diagonals = 4 * n_models * max(height, width)
    if options["alpha"] == 0:
        return diagonals
    if options["weights"] == "fixed":
        return max(diagonals, 4 * (2 * matrix + gram) + 8 * width)
    if options["alpha"] is not None and n_models == 2:
        return max(diagonals, 4 * (matrix + gram) + 8 * width)
    return max(diagonals, 4 * n_models * (matrix + gram))


def scratch_bytes(shape: Sequence[int], n_inputs: int, options: Options) -> int:
    """Gram matrices in float64 with their factors and eigenvectors, blocks of rows, and parts that are put together."""
    if len(shape) != 2:
        return 0
    matrix, block = math.prod(shape), regression.rows_at_once(shape[1]) * shape[1]
    if options["alpha"] == 0:
        return 0
    grams, blocks = shape[1] ** 2 * (n_inputs + 6), min(matrix, block) * (2 * n_inputs + 4)
    return 8 * (grams + blocks) + 4 * matrix * n_inputs


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the solution, or the weighted average; a model of weight zero takes no part, one alone stays as it is."""
    weights = per_model(coefficients["weight"]) if "weight" in coefficients else (1.0,) * len(sources.models)
    shares = proportions("regmean", context.name, weights)
    if not sources.prepared or sum(own != 0 for own in shares) == 1:
        return add_models(sources, shares, out)
    arrays = {name: sources.operand(name) for name in sources.prepared}
    if "diagonal.0" in arrays:
        _merge_diagonals(sources, arrays, shares, out)
        return None
    # What is prepared for an alpha that is set has it in its Gram matrices.
    alpha = shared(coefficients["alpha"]) if "alpha" in coefficients else 1.0
    width, models = out.shape[1], [own.view(out.shape) for own in sources.flat_models]
    solution = _solution(models, arrays, shares, alpha)

    def merged(span: slice) -> torch.Tensor:
        rows = slice(span.start // width, span.stop // width)
        mean = regression.mean_of([model[rows].to(torch.float32) for model in models])
        return mean.add_(solution(rows)).view(-1)

    fill(out, merged, regression.rows_at_once(width) * width)
    return None


def _solution(
    models: Sequence[torch.Tensor], arrays: regression.Arrays, shares: Sequence[float], alpha: float
) -> Callable[[slice], torch.Tensor]:
    """Gives rows of the solution less the mean of the models."""
    if "whole" in arrays:
        return lambda rows: regression.spectral_rows(arrays, alpha, rows)
    if "half" in arrays:
        return lambda rows: regression.pair_rows(arrays, shares[0], rows)
    general = regression.GeneralSolution(arrays, shares, alpha)
    return lambda rows: general.rows(models, rows)


def _merge_diagonals(
    sources: TensorSources, arrays: regression.Arrays, shares: Sequence[float], out: torch.Tensor
) -> None:
    """Writes the average of each column, or of each row of a transposed matrix, by weight times diagonal."""
    own = {model: share * arrays[f"diagonal.{model}"].float() for model, share in enumerate(shares) if share != 0}
    total = torch.stack(list(own.values())).sum(0)
    # A channel that none of those uses that take part is averaged.
    factors = {model: torch.where(total > 0, one / total, shares[model]) for model, one in own.items()}

    def average(span: slice) -> torch.Tensor:
        found = torch.zeros(span.stop - span.start, device=out.device)
        for model, factor in factors.items():
            found += sources.flat_models[model][span].to(torch.float32) * channel_factors(factor, span, out.shape)
        return found

    fill(out, average)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, proportions, unless fixed, and ``alpha``, unless it is an option."""
    own = (weight(simplex=True),) if options["weights"] == "searched" else ()
    return (*own, ALPHA) if options["alpha"] is None or not own else own


def starts(n_models: int, options: Options) -> Starts:
    """The published method, near the mean, and every model; with fixed weights the published method alone."""
    own = {} if len(coefficients(options)) == 1 and options["weights"] == "searched" else {"alpha": ALPHA.neutral}
    if options["weights"] == "fixed":
        return {"neutral": own}
    points: dict[str, Coefficients] = {"uniform": {"weight": (1 / n_models,) * n_models, **own}}
    return points | {f"model:{i}": {"weight": alone(i, n_models), **own} for i in range(n_models)}


def count_problems(n_models: int, options: Options) -> list[str]:
    """Options that leave nothing to search, or that are no pattern."""
    problems = []
    if options["weights"] == "fixed" and options["alpha"] is not None:
        problems.append(
            "weights are fixed and alpha is set, so nothing is left to search; leave one of the options out"
        )
    try:
        re.compile(options["excluded"] or "")
    except re.error as error:
        problems.append(f"option excluded is {options['excluded']!r}, which is no regular expression: {error}")
    return problems


METHOD = MergeMethod(
    name="regmean",
    summary="matrices that do on every model's own texts what that model's do there, by least squares",
    paper="Jin et al. 2023, Dataless knowledge fusion by merging weights of language models, "
    "https://arxiv.org/abs/2212.09849",
    merge=merge,
    coefficients=coefficients,
    options={"weights": WEIGHTS, "alpha": ALPHA_OPTION, "excluded": EXCLUDED},
    base="optional",
    count_problems=count_problems,
    needs=lambda options: (Need("gram"),),
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    scratch_bytes=scratch_bytes,
    prepares=prepares,
    starts=starts,
    exact_starts="models",
    agrees_with="the authors' code",
    cost="a decomposition and a product of each matrix; with weights: fixed, or two models and an alpha, the product; "
    "with alpha: 0 a pass over the models",
)
