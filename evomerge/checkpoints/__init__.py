"""Checkpoints on disk: finding them, reading their tensors lazily, comparing them, writing new ones.

Nothing here knows merging. :func:`open_source` turns a model folder into a :class:`CheckpointSource`: opening reads the
config and the headers, and tensors stay memory mapped.

A new kind of source is a class that has what the protocol lists, in a file of its own like ``dense``. If a folder alone
tells what it is, :func:`open_source` picks the class by the folder's files, and nothing else changes. A source that is
made of others wraps them once they are opened, as ``renamed`` does and as merging does with a recipe's model. An
adapter is of that kind, since it needs its checkpoint: ``Merger._source`` in ``evomerge.merging.loop`` turns what a
recipe names into a source, and ``evomerge.merging.plan.unbuilt`` says what is refused until it is built.
"""

from evomerge.checkpoints.comparison.compare import Comparison, Matching, compare, strictest
from evomerge.checkpoints.comparison.derived import read_config
from evomerge.checkpoints.comparison.tensors import expected_names
from evomerge.checkpoints.computed import is_computed
from evomerge.checkpoints.equal import differ, same_weights
from evomerge.checkpoints.heads import embedding_rows, is_embedding, is_head, is_vocabulary, untied_heads
from evomerge.checkpoints.json_files import read_object
from evomerge.checkpoints.locate import locate
from evomerge.checkpoints.nonfinite import find_nonfinite
from evomerge.checkpoints.open import open_all, open_source
from evomerge.checkpoints.renamed import in_form_of
from evomerge.checkpoints.source import CheckpointSource, TensorSpec, stored_dtype
from evomerge.checkpoints.tensor_files.arrays import map_arrays, write_arrays
from evomerge.checkpoints.tensor_files.header import TensorInfo, read_header
from evomerge.checkpoints.tensor_files.shards import write_shards

__all__ = [
    "CheckpointSource",
    "Comparison",
    "Matching",
    "TensorInfo",
    "TensorSpec",
    "compare",
    "differ",
    "embedding_rows",
    "expected_names",
    "find_nonfinite",
    "in_form_of",
    "is_computed",
    "is_embedding",
    "is_head",
    "is_vocabulary",
    "locate",
    "map_arrays",
    "open_all",
    "open_source",
    "read_config",
    "read_header",
    "read_object",
    "same_weights",
    "stored_dtype",
    "strictest",
    "untied_heads",
    "write_arrays",
    "write_shards",
]
