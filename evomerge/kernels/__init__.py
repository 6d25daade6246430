"""Hot loops over blocks of memory, shared by all merge methods.

- :mod:`~evomerge.kernels.operands`: plain data that says what a pass reads and computes;
  :mod:`~evomerge.kernels.masks`: which elements it keeps.
- :mod:`~evomerge.kernels.reference`: every pass in torch, its definition on any device.
- :mod:`~evomerge.kernels.native`: the same passes as single-pass C kernels on the CPU, bit for bit.
- :mod:`~evomerge.kernels.fused`: the hottest of them as single-pass Triton kernels on a CUDA GPU, bit for bit.
- :mod:`~evomerge.kernels.dispatch`: the only chooser between these; :func:`in_use` says which and why.
- :mod:`~evomerge.kernels.histogram`, :mod:`~evomerge.kernels.rank_lookup`: exact order statistics, elements by rank.
- :mod:`~evomerge.kernels.blocks`: block-wise passes, float32 inside and the cast at the edge.
- :mod:`~evomerge.kernels.keys`: random keys, which with an element's index make its noise.

A kernel is ``reference/NAME.py``, ``native/csrc/NAME.c`` and ``native/NAME.py``, its binding; a fused one also
``fused/program/NAME.py`` and ``fused/NAME.py``. Nothing here knows merge
methods or checkpoints. No result depends on the number of threads or on earlier computations.
"""

from evomerge.kernels.blocks import BLOCK, CHUNK, channel_factors, fill, flat, spans, spread, take
from evomerge.kernels.dispatch import (
    absolute_sum,
    bin_histogram,
    chunk_counts_of,
    dot,
    end_of_equal,
    finite_flag,
    histogram_of,
    is_finite,
    mix,
    net_sign,
    pcb_merge,
    row_ranks,
    square_sums,
)
from evomerge.kernels.form import Kernels, in_use, torch_only
from evomerge.kernels.histogram import (
    ChunkCounts,
    Histogram,
    OrderStatistic,
    chunk_counts_bytes,
    histogram_bytes,
    magnitude_of,
    max_bins,
)
from evomerge.kernels.keys import random_key
from evomerge.kernels.masks import LEVELS, NOTHING, BernoulliMask, Mask, RankWindow, Threshold, Window
from evomerge.kernels.operands import (
    Bin,
    Delta,
    Element,
    Finite,
    Mixed,
    Mixture,
    Part,
    PcbScore,
    PcbTerm,
    Range,
    Selection,
    Sparse,
    Values,
    Variance,
)
from evomerge.kernels.rank_lookup import MAX_INDEXED, bin_holding, elements_at, elements_of, top_k
from evomerge.kernels.reference.magnitudes import magnitude_bits
from evomerge.kernels.reference.noise import uniform
from evomerge.kernels.reference.sparsify import in_window
from evomerge.kernels.reference.sums import cumulative_square_sums

__all__ = [
    "BLOCK",
    "CHUNK",
    "LEVELS",
    "MAX_INDEXED",
    "NOTHING",
    "BernoulliMask",
    "Bin",
    "ChunkCounts",
    "Delta",
    "Element",
    "Finite",
    "Histogram",
    "Kernels",
    "Mask",
    "Mixed",
    "Mixture",
    "OrderStatistic",
    "Part",
    "PcbScore",
    "PcbTerm",
    "Range",
    "RankWindow",
    "Selection",
    "Sparse",
    "Threshold",
    "Values",
    "Variance",
    "Window",
    "absolute_sum",
    "bin_histogram",
    "bin_holding",
    "channel_factors",
    "chunk_counts_bytes",
    "chunk_counts_of",
    "cumulative_square_sums",
    "dot",
    "elements_at",
    "elements_of",
    "end_of_equal",
    "fill",
    "finite_flag",
    "flat",
    "histogram_bytes",
    "histogram_of",
    "in_use",
    "in_window",
    "is_finite",
    "magnitude_bits",
    "magnitude_of",
    "max_bins",
    "mix",
    "net_sign",
    "pcb_merge",
    "random_key",
    "row_ranks",
    "spans",
    "spread",
    "square_sums",
    "take",
    "top_k",
    "torch_only",
    "uniform",
]
