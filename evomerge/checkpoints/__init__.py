"""Checkpoints on disk: finding them, reading their tensors lazily, comparing them, writing new ones.

Nothing here knows merging. :func:`open_source` turns a model folder into a :class:`CheckpointSource`: opening reads the
config and the headers, and tensors stay memory mapped.
"""

from evomerge.checkpoints.comparison.compare import Comparison, compare
from evomerge.checkpoints.comparison.tensors import expected_names
from evomerge.checkpoints.computed import is_computed
from evomerge.checkpoints.heads import is_head, untied_heads
from evomerge.checkpoints.json_files import read_object
from evomerge.checkpoints.locate import locate
from evomerge.checkpoints.nonfinite import find_nonfinite
from evomerge.checkpoints.open import open_all, open_source
from evomerge.checkpoints.renamed import under_names_of
from evomerge.checkpoints.source import CheckpointSource, TensorSpec, stored_dtype
from evomerge.checkpoints.tensor_files.arrays import map_arrays, write_arrays
from evomerge.checkpoints.tensor_files.header import TensorInfo, read_header
from evomerge.checkpoints.tensor_files.shards import write_shards

__all__ = [
    "CheckpointSource",
    "Comparison",
    "TensorInfo",
    "TensorSpec",
    "compare",
    "expected_names",
    "find_nonfinite",
    "is_computed",
    "is_head",
    "locate",
    "map_arrays",
    "open_all",
    "open_source",
    "read_header",
    "read_object",
    "stored_dtype",
    "under_names_of",
    "untied_heads",
    "write_arrays",
    "write_shards",
]
