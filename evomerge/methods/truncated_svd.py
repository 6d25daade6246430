"""Task arithmetic on deltas of low rank: of each delta the leading singular triples, a searched fraction of them.

Of each matrix of a delta the ``int(rank * min(rows, columns))`` largest singular triples are kept, as they are. That is
how Twin-Merging compresses what an expert knows beyond a merged model, and TSV-Compress each expert's delta:

==========  =================================  ===================================  =======================
here        Lu et al. 2024                     Gargiulo et al. 2025                 searched from
==========  =================================  ===================================  =======================
``rank``    1 - mask_rate                      1 / number of experts                .05 to 1, 1 being all
base        their merged model (a recipe)      the pretrained model                 any
weights     softmax of a router's answer       1 for one expert, 0 for the others   free
others      deltas                             deltas                               deltas, or base
==========  =================================  ===================================  =======================

Both choose weights for each input with a router; what is searched here are weights for all inputs. A fraction so small
that no triple of a matrix is left leaves the base there, as their code does. Embeddings are matrices like others.

Prepared is what :mod:`evomerge.methods.star` prepares, and a candidate costs the same.
"""

from __future__ import annotations

import torch

from evomerge.kernels import Finite, Mixture, mix
from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts, per_model, shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.options import NORMALISE
from evomerge.methods._shared.spectral.matrices import decomposing_bytes, stack_of
from evomerge.methods._shared.spectral.options import STORED
from evomerge.methods._shared.spectral.partial_sums import add_truncated, partial_sums_bytes, prepare_partial_sums
from evomerge.methods._shared.task_vector import merging
from evomerge.methods.star import OTHERS, SUMS
from evomerge.recipe import Coefficient

RANK = Coefficient(
    "rank",
    0.05,
    1.0,
    1.0,
    per_model=False,
    minimum=0.0,
    maximum=1.0,
    doc="fraction of the rank that each delta's matrix can have, of which the largest singular triples are kept",
)
_PLAIN = merging()


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the weighted truncated deltas; a model of weight zero takes no part."""
    rank, weights = shared(coefficients["rank"]), per_model(coefficients["weight"])
    if out.numel() and sources.options["others"] == "base" and stack_of(out.shape, context.kind) is None:
        return mix(Mixture(sources.flat_base, []), out).finite
    if rank >= 1 or not sources.prepared or not any(weights):
        return _PLAIN(context, sources, coefficients, out)
    divisor = (sum(weights) or 1.0) if sources.options["normalise"] == "weight" else 1.0
    scale = shared(coefficients["lambda"]) / divisor
    kept = int(rank * min(out.shape[-2:]))
    add_truncated(sources, lambda sums: (min(kept, len(sums)), 1.0), [scale * weight for weight in weights], out)
    return None


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``rank`` and ``lambda``."""
    return delta_coefficients(options, sparse=False, further=(RANK,))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`; with whole deltas."""
    return delta_starts(n_models, options, sparse=False, elects=False, further=(RANK,))


METHOD = MergeMethod(
    name="truncated_svd",
    summary="base plus weighted sum of deltas, of each the leading singular triples, a fraction of its rank",
    paper="the compression of Lu et al. 2024, Twin-Merging, https://arxiv.org/abs/2406.15479, and of Gargiulo et al. "
    "2025, Task singular vectors (TSV-Compress), https://arxiv.org/abs/2412.00081",
    merge=merge,
    coefficients=coefficients,
    options={
        "normalise": NORMALISE.choosing("none", among=("none", "weight")),
        "others": OTHERS,
        "sums": SUMS,
        "stored": STORED.choosing("float16"),
    },
    prepare=prepare_partial_sums,
    prepared_bytes=partial_sums_bytes,
    scratch_bytes=decomposing_bytes,
    starts=starts,
    copies=False,  # what is no matrix may stay the base's
    agrees_with="the authors' code",
    cost="a matrix product of few singular triples of each model",
)
