"""Torch form of every kernel: its definition, and the fallback on other devices and without a compiler."""

from evomerge.kernels.reference.finite import finite_flag
from evomerge.kernels.reference.histogram import bin_counts, chunk_counts, histogram_of
from evomerge.kernels.reference.mixture import mix, net_sign
from evomerge.kernels.reference.pcb import pcb_merge
from evomerge.kernels.reference.rank_lookup import end_by_chunks, end_of_equal, sort_keys
from evomerge.kernels.reference.row_ranks import row_ranks
from evomerge.kernels.reference.sums import absolute_sum, dot, square_sums

__all__ = [
    "absolute_sum",
    "bin_counts",
    "chunk_counts",
    "dot",
    "end_by_chunks",
    "end_of_equal",
    "finite_flag",
    "histogram_of",
    "mix",
    "net_sign",
    "pcb_merge",
    "row_ranks",
    "sort_keys",
    "square_sums",
]
