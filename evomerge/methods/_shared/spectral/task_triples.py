"""TSV-M: the leading singular triples of every delta, their vectors made orthogonal across deltas.

With fixed ranks the updates are prepared, with searched ranks the triples. The orthogonalised vectors do not depend on
weights, so these only scale what each model adds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import Finite, flat
from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, TensorContext, TensorSources
from evomerge.methods._shared.spectral.decomposition import Svd, one_thread, svd
from evomerge.methods._shared.spectral.matrices import decomposing_bytes, deltas_of, stack_of
from evomerge.methods._shared.spectral.options import OTHERS, STORED, WEIGHTS, neutral_start, update_coefficients
from evomerge.methods._shared.spectral.triples import load_triples, store_triples, triples_bytes
from evomerge.methods._shared.spectral.updates import (
    add_others,
    add_updates,
    merge_prepared,
    pack_updates,
    updates_bytes,
    weights_of,
)
from evomerge.options import Option
from evomerge.recipe import Coefficient

KEEP = Option(
    "share",
    ("share", "all"),
    str,
    "the most triples of a delta that take part: an n-th of the rank with n models, at least one, or all (the lossless "
    "variant)",
)
RANKS = Option(
    "fixed", ("fixed", "searched"), str, "whether all that may be kept is, or a fraction of it that can be searched"
)
TASK_OPTIONS: Mapping[str, Option] = {
    "keep": KEEP, "weights": WEIGHTS, "ranks": RANKS, "others": OTHERS, "stored": STORED,
}  # fmt: skip
_RANK = Coefficient(
    "rank",
    0.1,
    1.0,
    1.0,
    per_model=False,
    minimum=0.0,
    maximum=1.0,
    doc="fraction of the triples that may be kept of each delta, the largest, that is kept",
)
Leading = Callable[[Sequence[torch.Tensor], Options], Sequence[Svd]]
"""The triples that may be kept of each delta of one matrix."""


def most_triples(deltas: Sequence[torch.Tensor], options: Options) -> float:
    """The most triples that may be kept of each of these matrices: an n-th of the rank, or all of it."""
    rank = min(deltas[0].shape)
    return rank * (1 / len(deltas)) if options["keep"] == "share" else rank


def orthogonal_updates(parts: Sequence[Svd]) -> list[torch.Tensor]:
    """Update of each delta: its singular values between its orthogonalised vectors.

    The left vectors of all deltas together become orthogonal, as near as they can be to what they were, and so do the
    right ones.
    """
    between = _between(parts)
    return [between.product(core) for core in between.cores]


def orthogonal_update(parts: Sequence[Svd], weights: Sequence[float]) -> torch.Tensor:
    """The sum of all updates, each times its delta's weight: two products, whatever the number of deltas.

    Args:
        parts: The triples of each delta that are kept.
        weights: A number for each delta.
    """
    between = _between(parts)
    core = torch.stack([core * weight for core, weight in zip(between.cores, weights, strict=True)]).sum(0)
    return between.product(core)


@dataclass(frozen=True)
class _Between:
    """Orthonormal bases of all left and of all right vectors, and each update as a small matrix between them.

    The orthogonalised vectors are the singular vectors of all vectors side by side, multiplied: the bases turned back.
    What turns a delta's share of them stands in its core. Products are made on one thread: of small matrices the last
    bits would depend on the number, and next to two decompositions they take little time.

    Attributes:
        left: Float32, ``(rows, rank of the left vectors)``.
        cores: For each delta float32, ``(rank of the left vectors, rank of the right vectors)``.
        right: Float32, ``(columns, rank of the right vectors)``.
    """

    left: torch.Tensor
    cores: Sequence[torch.Tensor]
    right: torch.Tensor

    def product(self, core: torch.Tensor) -> torch.Tensor:
        """The matrix of a core; that goes to the shorter side first."""
        with one_thread():
            if len(self.left) < len(self.right):
                return (self.left @ core) @ self.right.t()
            return self.left @ (core @ self.right.t())


def _between(parts: Sequence[Svd]) -> _Between:
    left = svd(torch.cat([part.left for part in parts], dim=1))
    right = svd(torch.cat([part.right for part in parts], dim=1))
    widths = [part.rank for part in parts]
    turns = zip(left.right.split(widths), parts, right.right.split(widths), strict=True)
    with one_thread():
        cores = [(before.t() * part.values.to(torch.float32)) @ after for before, part, after in turns]
    return _Between(left.left, cores, right.left)


def prepare_task(
    leading: Leading, context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """One update, or with weights that of each model; with searched ranks the triples that may be kept.

    Args:
        leading: Gives the triples.
        context: The tensor.
        base: Its values in the base.
        models: Its values in the models.
        options: The method's.
    """
    stack = deltas_of(context, base, models)
    if stack is None:
        return {}
    kept = [leading(deltas, options) for deltas in stack]
    if options["ranks"] == "searched":
        return store_triples(kept, options["stored"])
    if options["weights"] == "fixed":
        updates = [[orthogonal_update(parts, (1.0,) * len(parts))] for parts in kept]
    else:
        updates = [orthogonal_updates(parts) for parts in kept]
    return pack_updates(updates, base.shape, options["stored"])


def task_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """The most that :func:`prepare_task` prepares, whatever the ranks."""
    stack = stack_of(shape)
    if options["ranks"] == "fixed" or stack is None:
        return updates_bytes(shape, 1 if options["weights"] == "fixed" else n_models, options)
    most = min(stack[1:])
    per_matrix = most + n_models if options["keep"] == "share" else most * n_models
    return triples_bytes(shape, per_matrix, n_models, options)


def merge_task(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times what the deltas add, each with its weight if there are weights."""
    if sources.options["ranks"] == "fixed" or out.numel() == 0:
        return merge_prepared(context, sources, coefficients, out)
    if not sources.prepared:
        return add_others(context, sources, coefficients, out)
    fraction, weights = shared(coefficients["rank"]), weights_of(sources, coefficients)
    if not any(weights):
        return add_updates(sources, (), out)
    kept = [[part.top(fraction) for part in parts] for parts in load_triples(sources)]
    updates = [orthogonal_update(parts, weights) for parts in kept]
    return add_updates(sources, [(flat(torch.stack(updates)), shared(coefficients["lambda"]))], out)


def task_coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``lambda``, and ``weight`` and ``rank`` if they are searched."""
    return update_coefficients(options, *((_RANK,) if options["ranks"] == "searched" else ()))


def orthogonalising(
    name: str, summary: str, paper: str, leading: Leading, options: Mapping[str, Option], agrees_with: str = ""
) -> MergeMethod:
    """Declares a method of orthogonalised triples.

    Args:
        name: The method's name.
        summary: One sentence for people.
        paper: Title and address of the publication.
        leading: Gives the triples that may be kept.
        options: Its options, :data:`TASK_OPTIONS` among them.
        agrees_with: See :attr:`MergeMethod.agrees_with`.
    """
    return MergeMethod(
        name=name,
        summary=summary,
        paper=paper,
        merge=merge_task,
        coefficients=task_coefficients,
        options=options,
        prepare=functools.partial(prepare_task, leading),
        prepared_bytes=task_bytes,
        scratch_bytes=decomposing_bytes,
        starts=lambda n_models, options: neutral_start(n_models, task_coefficients(options)),
        exact_starts="none",
        copies=None,
        agrees_with=agrees_with,
        cost="one pass over the base and an update that is prepared; "
        "with ranks: searched two decompositions of each matrix",
    )
