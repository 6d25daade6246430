"""Single-pass C kernels: the library, and one binding for each file of ``csrc``.

Each binding computes, to the last bit, what the function of the same name in :mod:`evomerge.kernels.reference` defines.
"""

from evomerge.kernels.native.finite import finite_flag
from evomerge.kernels.native.histogram import bin_counts, chunk_counts, histogram_of
from evomerge.kernels.native.mixture import mix, net_sign
from evomerge.kernels.native.pcb import pcb_merge
from evomerge.kernels.native.rank_lookup import end_by_chunks, end_of_equal, sort_keys
from evomerge.kernels.native.row_ranks import row_ranks
from evomerge.kernels.native.structs import DTYPES
from evomerge.kernels.native.sums import absolute_sum, dot, square_sums

__all__ = [
    "DTYPES",
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
