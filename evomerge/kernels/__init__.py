"""The few hot loops over blocks of memory that every merge method shares.

- :mod:`~evomerge.kernels.blocks`: one pass over a tensor, block by block, float32 inside and the cast at the edge.
- :mod:`~evomerge.kernels.noise`: uniform noise that is a function of a key and an element's index.
- :mod:`~evomerge.kernels.histogram`: exact order statistics of more magnitudes than one would sort.

Nothing here knows what a merge method or a checkpoint is. Everything works on any device, and no result depends on the
number of threads or on what was computed before.
"""

from evomerge.kernels.blocks import BLOCK, fill, flat, spans, total
from evomerge.kernels.histogram import (
    Histogram,
    OrderStatistic,
    end_of_equal,
    histogram_bytes,
    magnitude_bits,
    stretch_of,
)
from evomerge.kernels.noise import random_key, uniform

__all__ = [
    "BLOCK",
    "Histogram",
    "OrderStatistic",
    "end_of_equal",
    "fill",
    "flat",
    "histogram_bytes",
    "magnitude_bits",
    "random_key",
    "spans",
    "stretch_of",
    "total",
    "uniform",
]
