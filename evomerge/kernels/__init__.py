"""The hot loops over blocks of memory that every merge method shares.

- :mod:`~evomerge.kernels.mixture`: the one pass of all element-wise methods.
- :mod:`~evomerge.kernels.balance`: the one pass of PCB-Merging.
- :mod:`~evomerge.kernels.selection`: which elements of a delta are kept.
- :mod:`~evomerge.kernels.values`: numbers computed element by element, that passes select or add up.
- :mod:`~evomerge.kernels.histogram`: exact order statistics of more magnitudes than one would sort.
- :mod:`~evomerge.kernels.places`: where the elements of some magnitudes are.
- :mod:`~evomerge.kernels.ranks`: ranks within rows.
- :mod:`~evomerge.kernels.sums`: sums that come out the same however the work is divided.
- :mod:`~evomerge.kernels.finite`: whether all elements are finite.
- :mod:`~evomerge.kernels.noise`: uniform noise that is a function of a key and an element's index.
- :mod:`~evomerge.kernels.blocks`: passes over a tensor, block by block, float32 inside and the cast at the edge.
- :mod:`~evomerge.kernels.compiled`, :mod:`~evomerge.kernels.native`: the same loops in C, for the CPU.

Nothing here knows what a merge method or a checkpoint is. Every loop is written twice: in torch, which defines it and
works on any device, and in C, which equals it to the last bit and is used on the CPU where a compiler is at hand
(:func:`in_use` says). No result depends on the number of threads or on what was computed before.
"""

from evomerge.kernels.balance import Rival, balance
from evomerge.kernels.blocks import BLOCK, CHUNK, fill, flat, spans, taken_from
from evomerge.kernels.compiled import Kernels, in_use, torch_only
from evomerge.kernels.finite import is_finite
from evomerge.kernels.histogram import (
    Histogram,
    OrderStatistic,
    end_of_equal,
    histogram_bytes,
    stretch_of,
    stretches,
)
from evomerge.kernels.mixture import Mixed, Mixture, Part, mix, net_sign
from evomerge.kernels.noise import random_key, uniform
from evomerge.kernels.places import (
    MOST_PLACES,
    ChunkCounts,
    Element,
    Stretch,
    chunk_counts_bytes,
    elements_at,
    elements_of,
    largest_of,
)
from evomerge.kernels.ranks import LEVELS, row_ranks
from evomerge.kernels.selection import NOTHING, Chance, Cut, Keep, RankWindow, Selection, Window, magnitude_bits, thin
from evomerge.kernels.sums import absolute_sum, dot, square_sums, square_sums_upto
from evomerge.kernels.values import Delta, Range, Score, Spread, Values

__all__ = [
    "BLOCK",
    "CHUNK",
    "LEVELS",
    "MOST_PLACES",
    "NOTHING",
    "Chance",
    "ChunkCounts",
    "Cut",
    "Delta",
    "Element",
    "Histogram",
    "Keep",
    "Kernels",
    "Mixed",
    "Mixture",
    "OrderStatistic",
    "Part",
    "Range",
    "RankWindow",
    "Rival",
    "Score",
    "Selection",
    "Spread",
    "Stretch",
    "Values",
    "Window",
    "absolute_sum",
    "balance",
    "chunk_counts_bytes",
    "dot",
    "elements_at",
    "elements_of",
    "end_of_equal",
    "fill",
    "flat",
    "histogram_bytes",
    "in_use",
    "is_finite",
    "largest_of",
    "magnitude_bits",
    "mix",
    "net_sign",
    "random_key",
    "row_ranks",
    "spans",
    "square_sums",
    "square_sums_upto",
    "stretch_of",
    "stretches",
    "taken_from",
    "thin",
    "torch_only",
    "uniform",
]
