"""KnOTS: deltas in a basis that all of them share, where TIES merges them.

The deltas of a matrix are put side by side and decomposed, ``[delta_1 ... delta_n] = U [B_1 ... B_n]``, where ``U`` has
the left singular vectors and ``B_i``, the product of the singular values and the i-th block of the right ones, is
aligned with all other blocks: the rows of all of them mean the same directions. TIES trims, elects and averages the
blocks instead of the deltas, and ``U`` times the result is added to the base. Made for LoRA adapters, whose deltas are
too unlike for TIES as they are; whole models are merged alike.

==========  ==========================================  =======================================
option      Stoica et al. 2024 and their code           here
==========  ==========================================  =======================================
scope       global (all matrices)                       global, or tensor
kept        threshold                                   threshold, or exact
rescale     none                                        none, inverse or l1
votes       plain                                       plain, or weighted
tie         majority_or_minus                           majority, positive or drop
normalise   count                                       count, weight or none
least       1e-5                                        any
others      base (adapters have nothing else)           mean, or base
==========  ==========================================  =======================================

The defaults are the paper's but for ``others``; the options are those of ``ties``, see there. The paper keeps a density
of 0.1 to 1, has no weights (all are 1) and tunes lambda. A density is a fraction of the elements of the blocks, which
are as many rows as the deltas have directions together: adapters of ranks 16 and 16 have 32. An element of a block that
would be zero is not, by rounding, and counts among those that agree, in their code as well.

The basis, the blocks and histograms of their magnitudes are prepared: thin matrices for adapters, found without a
decomposition of large ones, and about ``n + 1`` times the size of a model for ``n`` whole models. A candidate trims and
mixes the blocks in one pass, and multiplies the result by the basis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from evomerge.kernels import Finite, Mixture, Part, flat, mix
from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts, per_model, shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSet, TensorSources
from evomerge.methods._shared.options import KEPT, NORMALISE, RESCALE, SCOPE, TIE, VOTES
from evomerge.methods._shared.sparsify.top_k import histograms_bytes, prepare_histograms
from evomerge.methods._shared.sparsify.trim import Survey, trim
from evomerge.methods._shared.sparsify.trim import survey as survey_of
from evomerge.methods._shared.spectral.matrices import deltas_of, stack_of
from evomerge.methods._shared.spectral.options import OTHERS
from evomerge.methods._shared.spectral.shared_basis import shared_basis
from evomerge.methods._shared.spectral.updates import add_updates
from evomerge.methods._shared.task_vector import mix_into, mixture
from evomerge.options import Option
from evomerge.recipe import Coefficient

LEAST = Option(
    1e-5, None, float, "directions whose singular value is not above this are left out of the shared basis", low=0.0
)


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Of each matrix the basis and the blocks, one row per direction; and histograms of the blocks' magnitudes."""
    stack = deltas_of(context, base, models)
    if stack is None:
        return {}
    bases, blocks = zip(*(shared_basis(deltas, options["least"]) for deltas in stack), strict=True)
    ranks = torch.tensor([len(basis) for basis in bases], dtype=torch.int32)
    if not ranks.any():
        return {"ranks": ranks}
    of_models = [torch.cat(own).cpu().contiguous() for own in zip(*blocks, strict=True)]
    return {
        "ranks": ranks,
        "basis": torch.cat(bases).cpu().contiguous(),
        **{f"block.{model}": block for model, block in enumerate(of_models)},
        **prepare_histograms(context, torch.zeros_like(of_models[0]), of_models, options),
    }


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """Basis and blocks of all the directions that the deltas can have, and their histograms."""
    stack = stack_of(shape)
    if stack is None:
        return 0
    count, rows, columns = stack
    directions = count * min(rows, n_models * columns)
    histograms = histograms_bytes((directions, columns), n_models, options)
    return 4 * count + 4 * directions * (rows + n_models * columns) + histograms


def scratch_bytes(shape: Sequence[int], n_inputs: int, options: Options) -> int:
    """A base of zeros for the blocks, the merged block, and twice what the basis makes of it."""
    stack = stack_of(shape)
    if stack is None:
        return 0
    count, rows, columns = stack
    return 8 * count * columns * (min(rows, (n_inputs - 1) * columns) + rows)


def in_basis(sources: TensorSources) -> TensorSources:
    """The blocks as the tensors of models whose base is zero, for TIES."""
    blocks = [sources.operand(f"block.{model}") for model in range(len(sources.models))]
    return replace(sources, base=torch.zeros_like(blocks[0]), models=blocks, placed=None)


@dataclass(frozen=True)
class InBasis:
    """The blocks of all matrices of a merge. Every iteration is a fresh pass."""

    tensors: TensorSet

    def __iter__(self) -> Iterator[tuple[TensorContext, TensorSources]]:
        return ((context, in_basis(sources)) for context, sources in self.tensors if "basis" in sources.prepared)


def survey(tensors: TensorSet, options: Options) -> Survey | None:
    """The survey of ``ties``, over the blocks."""
    return survey_of(InBasis(tensors), options)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus the basis times the blocks that TIES merged; other tensors by the option ``others``."""
    if out.numel() == 0:
        return True
    if not sources.prepared:
        return add_others(context, sources, coefficients, out)
    if "basis" not in sources.prepared or not any(per_model(coefficients["weight"])):
        return add_updates(sources, (), out)
    blocks = in_basis(sources)
    merged = torch.empty(blocks.models[0].shape, device=out.device)
    mix_into(merged, mixture(context, blocks, coefficients, trim), blocks, coefficients)
    ranks = sources.prepared["ranks"].tolist()
    basis = sources.operand("basis").split(ranks)
    update = torch.cat([own.t() @ block for own, block in zip(basis, merged.split(ranks), strict=True)])
    return add_updates(sources, [(flat(update), 1.0)], out)


def add_others(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base, or it and lambda times the average delta; the latter also where a matrix is not finite."""
    left = sources.options["others"] == "base" and stack_of(out.shape, context.kind) is None
    weights, normalise = per_model(coefficients["weight"]), sources.options["normalise"]
    divisor = {"weight": sum(weights) or 1.0, "count": sum(weight != 0 for weight in weights) or 1, "none": 1}[
        normalise
    ]
    voters = [] if left else zip(sources.flat_models, weights, strict=True)
    parts = [Part(model, weight) for model, weight in voters if weight != 0]
    return mix(Mixture(sources.flat_base, parts, scale=shared(coefficients["lambda"]) / divisor), out).finite


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density`` and ``lambda``."""
    return delta_coefficients(options, sparse=True)


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=True, elects=True)


METHOD = MergeMethod(
    name="knots",
    summary="deltas in a basis that all of them share, trimmed and averaged there as ties does",
    paper="Stoica et al. 2024, Model merging with SVD to tie the KnOTS, https://arxiv.org/abs/2410.19735",
    merge=merge,
    coefficients=coefficients,
    options={
        "scope": SCOPE.choosing("global"),
        "kept": KEPT.choosing("threshold"),
        "rescale": RESCALE,
        "votes": VOTES.choosing("plain"),
        "tie": TIE.choosing("majority_or_minus"),
        "normalise": NORMALISE.choosing("count"),
        "least": LEAST,
        "others": OTHERS.choosing("mean", among=("mean", "base")),
    },
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    scratch_bytes=scratch_bytes,
    survey=survey,
    starts=starts,
    exact_starts="models",
    copies=False,  # with the option others: base
    agrees_with="the authors' code",
    cost="a pass over arrays of the models' size, thin for adapters, and a product of two matrices for each matrix",
)
