"""Order statistics of one model's values over a tensor or over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from evomerge.kernels import Histogram, Values, bin_histogram, magnitude_of

# Bins that are kept between candidates.
_REMEMBERED = 256


@dataclass(frozen=True)
class Ordered:
    """Values of one model, such as magnitudes or scores, in their order.

    Attributes:
        histogram: Their histogram.
        values: Gives all of them, one pass each time; None where the histogram is to be taken as it is.
    """

    histogram: Histogram
    values: Callable[[], Iterable[Values]] | None = None
    _bins: dict[int, Histogram] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of elements."""
        return self.histogram.count

    def largest(self, k: int) -> float:
        """The k-th largest, exactly."""
        return magnitude_of(self.histogram.largest(k, self._bin).bits)

    def _bin(self, bin_key: int) -> Histogram:
        if bin_key not in self._bins:
            assert self.values is not None
            while len(self._bins) >= _REMEMBERED:
                self._bins.pop(next(iter(self._bins)))
            shift = self.histogram.shift
            self._bins[bin_key] = Histogram.union(bin_histogram(own, bin_key, shift) for own in self.values())
        return self._bins[bin_key]
