"""Checkpoints on disk: finding them, reading their tensors lazily, comparing them, writing new ones.

Nothing here knows what merging is. A checkpoint is a folder of safetensors files; opening one reads headers only, and
its tensors stay memory mapped.
"""

from evomerge.checkpoints.arrays import map_arrays, write_arrays
from evomerge.checkpoints.compare import Comparison, compare, expected_names, is_computed
from evomerge.checkpoints.dense import Checkpoint
from evomerge.checkpoints.header import TensorInfo, read_header
from evomerge.checkpoints.locate import locate
from evomerge.checkpoints.nonfinite import find_nonfinite, is_finite
from evomerge.checkpoints.shards import TensorSpec, parse_size, write_shards

__all__ = [
    "Checkpoint",
    "Comparison",
    "TensorInfo",
    "TensorSpec",
    "compare",
    "expected_names",
    "find_nonfinite",
    "is_computed",
    "is_finite",
    "locate",
    "map_arrays",
    "parse_size",
    "read_header",
    "write_arrays",
    "write_shards",
]
