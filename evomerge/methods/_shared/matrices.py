"""Methods that treat matrices alone: which tensors these are, what becomes of the others, and deltas row by row.

Publications leave everything but the matrices of the layers at the base, or average it. Both are options here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import Finite, Mixture, Part, fill, mix
from evomerge.methods._shared.inputs import Options, TensorContext, TensorSources
from evomerge.methods._shared.spectral.decomposition import one_thread
from evomerge.options import Option

MATRICES = Option(
    "layers",
    ("layers", "all"),
    str,
    "which matrices are optimised: those of attention and MLP in the layers, or all but the output head",
)
REST = Option(
    "base",
    ("base", "mean"),
    str,
    "what becomes of all other tensors: they stay the base's, or lambda times the mean delta is added",
)
_OF_LAYERS = ("attention", "mlp", "router")
# Elements of a float64 block of rows: 16 MiB, enough for products of matrices to run at full speed.
_BLOCK = 1 << 21


def is_optimised(context: TensorContext, shape: Sequence[int], options: Options) -> bool:
    """Whether a tensor is one of the matrices that the options name."""
    if len(shape) != 2 or 0 in shape:
        return False
    if options["matrices"] == "layers":
        return context.layer is not None and context.kind in _OF_LAYERS
    return context.kind != "head"


def merge_rest(
    context: TensorContext,
    sources: TensorSources,
    scale: float,
    out: torch.Tensor,
    weights: Sequence[float] | None = None,
) -> Finite | None:
    """Writes a tensor that nothing is prepared for: the base, or the base plus ``scale`` times the mean delta.

    Deltas of a matrix that are all zero, or not all finite, have no optimum; their mean shows which.

    Args:
        context: The tensor.
        sources: Its inputs.
        scale: Factor of the mean delta.
        out: Memory of the tensor's shape.
        weights: The weight of each delta in the mean; a model of weight zero takes no part. None is 1 for each.
    """
    if out.numel() == 0:
        return True
    stays = sources.options["rest"] == "base" and not is_optimised(context, out.shape, sources.options)
    models = sources.flat_models
    weighted = zip(models, weights or (1.0,) * len(models), strict=True)
    parts = [] if stays else [Part(model, weight) for model, weight in weighted if weight]
    return mix(Mixture(sources.flat_base, parts, scale=scale / len(models)), out).finite


def add_update(
    sources: TensorSources, update: Callable[[slice], torch.Tensor], out: torch.Tensor, block: int = 0
) -> None:
    """Writes the base plus an update; where that is zero the base stays bit by bit.

    Args:
        sources: The tensor's inputs.
        update: Gives the float32 update of some elements, as new memory of any shape.
        out: Memory of the tensor's shape.
        block: Elements that the update is asked for at once; 0 chooses by the device.
    """
    base = sources.flat_base
    # Taken off with no negative zeros: so the base's own negative zeros stay.
    fill(out, lambda span: base[span].to(torch.float32) - update(span).reshape(-1).neg_().add_(0.0), block)


@dataclass(frozen=True)
class MatrixDeltas:
    """The deltas of one matrix in float64, some rows at a time: copies of large matrices would not fit.

    Attributes:
        base: The base's matrix, ``(out, in)``.
        models: The models'.
    """

    base: torch.Tensor
    models: Sequence[torch.Tensor]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns: outputs and inputs of a linear layer."""
        height, width = self.base.shape
        return height, width

    def blocks(self) -> Iterator[list[torch.Tensor]]:
        """The deltas of all models, block of rows by block of rows."""
        height, width = self.shape
        step = max(1, _BLOCK // width)
        for start in range(0, height, step):
            rows = _double(self.base[start : start + step])
            yield [_double(model[start : start + step]) - rows for model in self.models]

    def of(self, model: int) -> torch.Tensor:
        """The delta of one model, all of it."""
        return _double(self.models[model]) - _double(self.base)

    def total(self) -> torch.Tensor:
        """The sum of the deltas."""
        return sum((self.of(model) for model in range(1, len(self.models))), self.of(0))

    @one_thread()
    def square_norms(self) -> list[float]:
        """The squared Frobenius norm of every delta; NaN or infinity where one is not finite."""
        sums = [torch.stack([delta.square().sum() for delta in rows]) for rows in self.blocks()]
        return torch.stack(sums).sum(0).tolist()

    @one_thread()
    def grams(self, right: torch.Tensor | None = None) -> list[torch.Tensor]:
        """For every delta its transpose times itself, ``(in, in)``, or times ``right`` after that, ``(in, k)``."""
        totals: list[torch.Tensor] | None = None
        for rows in self.blocks():
            own = [delta.t() @ (delta if right is None else delta @ right) for delta in rows]
            totals = own if totals is None else [total.add_(more) for total, more in zip(totals, own, strict=True)]
        assert totals is not None
        return totals

    @one_thread()
    def mapped(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """The sum of the deltas, each times its map ``(in, k)``: float64 ``(out, k)``."""
        found = []
        for rows in self.blocks():
            total = rows[0] @ maps[0]
            for delta, own in zip(rows[1:], maps[1:], strict=True):
                total += delta @ own
            found.append(total)
        return torch.cat(found)


def blocks_bytes(shape: Sequence[int], n_models: int) -> int:
    """The most memory that going through a matrix's deltas takes: two blocks of each where there is more than one."""
    height, width = shape
    rows = max(1, _BLOCK // max(width, 1))
    if rows >= height:
        return 8 * height * width * (n_models + 3)
    return 8 * rows * width * (2 * n_models + 3)


def _double(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix in float64, row by row in memory: products of matrices depend on that."""
    return matrix.detach().double().contiguous()
