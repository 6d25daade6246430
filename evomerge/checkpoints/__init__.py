"""Checkpoints on disk: finding them, reading their tensors lazily, comparing them, writing new ones.

Nothing here knows merging. :func:`open_source` turns a model folder into a :class:`CheckpointSource`: opening reads the
config and the headers, and tensors stay memory mapped.

A new kind of source is a class that has what the protocol lists, in a file of its own like ``dense``. If a folder alone
tells what it is, :func:`open_source` picks the class by the folder's files, and nothing else changes. A source that is
made of others wraps them once they are opened, as ``renamed`` and ``adapters`` do and as merging does with a recipe's
model; :func:`open_all` opens whatever references name.
"""

from evomerge.checkpoints.adapters import (
    AdapterSource,
    LowRank,
    adapter_of,
    changed_names,
    computed_bytes,
    dtype_at_rest,
    folder_of,
    is_adapter,
    stored_bytes,
    stored_part,
)
from evomerge.checkpoints.comparison.compare import Comparison, Matching, compare, strictest
from evomerge.checkpoints.comparison.derived import read_config
from evomerge.checkpoints.comparison.generation import DEFAULT_TEMPLATE, chat_templates
from evomerge.checkpoints.comparison.tensors import expected_names
from evomerge.checkpoints.comparison.tokenizer_files import tokenizer_problems
from evomerge.checkpoints.computed import is_computed
from evomerge.checkpoints.files.draft import appearing, give_config, hold_back_config
from evomerge.checkpoints.files.folder_files import TEMPLATES, file_problems
from evomerge.checkpoints.files.foreign import (
    parse_config,
    read_by_transformers,
    read_tokenizer,
    reason,
    unreadable_companions,
)
from evomerge.checkpoints.files.own_code import names_code
from evomerge.checkpoints.files.stamp import FolderStamp
from evomerge.checkpoints.heads import embedding_rows, is_embedding, is_head, is_vocabulary, untied_heads
from evomerge.checkpoints.json_files import read_object, read_optional
from evomerge.checkpoints.locate import locate
from evomerge.checkpoints.open import fingerprint_of, open_all, open_source
from evomerge.checkpoints.renamed import in_form_of
from evomerge.checkpoints.source import CheckpointSource, TensorSpec, stored_dtype
from evomerge.checkpoints.tensor_files.arrays import map_arrays, write_arrays
from evomerge.checkpoints.tensor_files.header import TensorInfo, read_header, read_metadata
from evomerge.checkpoints.tensor_files.shards import write_shards
from evomerge.checkpoints.values.columns import column_cosines
from evomerge.checkpoints.values.deltas import TensorDeltas, compare_deltas
from evomerge.checkpoints.values.equal import differ, same_weights
from evomerge.checkpoints.values.nonfinite import find_nonfinite
from evomerge.checkpoints.values.products import inner_products

__all__ = [
    "DEFAULT_TEMPLATE",
    "TEMPLATES",
    "AdapterSource",
    "CheckpointSource",
    "Comparison",
    "FolderStamp",
    "LowRank",
    "Matching",
    "TensorDeltas",
    "TensorInfo",
    "TensorSpec",
    "adapter_of",
    "appearing",
    "changed_names",
    "chat_templates",
    "column_cosines",
    "compare",
    "compare_deltas",
    "computed_bytes",
    "differ",
    "dtype_at_rest",
    "embedding_rows",
    "expected_names",
    "file_problems",
    "find_nonfinite",
    "fingerprint_of",
    "folder_of",
    "give_config",
    "hold_back_config",
    "in_form_of",
    "inner_products",
    "is_adapter",
    "is_computed",
    "is_embedding",
    "is_head",
    "is_vocabulary",
    "locate",
    "map_arrays",
    "names_code",
    "open_all",
    "open_source",
    "parse_config",
    "read_by_transformers",
    "read_config",
    "read_header",
    "read_metadata",
    "read_object",
    "read_optional",
    "read_tokenizer",
    "reason",
    "same_weights",
    "stored_bytes",
    "stored_dtype",
    "stored_part",
    "strictest",
    "tokenizer_problems",
    "unreadable_companions",
    "untied_heads",
    "write_arrays",
    "write_shards",
]
