"""MaTS at convergence: each matrix is what the experts' quadratic losses, added up, are least at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from evomerge.errors import InputError
from evomerge.options import Option
from evomerge.transforms._shared.averages import mean_of, places, room_for, wide_notes
from evomerge.transforms._shared.costs import DOUBLE, averaging, held, matrices, stored
from evomerge.transforms._shared.declaration import Arrays, Cost, Made, Transform, Work
from evomerge.transforms._shared.subspaces import merge_matrices, scaled_off_diagonal, sum_of


def _make(work: Work) -> Iterator[Made]:
    if work.options["start"] == "task_arithmetic" and work.base is None:
        raise InputError("start=task_arithmetic takes deltas from a base; set base=..., or start=average")
    where = places(work.reference)
    changed = room_for(work, where)
    averaged, unfinished, wide = [], [], []
    layer: int | None = None
    for name, place in where.items():
        values = mean_of(work, name)
        grams = None if place.kind in ("embedding", "head") else _factors(work.statistics["gram"], name)
        gradients = None if grams is None else _factors(work.statistics["output_gram"], name)
        if grams is not None and gradients is not None:
            if place.layer != layer:
                layer = place.layer
                work.say(f"layer {layer}")
            values, converged = _solved(work, name, grams, gradients)
            unfinished += [] if converged else [name]
            wide += [name] if 1 in (grams[0].ndim, gradients[0].ndim) else []
        elif place.kind in ("attention", "mlp") and values.ndim > 1:
            averaged.append(name)
        changed[name].copy_(values)
    yield Made("mats", work.reference, changed, notes=(*wide_notes(wide), *_notes(averaged, unfinished)))


def _solved(
    work: Work, name: str, grams: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, bool]:
    """The merged matrix as it lies on disk, and whether conjugate gradients converged."""
    options = work.options
    weights = [expert.tensor(name).float() for expert in work.experts]
    turned = name in work.transposed
    weights = [weight.T for weight in weights] if turned else weights
    start = sum_of(weights) / len(weights)
    if options["start"] == "task_arithmetic":
        assert work.base is not None
        base = work.base.tensor(name).float()
        base = base.T if turned else base
        start = base + options["scale"] * sum_of(weight - base for weight in weights)
    solved = merge_matrices(
        weights,
        [scaled_off_diagonal(gram, options["factor"]) for gram in grams],
        [scaled_off_diagonal(gram, options["factor"]) for gram in gradients],
        start,
        iterations=options["iterations"],
        tolerance=options["tolerance"],
    )
    return (solved.values.T if turned else solved.values), solved.converged


def _factors(arrays: Sequence[Arrays], name: str) -> list[torch.Tensor] | None:
    """Inner products of each expert, where they are too wide the diagonals, 1-D; None where some has none."""
    found = [own(name) for own in arrays]
    there = [
        one if one.shape[0] == one.shape[-1] and one.ndim == 2 else one.flatten() for one in found if one is not None
    ]
    return there if len(there) == len(found) else None


def _notes(averaged: Sequence[str], unfinished: Sequence[str]) -> Iterator[str]:
    if averaged:
        yield f"{len(averaged)} matrices have no statistic and were averaged, such as {averaged[0]}"
    if unfinished:
        yield (
            f"{len(unfinished)} matrices did not converge, such as {unfinished[0]}; raise iterations, or lower factor"
        )


def _cost(work: Work) -> Cost:
    """Of each matrix two products per expert and iteration, in float64; all new values are held until they are written.

    The arrays of statistics are mapped files.
    """
    count = len(work.experts)
    each = [2.0 * count * (rows * inputs**2 + inputs * rows**2) for rows, inputs in matrices(work)]
    solving = max(
        ((count + 8) * DOUBLE * rows * inputs + count * DOUBLE * (rows**2 + inputs**2)
         for rows, inputs in matrices(work)),
        default=0,
    )  # fmt: skip
    return Cost(
        0, 2 * work.options["iterations"] * sum(each), held(max(stored(work) + solving, averaging(work))), at_most=True
    )


TRANSFORM = Transform(
    name="mats",
    summary="MaTS at convergence: experts weighted by Kronecker-factored Fisher matrices, by conjugate gradients.",
    paper="Tam, Bansal and Raffel 2024, Merging by Matching Models in Task Subspaces, https://arxiv.org/abs/2312.04339",
    make=_make,
    cost=_cost,
    statistics=("gram", "output_gram"),
    options={
        "start": Option("average", ("average", "task_arithmetic"), str, "where conjugate gradients begin"),
        "scale": Option(0.3, None, float, "of the deltas, where they begin at task arithmetic", low=0.0),
        "factor": Option(0.9, None, float, "on entries off the diagonal of both matrices", low=0.0, high=1.0),
        "iterations": Option(1000, None, int, "the most for a matrix", low=1),
        "tolerance": Option(1e-5, None, float, "of the residual, relative to the right side", low=1e-12, high=1.0),
    },
    agrees_with="the authors' code",
)
