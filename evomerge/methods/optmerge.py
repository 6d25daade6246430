"""OptMerge: WUDI with projectors and targets of low rank, and a descent that starts from the mean of the deltas.

For each matrix it minimises the sum over experts of ``|(t - T_i) P_i^T|^2 / |t_i|^2``, where the projector ``P_i`` and
the target ``T_i`` are made of the largest singular values of the expert's delta ``t_i`` alone. That takes noise out of
the deltas, and the early end of the descent from a small start keeps the merged delta small.

==============  ======================  ==============================
option          Wei et al. 2025         their script for InternVL
==============  ======================  ==============================
matrices        layers, or all          layers
rest            base, or mean           base
target          truncated               centred
rank            1 / number of experts   1 / number of experts
start           mean                    sum
optimiser       sgd                     adam
learning_rate   1e-4                    1e-5
momentum        0.9
steps           300                     300
==============  ======================  ==============================

mergekit has no such method. The defaults are the paper's, whose ``lambda`` is 0.1 to 1. Of a matrix with fewer singular
values than there are experts the largest of each is kept, where the code of the paper keeps none: nothing interferes
there, and such a matrix gets the start, the mean delta.

Once per search and matrix the largest singular vectors of each expert are found, then the end of the descent from an
eigendecomposition, all in float64 (``adam``: step by step, see WUDI). The matrices of a model of 135 million parameters
take 2 minutes on one core, those of a billion about 30 times as long. While a matrix is prepared, about twice as many
matrices of inputs x directions kept in float64 as there are experts are held, and a few of its own size: with three and
8192 inputs 2 GB. Kept are 4 bytes per element, which a candidate adds to the base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evomerge.methods._shared.inputs import Options
from evomerge.methods._shared.interference.descending import descending
from evomerge.methods._shared.interference.descent import DESCENT_OPTIONS
from evomerge.methods._shared.interference.memory import descent_bytes, truncated_bytes
from evomerge.methods._shared.interference.objective import Objective, truncated_interference
from evomerge.methods._shared.matrices import MatrixDeltas
from evomerge.options import Option

TARGET = Option(
    "truncated",
    ("truncated", "centred"),
    str,
    "target of each expert: its truncated delta, or the mean delta plus the truncated difference to that",
)
RANK = Option(
    None,
    None,
    float,
    "fraction of the singular values, at least one, that is kept of projectors and targets; left out, 1 / number of "
    "experts",
    low=0.0,
    high=1.0,
)
_DESCENT: Mapping[str, Option] = {
    **DESCENT_OPTIONS,
    "start": DESCENT_OPTIONS["start"].choosing("mean"),
    "optimiser": DESCENT_OPTIONS["optimiser"].choosing("sgd"),
    "learning_rate": DESCENT_OPTIONS["learning_rate"].choosing(1e-4),
}


def objective(deltas: MatrixDeltas, squares: Sequence[float], options: Options) -> Objective:
    """Interference with the truncated deltas; at least one singular value is kept."""
    rank = rank_of(deltas.shape, len(squares), options)
    return truncated_interference(deltas, squares, rank, centred=options["target"] == "centred")


def rank_of(shape: Sequence[int], n_models: int, options: Options) -> int:
    """How many singular values are kept of each delta of a matrix."""
    smaller, share = min(shape), options["rank"]
    return max(1, smaller // n_models if share is None else int(share * smaller + 0.999))


def scratch_bytes(shape: Sequence[int], n_inputs: int, options: Options) -> int:
    """The most that a matrix takes while it is prepared, of singular vectors, objective and descent."""
    if len(shape) != 2:
        return 0
    n_models = n_inputs - 1
    rank = rank_of(shape, n_models, options)
    inner = min(n_models * rank, shape[1])
    return max(truncated_bytes(shape, n_models, rank), descent_bytes(shape, n_models, inner, options))


METHOD = descending(
    name="optmerge",
    summary="merged delta of least interference with the large singular values of all experts, at least one of each",
    paper="Wei et al. 2025, Unifying multimodal large language model capabilities, https://arxiv.org/abs/2505.19892",
    objective_of=objective,
    scratch_bytes=scratch_bytes,
    options={"target": TARGET, "rank": RANK, **_DESCENT},
)
