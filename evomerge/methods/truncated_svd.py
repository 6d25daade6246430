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

import numpy as np

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.options import NORMALISE
from evomerge.methods._shared.spectral.matrices import decomposing_bytes
from evomerge.methods._shared.spectral.partial_sums import partial_sums_bytes, prepare_partial_sums
from evomerge.methods._shared.spectral.truncating import truncating
from evomerge.methods.star import OTHERS, STORED_TRIPLES, SUMS
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


def truncation(sums: np.ndarray, rank: float, most: int) -> tuple[int, float]:
    """Number of singular triples that are kept, and their factor, which is 1.

    Args:
        sums: One for each triple whose singular value is not zero.
        rank: A fraction of the rank that the matrix can have.
        most: That rank.
    """
    return min(int(rank * most), len(sums)), 1.0


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
    merge=truncating("rank", truncation),
    coefficients=coefficients,
    options={
        "normalise": NORMALISE.choosing("none", among=("none", "weight")),
        "others": OTHERS,
        "sums": SUMS,
        "stored": STORED_TRIPLES,
    },
    prepare=prepare_partial_sums,
    prepared_bytes=partial_sums_bytes,
    scratch_bytes=decomposing_bytes,
    starts=starts,
    copies=False,  # what is no matrix may stay the base's
    agrees_with="the authors' code",
    cost="a matrix product of few singular triples of each model",
)
