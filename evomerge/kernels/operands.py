"""Operands of the kernels: plain data that says what a pass reads and what it computes.

Values are numbers computed from tensors, element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels.masks import Mask, Window

Range = tuple[float, float]


@dataclass(frozen=True)
class Delta:
    """A model minus the base (the literature's task vector).

    Attributes:
        base: The base's tensor, contiguous, flat or of any shape.
        model: The model's, of the same shape.
    """

    base: torch.Tensor
    model: torch.Tensor

    @property
    def models(self) -> tuple[torch.Tensor, ...]:
        """The models that take part."""
        return (self.model,)


@dataclass(frozen=True)
class Variance:
    """Element-wise variance of several models' deltas.

    It is the sum of the squared differences of all pairs over the square of their number, in float32: good to a few
    units in the last place however much larger the deltas are than their differences, and zero where they are equal.

    Attributes:
        base: The base's tensor.
        models: The models', all of the same shape.
    """

    base: torch.Tensor
    models: Sequence[torch.Tensor]


@dataclass(frozen=True)
class PcbScore:
    """Competition score of one model's elements (Du et al. 2024); negative scores count as zero.

    A score is ``exp(n * size**2)``, where the size is the clamped magnitude scaled to [0, 1], times the agreement with
    the others. Signed sizes are sizes with the deltas' signs.

    ===============  =======================================================================
    agreement        in all sums over all models
    ===============  =======================================================================
    ``product``      ``tanh(delta * sum of deltas)``
    ``scaled``       ``tanh(delta * sum of signed sizes)``
    ``pairs``        ``sum of tanh(signed size * other signed size)``
    ===============  =======================================================================

    Attributes:
        base: The base's tensor, flat.
        models: All ``n`` models', flat.
        model: Index of the model that is scored.
        limits: Smallest and largest magnitude; others are clamped to them.
        agreement: How models agree.
        all_limits: Limits of all models; read unless the agreement is ``product``.
    """

    base: torch.Tensor
    models: Sequence[torch.Tensor]
    model: int
    limits: Range
    agreement: str = "product"
    all_limits: Sequence[Range] = ()

    @property
    def slope(self) -> float:
        """Slope of the map from clamped magnitudes to [0, 1]; 0 where all magnitudes are equal."""
        return slope_of(self.limits)


def slope_of(limits: Range) -> float:
    """Slope of the map from numbers between two limits to [0, 1]; 0 where the limits are equal."""
    low, high = limits
    return 1 / (high - low) if high > low else 0.0


@dataclass(frozen=True)
class Sparse:
    """A model minus the base, sparsified.

    Attributes:
        base: The base's tensor, flat.
        model: The model's.
        mask: The mask; elements that it drops are zero.
    """

    base: torch.Tensor
    model: torch.Tensor
    mask: Mask

    @property
    def models(self) -> tuple[torch.Tensor, ...]:
        """The models that take part."""
        return (self.model,)


Values = Delta | Variance | PcbScore | Sparse


@dataclass(frozen=True)
class Selection:
    """Elements chosen by other values than those that are sparsified.

    Attributes:
        values: The values that decide.
        window: Magnitudes of these values that are chosen.
    """

    values: Values
    window: Window


@dataclass(frozen=True)
class Part:
    """One model's contribution to a mixture.

    Attributes:
        model: Its tensor, flat.
        weight: Factor of its sparsified delta in the sum; not zero.
        vote: Factor of its sparsified delta in the election.
        share: Its contribution to the divisor where it agrees.
        mask: Sparsity mask of its delta; None keeps everything.
        factor: Rescaling of the kept elements.
    """

    model: torch.Tensor
    weight: float
    vote: float = 1.0
    share: float = 1.0
    mask: Mask | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class Mixture:
    """An element-wise merge of one tensor.

    Attributes:
        base: The base's tensor, flat, or None: then the models themselves are added, not their deltas.
        parts: The models that take part. Without any the result is the base.
        scale: Factor of the sum of deltas.
        elect: Whether only those parts are added whose vote has the sign of the sum of all votes.
        tie: The sign where that sum is zero: 1.0, -1.0, or 0.0 for none; None to count whether it matters.
        divide: Whether the sum is divided by the shares of the parts that agree.
        select: Elements of all sparsified deltas that count; None is all.
    """

    base: torch.Tensor | None
    parts: Sequence[Part]
    scale: float = 1.0
    elect: bool = False
    tie: float | None = 1.0
    divide: bool = False
    select: Selection | None = None

    def __post_init__(self) -> None:
        """Refuses masks and selections that have no base to refer to."""
        if self.base is None and (self.select is not None or any(part.mask is not None for part in self.parts)):
            raise ValueError("expected a base, since elements of deltas are to be kept")
        if self.select is not None and self.select.values.base is not self.base:
            raise ValueError("expected elements selected by values that have the mixture's base")

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """All tensors that are read."""
        selecting = () if self.select is None else self.select.values.models
        return (*(part.model for part in self.parts), *selecting, *(() if self.base is None else (self.base,)))

    @property
    def like(self) -> torch.Tensor:
        """A tensor that has the result's elements and device."""
        return self.parts[0].model if self.base is None else self.base


Finite = bool | torch.Tensor
"""Whether all elements are finite. A tensor of one element is a flag on a device, where they may still be computed: to
read it is to wait for that.
"""


@dataclass(frozen=True)
class Mixed:
    """Observations made while mixing.

    Attributes:
        finite: Whether all written elements are finite; None if they were not checked.
        tied: Where ``mixture.tie`` is None: number of elements whose votes cancel. They were left to nobody.
    """

    finite: Finite | None
    tied: int = 0


@dataclass(frozen=True)
class PcbTerm:
    """One delta of the average of PCB-Merging.

    An element's share is ``(score - least) * slope``, zero where the score is below ``least``.

    Attributes:
        score: The scores of its elements among all deltas.
        weight: Factor of its clamped delta.
        least: The score whose share is zero.
        slope: Slope of the map from scores above ``least`` to [0, 1].
    """

    score: PcbScore
    weight: float
    least: float
    slope: float


@dataclass(frozen=True)
class Bin:
    """A range of neighbouring magnitudes of some values.

    Attributes:
        values: The values.
        bin_key: The magnitudes' bits without the lowest ``shift`` ones.
        shift: Number of bits left out; 0 is one magnitude.
        count: Number of elements in the bin.
        chunks: Number of elements in each chunk, where that is known; int32.
    """

    values: Values
    bin_key: int
    shift: int
    count: int
    chunks: torch.Tensor | None = None


@dataclass(frozen=True)
class Element:
    """One element of some values.

    Attributes:
        bits: Bits of its magnitude, see :func:`evomerge.kernels.magnitude_bits`.
        index: Its flat index.
    """

    bits: int
    index: int
