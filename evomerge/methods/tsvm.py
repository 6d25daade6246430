"""TSV-M: the leading singular triples of every delta, made orthogonal to each other and added up.

Of each of n deltas of a matrix of rank r the ``int(r / n)`` largest triples are kept. The left singular vectors of all
deltas together are replaced by the nearest orthonormal ones, and so are the right ones; then each delta is put together
again, and all are added. Other tensors get the mean delta.

==========  ==================================  ==========================
option      Gargiulo et al. 2025                here
==========  ==================================  ==========================
keep        share; all is their lossless form   share, or all
weights     fixed                               fixed, or searched
ranks       fixed                               fixed, or searched
others      mean                                mean, sum or base
stored                                          float32, or float16
==========  ==================================  ==========================

The defaults are the paper's; their alpha, 1, is ``lambda``. Of a matrix with fewer directions than models one triple of
each delta is kept, where the code of the paper keeps none, which leaves such a matrix the base's. Directions whose
singular value is zero are left out, where that code takes arbitrary ones, and so are directions that two deltas share
to the last digit: what is the same in n deltas is added once. A model of weight zero still has its part in which
directions are orthogonal.

What is prepared with ``ranks: fixed`` is one array of a model's size, and a candidate is one pass over the base and it;
with ``weights: searched`` one array for each model. With ``ranks: searched`` the triples that may be kept are prepared,
and each candidate decomposes all left vectors of every matrix and all right ones, which takes about as long as
``torch.linalg.svd`` of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.methods._shared.inputs import Options
from evomerge.methods._shared.spectral.decomposition import Svd, svd
from evomerge.methods._shared.spectral.task_triples import TASK_OPTIONS, most_triples, orthogonalising


def leading(deltas: Sequence[torch.Tensor], options: Options) -> list[Svd]:
    """The same number of triples of each delta, at least one."""
    count = max(1, int(most_triples(deltas, options)))
    return [svd(delta).top(count) for delta in deltas]


METHOD = orthogonalising(
    name="tsvm",
    summary="leading singular triples of deltas, at least one of each, made orthogonal across deltas and added up",
    paper="Gargiulo et al. 2025, Task singular vectors, https://arxiv.org/abs/2412.00081",
    leading=leading,
    options=TASK_OPTIONS,
    agrees_with="the authors' code",
)
