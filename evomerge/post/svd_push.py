"""Push: a random step along every singular direction of one expert's delta, as CycleQD mutates.

With ``U S V^T`` the delta of an expert it adds ``U diag(u * s) V^T``: every direction is extrapolated by a factor of
its own. CycleQD (Kuroki et al. 2025) draws ``u`` from U(0, 0.1), always towards the expert, for every matrix that is no
norm. Here ``u`` is ``size`` times a weighted sum of draws from U(0, 1), so that a child of many pushed ancestors is
still one step: ``draws`` is a text like ``17:1,23:0.5,mean:0.75``, keys with weights, which may be negative as the
weights of parents may. ``mean`` stands for draws that are no longer told apart, of which only the mean, one half, is
left. A draw belongs to (key, expert, tensor's name, direction).

Tensors that are no matrices, and norms, stay as they were merged.

The step is computed as ``D V diag(u) V^T``, D being the delta and V its right singular vectors, or with the left ones
from the other side where D has more columns than rows: of each matrix the vectors of the shorter side are all that has
to be known. They do not depend on draws, so each worker keeps them, up to 4 GB for each expert, and only the first
candidate that is pushed towards one decomposes its delta.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch

from evomerge.errors import InputError
from evomerge.methods import TensorSet, TensorSources
from evomerge.methods._shared.spectral.decomposition import one_thread, short_side
from evomerge.methods._shared.spectral.matrices import stack_of
from evomerge.methods._shared.tasks import number_problems
from evomerge.options import Option
from evomerge.post._shared.declaration import Options, PostProcess, StepContext, Values
from evomerge.recipe import Coefficient

MEAN = "mean"
ROOM = 4_000_000_000  # bytes of singular vectors of one expert's delta that are kept
_DRAW = r"(?:\d+|mean):-?\d+(?:\.\d+)?(?:e-?\d+)?"
_DRAWS = re.compile(rf"^{_DRAW}(?:,{_DRAW})*$")
_SIZE = Coefficient(
    "size",
    0.0,
    0.1,
    0.0,
    per_model=False,
    minimum=0.0,
    doc="largest factor that a draw of weight 1 extrapolates a singular direction of the expert by",
)


class Directions:
    """Singular vectors of one expert's delta, kept as far as there is room.

    Args:
        room: Most bytes.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._known: dict[str, torch.Tensor] = {}
        self._room = room

    def get(self, name: str, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The vectors of a matrix, made where they are not kept."""
        if name in self._known:
            return self._known[name]
        found = make()
        if found.nbytes <= self._room:
            self._known[name] = found
            self._room -= found.nbytes
        return found


def _survey(tensors: TensorSet, options: Options) -> Directions:
    """Nothing yet: vectors come as the first candidate needs them."""
    return Directions()


def _kept_bytes(shapes: Iterable[Sequence[int]], options: Options) -> int:
    stacks = (stack_of(shape) for shape in shapes)
    return min(sum(4 * count * min(rows, columns) ** 2 for count, rows, columns in filter(None, stacks)), ROOM)


def factors(count: int, draws: str, model: int, name: str) -> torch.Tensor:
    """The weighted sum of draws for each direction of a matrix, float64, ``(count,)``.

    Args:
        count: Number of directions, the shorter side of the matrix.
        draws: Keys with weights.
        model: Number of the expert.
        name: Name of the tensor, with the number of the matrix where it holds several.
    """
    found = np.zeros(count)
    for key, weight in _read(draws):
        if key is None:
            found += 0.5 * weight
            continue
        place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        found += weight * np.random.default_rng([key, model, place]).random(count)
    return torch.from_numpy(found)


def _read(draws: str) -> list[tuple[int | None, float]]:
    """Keys, None for the mean, with their weights.

    Raises:
        InputError: If the text cannot be read.
    """
    if not _DRAWS.match(draws):
        raise InputError(f"step svd_push: option draws is {draws!r}; expected keys with weights, such as 17:1,mean:0.5")
    pairs = (pair.split(":") for pair in draws.split(","))
    return [(None if key == MEAN else int(key), float(weight)) for key, weight in pairs]


def _apply(context: StepContext, sources: TensorSources, delta: torch.Tensor, values: Values) -> torch.Tensor | None:
    model, draws, stack = context.options["model"], context.options["draws"], stack_of(delta.shape, context.kind)
    if problems := _count_problems(len(sources.models), context.options):
        raise InputError([f"step svd_push, tensor {context.name!r}: {problem}" for problem in problems])
    if stack is None or context.kind == "norm" or values["size"] == 0.0:
        return None
    assert sources.base is not None
    base, own = (tensor.reshape(stack) for tensor in (sources.base, sources.models[model]))
    kept = context.survey or Directions()
    for number, matrix in enumerate(delta.view(stack)):
        moved = own[number].to(torch.float32) - base[number].to(torch.float32)
        if not moved.isfinite().all() or not moved.any():  # nothing to decompose; what is not finite is merged already
            continue
        name = f"{context.name}#{number}"
        vectors = kept.get(name, partial(short_side, moved)).to(moved.device)
        u = values["size"] * factors(min(moved.shape), draws, model, name)[: vectors.shape[1]]
        with one_thread():
            scaled = (vectors * u.to(moved.device, torch.float32)) @ vectors.t()
            matrix += moved @ scaled if moved.shape[0] >= moved.shape[1] else scaled @ moved
    return None


def _count_problems(n_models: int, options: Options) -> list[str]:
    return number_problems("model", n_models, options)


def _idle(values: Values, options: Options) -> bool:
    return values["size"] == 0.0


def _coefficients(options: Options) -> tuple[Coefficient, ...]:
    _read(options["draws"])
    return (_SIZE,)


def _working_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """The expert's delta, its singular vectors in float32 and, while they are computed, in float64; and the step."""
    stack = stack_of(shape)
    if stack is None:
        return 0
    _, rows, columns = stack
    return 16 * min(rows, columns) ** 2 + 32 * rows * columns


STEP = PostProcess(
    name="svd_push",
    summary="A random step along the singular directions of one expert's delta.",
    paper="Kuroki et al. 2025, Agent skill acquisition for LLMs via CycleQD, https://arxiv.org/abs/2410.14735",
    apply=_apply,
    coefficients=_coefficients,
    options={
        "model": Option(0, None, int, "number of the expert, from 0", low=0, of_model=True),
        "draws": Option(
            "0:1", None, str, "keys of draws with their weights, 17:1,23:0.5; mean stands for forgotten ones"
        ),
    },
    count_problems=_count_problems,
    identity=_idle,
    survey=_survey,
    surveyed=("model",),
    kept_bytes=_kept_bytes,
    adds=True,
    working_bytes=_working_bytes,
    cost="decompositions of the expert's delta, once; for each candidate products with its matrices",
)
