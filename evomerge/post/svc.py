"""SVC: along directions that experts share, the singular values of the merged delta are taken back.

Every direction ``r`` of a matrix's merged delta ``U S V^T`` is looked at by itself. ``u_r^T delta`` is the merged
response, ``u_r^T delta_i`` the response of expert ``i``, and ``s_i`` the coefficient that projects the merged response
onto the expert's. The singular value is divided by the mean over all experts of ``max(alpha, s_i)``: where experts
share a direction, the sum of their deltas is longer along it than each of them, and counts it too often.

==========  ==========================================  =======================================
option      Li et al. 2026 and their code               here
==========  ==========================================  =======================================
side        left (``right_only`` is false), or right    left, or right
target      none (-1), or one task                      none, or one expert
embeddings  stay, where names have ``embedding``        calibrated, or as they were merged
==========  ==========================================  =======================================

Their ``alpha`` is 1, so that singular values only shrink, or one over the number of experts. With a ``target`` the
divisor is that expert's own ``max(alpha, s)``, and 1 where ``s`` is not above zero. Tensors that are no matrices stay
as they were merged.

Nothing is prepared, since the directions are those of the merged delta: a candidate decomposes every matrix, and
projects all deltas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from evomerge.errors import InputError
from evomerge.methods import TensorSources
from evomerge.methods._shared.spectral.decomposition import Svd, one_thread, svd
from evomerge.methods._shared.spectral.matrices import stack_of
from evomerge.methods._shared.tasks import number_problems
from evomerge.options import Option
from evomerge.post._shared.declaration import Options, PostProcess, StepContext, Values
from evomerge.recipe import Coefficient

SIDE = Option(
    "left",
    ("left", "right"),
    str,
    "which singular vectors are the directions: left, responses then being rows, or right, responses being columns",
)
TARGET = Option(
    None, None, int, "number of the expert, from 0, that alone is looked at; not set: the mean over all experts",
    low=0, of_model=True,
)  # fmt: skip
EMBEDDINGS = Option(
    "calibrate", ("calibrate", "keep"), str, "whether embeddings are calibrated like other matrices, or stay as merged"
)
_ALPHA = Coefficient(
    "alpha",
    0.1,
    1.0,
    1.0,
    per_model=False,
    minimum=0.01,
    whole=True,
    doc="least divisor of a singular value for each expert; below 1 directions that few experts have may grow",
)
# Squared lengths of responses count as at least this, in their code as well: shorter ones are rounding.
_SHORTEST = 1e-12


def calibrated(merged: Svd, deltas: Iterator[torch.Tensor], values: Values, options: Options) -> torch.Tensor:
    """A matrix with calibrated singular values, float32.

    Args:
        merged: The singular triples of the merged delta, ``(rows, columns)``.
        deltas: The delta of every expert that is looked at, float32.
        values: ``alpha``.
        options: ``side`` and ``target``.
    """
    left = options["side"] == "left"
    directions, others = (merged.left, merged.right) if left else (merged.right, merged.left)
    own = others.t() * merged.values.to(torch.float32)[:, None]
    found = []
    for delta in deltas:
        response = directions.t() @ (delta if left else delta.t())
        found.append((own * response).sum(1) / response.square().sum(1).clamp(min=_SHORTEST))
    coefficients = torch.stack(found)
    divisors = coefficients.clamp(min=values["alpha"]).mean(0)
    if options["target"] is not None:
        divisors = torch.where(coefficients[0] > 0, divisors, 1.0)
    return merged.product(merged.values / divisors)


def _apply(context: StepContext, sources: TensorSources, delta: torch.Tensor, values: Values) -> torch.Tensor | None:
    target, count, stack = context.options["target"], len(sources.models), stack_of(delta.shape, context.kind)
    if problems := _count_problems(count, context.options):
        raise InputError([f"step svc, tensor {context.name!r}: {problem}" for problem in problems])
    if stack is None or (context.kind == "embedding" and context.options["embeddings"] == "keep"):
        return None
    if not delta.any() or not delta.isfinite().all():  # nothing to decompose
        return None
    looked_at = range(count) if target is None else (target,)
    found = []
    for number, matrix in enumerate(delta.view(stack)):
        triples = svd(matrix)
        deltas = (_delta(sources, model, stack, number) for model in looked_at)
        with one_thread():
            found.append(calibrated(triples, deltas, values, context.options))
    return torch.stack(found).view(delta.shape)


def _count_problems(n_models: int, options: Options) -> list[str]:
    return number_problems("target", n_models, options)


def _delta(sources: TensorSources, model: int, stack: tuple[int, int, int], number: int) -> torch.Tensor:
    """One matrix of one expert's delta."""
    assert sources.base is not None
    base, own = (tensor.reshape(stack)[number].to(torch.float32) for tensor in (sources.base, sources.models[model]))
    return own - base


def _coefficients(options: Options) -> tuple[Coefficient, ...]:
    return (_ALPHA,)


def _working_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """Singular vectors in float32 and, while they are computed, in float64; a delta, its responses, and the result."""
    stack = stack_of(shape)
    if stack is None:
        return 0
    _, rows, columns = stack
    return 4 * math.prod(shape) + 16 * min(rows, columns) ** 2 + 28 * rows * columns


STEP = PostProcess(
    name="svc",
    summary="SVC: singular values of the merged delta are divided by how often experts count their direction.",
    paper="Li et al. 2026, When shared knowledge hurts: spectral over-accumulation in model merging, "
    "https://arxiv.org/abs/2602.05536",
    apply=_apply,
    coefficients=_coefficients,
    options={"side": SIDE, "target": TARGET, "embeddings": EMBEDDINGS},
    count_problems=_count_problems,
    working_bytes=_working_bytes,
    agrees_with="the authors' code",
    cost="a singular value decomposition of each matrix's merged delta, and a projection of all experts' deltas",
)
