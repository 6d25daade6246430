r"""Low-rank noise: fixed random directions of every matrix, of which a candidate takes some of each.

To the merged delta ``D`` of a matrix of ``m`` rows and ``n`` columns comes

    size * ||D|| / sqrt(rank * m * n) * sum_k c_k U_k V_k^T

where ``U_k`` and ``V_k`` have ``rank`` columns of random signs, which follow from the seed, the tensor's name and ``k``
alone. So with ``c_k = 1`` one direction is on average as long as ``size`` times the delta, and everything that a
candidate adds is its numbers ``c_k``: a search of them leaves the span of the experts, and a recipe still says it all.
Vectors, scalars and what has more dimensions than two stay as they were merged.

| | MERGEvolve (arXiv:2606.28373), as its summaries tell it | here |
|---|---|---|
| begins at | the merged model | the merged model |
| noise | of all parameters, drawn anew for every offspring | fixed directions of low rank, whose shares are searched |
| size | of the strategy's own | relative to each matrix's delta |

That directions are fixed, of low rank and of signs, and how long they are, is ours. Shares count in steps of 1/4096: a
sum over directions is then one of whole numbers up to 2^24, exact in float32 in whatever order it is added up, so that
its bits are the same on every processor.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evomerge.kernels import BLOCK, dot
from evomerge.methods import TensorSources
from evomerge.options import Option
from evomerge.post._shared.declaration import Options, PostProcess, StepContext, Values
from evomerge.recipe import Coefficient

if TYPE_CHECKING:
    import torch

_STEPS = 4096  # of a share between 0 and 1


def _coefficients(options: Options) -> tuple[Coefficient, ...]:
    return tuple(
        Coefficient(
            f"c{number}", -1.0, 1.0, 0.0, per_model=False, whole=True, minimum=-1.0, maximum=1.0,
            doc=f"share of direction {number}",
        )
        for number in range(1, options["directions"] + 1)
    )  # fmt: skip


def _signs(context: StepContext, number: int, count: int) -> torch.Tensor:
    """Random signs of one direction of a tensor, ``(count,)``."""
    import torch

    text = f"evomerge noise {context.options['seed']} {number} {context.name}"
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
    # The raw words of a counter-based generator, which are promised to stay what they are.
    words = np.random.Philox(key=key).random_raw(-(-count // 64)).astype("<u8")
    bits = np.unpackbits(words.view(np.uint8), count=count, bitorder="little")
    return torch.from_numpy(bits.astype(np.float32)).mul_(2.0).sub_(1.0)


def _apply(context: StepContext, sources: TensorSources, delta: torch.Tensor, values: Values) -> None:
    import torch

    shares = {number: round(values[f"c{number}"] * _STEPS) for number in range(1, context.options["directions"] + 1)}
    taken = {number: share for number, share in shares.items() if share}
    if delta.dim() != 2 or not delta.numel() or not taken:
        return
    (rows, columns), rank = delta.shape, context.options["rank"]
    left, right = [], []
    for number, share in taken.items():
        signs = _signs(context, number, (rows + columns) * rank).view(rows + columns, rank)
        left.append(signs[:rows] * float(share))
        right.append(signs[rows:])
    these, others = torch.cat(left, dim=1).to(delta.device), torch.cat(right, dim=1).to(delta.device)
    factor = context.options["size"] * math.sqrt(dot(delta, delta)) / (_STEPS * math.sqrt(rank * rows * columns))
    several = max(BLOCK // columns, 1)
    for first in range(0, rows, several):
        part = these[first : first + several] @ others.T
        delta[first : first + several].add_(part.mul_(factor))


def _identity(values: Values, options: Options) -> bool:
    return not any(values.values())


def _working_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """The signs of all directions, twice, and the noise of a block of rows."""
    if len(shape) != 2:
        return 0
    return 8 * sum(shape) * options["rank"] * options["directions"] + 4 * max(BLOCK, shape[1])


STEP = PostProcess(
    name="noise",
    summary="Low-rank noise along fixed random directions of every matrix, as long as a part of its merged delta.",
    paper="ours; that a search may leave the experts' span from their merge is MERGEvolve's, "
    "https://arxiv.org/abs/2606.28373",
    apply=_apply,
    coefficients=_coefficients,
    options={
        "directions": Option(16, None, int, "number of directions, each with one share for the whole model", 1, 256),
        "rank": Option(1, None, int, "rank of each direction", 1, 16),
        "size": Option(0.1, None, float, "mean length of a whole direction, relative to the merged delta", 1e-6, 10.0),
        "seed": Option(0, None, int, "root of the directions", 0, 2**63 - 1),
    },
    identity=_identity,
    working_bytes=_working_bytes,
    agrees_with="an example worked by hand",
    cost="a pass over the merged delta for its length, and a thin product as wide as directions times rank",
)
