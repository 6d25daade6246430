"""STAR: keep the leading singular triples of every delta, rescale them to its nuclear norm, and average.

Of each matrix of a delta the fewest largest singular values are kept that make up the fraction eta of their sum; they
are multiplied by what brings the sum back. The code of the paper takes matrices only (they are low-rank adapters);
what other tensors become is ours.

=========  ========================  ===================================================
option     Lee et al. 2025           here
=========  ========================  ===================================================
normalise  weight (all alike)        weight, or none: the deltas are summed
others                               deltas, or base
sums                                 3, or any number of partial sums that are stored
stored                               float16, or float32
=========  ========================  ===================================================

The paper's eta is 0.4, and its weights are equal. With an eta of 1 deltas are merged as they are.

The singular triples of every delta are prepared, 1.3 to 2 times a delta's size in numbers, and some of their partial
sums, each of a delta's size. A candidate starts from the nearest partial sum, where nothing and the delta itself count
as two more, and adds or takes off the triples between it and eta: one matrix product of at most ``rank / (2 * sums +
2)`` terms for each model, and one pass. More sums make that faster and take more room: three experts of 135 million
parameters 3.5 GB, and 1.1 GB with ``sums: 0``; of 1.2 billion 32 and 9.5 GB, where either ``sums: 0`` or a larger
``model.prepared_disk`` than the default is needed.

With ``stored: float16`` the factors of a product that is added to a partial sum are rounded on to bfloat16 where the
processor multiplies that itself, in less than half the time: what then comes is good to 1/400 of an update. Rounding
the merged weights to bfloat16 changes thirty times as much.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.options import NORMALISE
from evomerge.methods._shared.spectral.matrices import decomposing_bytes
from evomerge.methods._shared.spectral.options import STORED
from evomerge.methods._shared.spectral.partial_sums import (
    partial_sums_bytes,
    prepare_partial_sums,
)
from evomerge.methods._shared.spectral.truncating import truncating
from evomerge.options import Option
from evomerge.recipe import Coefficient

ETA = Coefficient(
    "eta",
    0.1,
    1.0,
    1.0,
    per_model=False,
    minimum=0.0,
    maximum=1.0,
    doc="fraction of the sum of each delta's singular values that is kept, the largest",
)
OTHERS = Option(
    "deltas",
    ("deltas", "base"),
    str,
    "what tensors that are no matrices become: the base plus the deltas, weighted as those of matrices, or the base",
)
STORED_TRIPLES = replace(
    STORED.choosing("float16"),
    doc="type of what is prepared; float16, scaled to its range, takes half the room and is good to 1/2000 of an "
    "update; where the processor multiplies bfloat16, to 1/400 in less time",
)
SUMS = Option(3, None, int, "number of partial sums of singular triples that are stored of each delta", low=0, high=64)


def truncation(sums: np.ndarray, eta: float) -> tuple[int, float]:
    """Number of singular values that make up a fraction of their sum, and the factor that brings the sum back.

    Args:
        sums: Sums of the largest one, the two largest ones, and so on.
        eta: The fraction.
    """
    rank = min(int(np.searchsorted(sums, eta * sums[-1])) + 1, len(sums))
    return rank, float(sums[-1] / sums[rank - 1])


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``eta`` and ``lambda``."""
    return delta_coefficients(options, sparse=False, further=(ETA,))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`; with whole deltas."""
    return delta_starts(n_models, options, sparse=False, elects=False, further=(ETA,))


METHOD = MergeMethod(
    name="star",
    summary="leading singular triples of each delta, rescaled to its nuclear norm, averaged",
    paper="Lee et al. 2025, STAR: spectral truncation and rescale for model merging, https://arxiv.org/abs/2502.10339",
    merge=truncating("eta", lambda sums, eta, _: truncation(sums, eta)),
    coefficients=coefficients,
    options={
        "normalise": NORMALISE.choosing("weight", among=("weight", "none")),
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
