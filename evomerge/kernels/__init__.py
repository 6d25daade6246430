"""The few hot loops over blocks of memory that every merge method shares.

- :mod:`~evomerge.kernels.blocks`: one pass over a tensor, block by block, float32 inside and the cast at the edge.
- :mod:`~evomerge.kernels.noise`: uniform noise that is a function of a key and an element's index.
- :mod:`~evomerge.kernels.ranks`: exact order statistics of more magnitudes than one would sort.

Nothing here knows what a merge method or a checkpoint is. Everything works on any device, and no result depends on the
number of threads or on what was computed before.
"""

from evomerge.kernels.blocks import BLOCK, fill, flat, spans, total
from evomerge.kernels.noise import random_key, uniform
from evomerge.kernels.ranks import OrderStatistic, Ranks, end_of_equal, magnitude_bits

__all__ = [
    "BLOCK",
    "OrderStatistic",
    "Ranks",
    "end_of_equal",
    "fill",
    "flat",
    "magnitude_bits",
    "random_key",
    "spans",
    "total",
    "uniform",
]
