"""The only chooser between the forms of every kernel.

A pass runs as a single-pass C kernel (:mod:`evomerge.kernels.native`) where all its tensors lie in the CPU's memory in
16 or 32 bits per element and the library is there. What mixes, and what looks for NaN and infinity, runs as one Triton
kernel (:mod:`evomerge.kernels.fused`) where all its tensors lie so in a GPU's memory and Triton is there. Everything
else runs as torch (:mod:`evomerge.kernels.reference`), the reference and the fallback; so do, anywhere, competition
scores whose agreement is not ``product``, and on a GPU masks at random that also trim. All give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from evomerge.kernels import fused, native, reference
from evomerge.kernels.blocks import flat
from evomerge.kernels.form import uses_fused, uses_native
from evomerge.kernels.histogram import ChunkCounts, Histogram, frequent, max_bins
from evomerge.kernels.masks import Mask
from evomerge.kernels.native import DTYPES
from evomerge.kernels.operands import Bin, Delta, Finite, Mixed, Mixture, PcbScore, PcbTerm, Selection, Values, Variance


def mix(mixture: Mixture, out: torch.Tensor) -> Mixed:
    """Computes a mixture in one pass over memory.

    Args:
        mixture: The mixture; computed in float32 and in the order of its parts.
        out: Memory of any shape, strides and floating dtype; overwritten. Rounded to nearest, ties to even.
    """
    if out.numel() == 0:
        return Mixed(True)
    form = _form(out, *mixture.tensors, mixture=mixture)
    if form is reference:
        return reference.mix(mixture, out)
    memory = _contiguous(out)
    mixed: Mixed = form.mix(mixture, memory)
    _store(memory, out)
    return mixed


def net_sign(mixture: Mixture) -> int:
    """The sum of the signs that an electing mixture with ``tie=None`` elects: positive if most elements vote plus."""
    if not mixture.parts or mixture.like.numel() == 0:
        return 0
    return int(_form(*mixture.tensors, mixture=mixture).net_sign(mixture))


def pcb_merge(base: torch.Tensor, terms: Sequence[PcbTerm], scale: float, out: torch.Tensor) -> Finite | None:
    """Writes the base plus ``scale`` times the average of clamped deltas by their shares, in float32.

    Args:
        base: The base's tensor, flat.
        terms: The deltas to average; all compete with the same models. Without any the result is the base.
        scale: Factor of the average.
        out: Memory of any shape, strides and floating dtype; overwritten. Rounded to nearest, ties to even.

    Returns:
        Whether all written elements are finite; None if they were not checked.
    """
    if out.numel() == 0:
        return True
    form = _form(out, base, *(terms[0].score.models if terms else ()))
    if not all(_is_compiled(term.score) for term in terms):
        form = reference
    if form is reference:
        return reference.pcb_merge(base, terms, scale, out)
    memory = _contiguous(out)
    finite: Finite = form.pcb_merge(base, terms, scale, memory)
    _store(memory, out)
    return finite


def histogram_of(values: Values, limit: int | None = None) -> Histogram:
    """Counts magnitudes, with the smallest shift that leaves at most ``limit`` bins (:func:`max_bins`)."""
    limit = max_bins(values.base.numel()) if limit is None else limit
    return (native if _serves_values(values) else reference).histogram_of(values, limit)


def bin_histogram(values: Values, bin_key: int, shift: int) -> Histogram:
    """Exact histogram of the magnitudes whose bits without the lowest ``shift`` ones are ``bin_key``."""
    counts = (native if _serves_values(values) else reference).bin_counts(values, bin_key, shift)
    offsets = counts.nonzero().view(-1)
    return Histogram.counted(0, (offsets + (bin_key << shift)).to(torch.int32), counts[offsets])


def chunk_counts_of(values: Values, histogram: Histogram) -> ChunkCounts:
    """Counts the magnitudes that more than a thousandth of the elements share, chunk by chunk."""
    bin_keys = frequent(histogram)
    if not bin_keys.numel():
        return ChunkCounts(bin_keys, torch.empty(0, 0, dtype=torch.int32))
    return ChunkCounts(bin_keys, (native if _serves_values(values) else reference).chunk_counts(values, bin_keys))


def end_of_equal(values: Values, bits: int, quota: int) -> int:
    """End of the first ``quota`` elements whose magnitude is ``bits``.

    Returns:
        The index behind the last of them, or the number of all elements if there are fewer.
    """
    if quota <= 0:
        return 0
    return (native if _serves_values(values) else reference).end_of_equal(values, bits, quota)


def end_by_chunks(values: Values, bits: int, quota: int, counts: torch.Tensor) -> int:
    """The same as :func:`end_of_equal`, from counts of this magnitude per chunk; looks at one chunk."""
    return (native if _serves_values(values) else reference).end_by_chunks(values, bits, quota, counts)


def sort_keys(bins: Sequence[Bin]) -> list[torch.Tensor]:
    """Keys of the elements of bins of values with the same base, by index: magnitude * 2**32 + index; int64."""
    return (native if all(_serves_values(own.values) for own in bins) else reference).sort_keys(bins)


def absolute_sum(values: Values, mask: Mask | None = None) -> float:
    """The sum of the absolute values of all elements, or of those that a mask keeps."""
    return (native if _serves_values(values) else reference).absolute_sum(values, mask)


def square_sums(deltas: Variance, select: Selection | None = None) -> list[float]:
    """The sum of the squares of each delta's elements, or of those that are selected.

    Args:
        deltas: The base and the models.
        select: Elements of all deltas that count; None is all.
    """
    serves = _serves_values(deltas) and (select is None or _serves_values(select.values))
    return (native if serves else reference).square_sums(deltas, select)


def dot(left: torch.Tensor, right: torch.Tensor) -> float:
    """The inner product of two tensors of the same shape."""
    left, right = flat(left), flat(right)
    return (native if _serves(left, right) else reference).dot(left, right)


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all elements of a tensor are finite."""
    return bool(finite_flag(tensor))


def finite_flag(tensor: torch.Tensor) -> Finite:
    """The same, block by block; what lies on another device than the CPU is not waited for."""
    if tensor.numel() == 0:
        return True
    finite: Finite = _form(tensor).finite_flag(tensor)
    return finite


def row_ranks(delta: Delta) -> torch.Tensor:
    """Rank of every element among the magnitudes of its row, the last dimension; 0 is the smallest.

    Equal magnitudes are ranked by their index. Rows of up to 65536 elements have exact ranks; in longer ones of ``m``
    elements, rank r becomes ``r * 65536 // m``.

    Returns:
        uint16 on the CPU, of the tensor's shape; 2 bytes per element.
    """
    shape = delta.base.shape
    columns = shape[-1] if shape else 1
    if delta.base.numel() == 0:
        return torch.empty(shape, dtype=torch.uint16)
    return (native if _serves(delta.base, delta.model) else reference).row_ranks(delta, columns).view(shape)


def _form(*tensors: torch.Tensor, mixture: Mixture | None = None) -> Any:
    """The form of a pass that there are three of, over these tensors."""
    if _serves(*tensors):
        return native
    if fused.takes(*tensors) and (mixture is None or fused.takes_mixture(mixture)) and uses_fused():
        return fused.kernels()
    return reference


def _serves(*tensors: torch.Tensor) -> bool:
    """Whether the native kernels take these tensors."""
    return uses_native() and all(t.device.type == "cpu" and t.dtype in DTYPES and t.numel() <= 1 << 32 for t in tensors)


def _serves_values(values: Values) -> bool:
    return _is_compiled(values) and _serves(values.base, *values.models)


def _is_compiled(values: Values) -> bool:
    """Whether there are other forms than torch of passes over these values."""
    return not isinstance(values, PcbScore) or values.agreement == "product"


def _contiguous(out: torch.Tensor) -> torch.Tensor:
    """Contiguous memory for a result: its own, where that is contiguous."""
    target = out.detach()
    return target if target.is_contiguous() else torch.empty(out.shape, dtype=out.dtype, device=out.device)


def _store(memory: torch.Tensor, out: torch.Tensor) -> None:
    if not out.is_contiguous():
        out.detach().copy_(memory)
