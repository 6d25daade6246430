"""LoRA adapters in PEFT's format as sources: an opened base and an adapter's folder give the fine-tuned tensors.

`config` reads ``adapter_config.json`` and refuses by name what no merged weights exist for, `files` opens the folder,
`names` finds the tensors of the base that an adapter's modules mean, `changes` says what happens to each of them, and
`source` computes a changed tensor when it is asked for.
"""

from evomerge.checkpoints.adapters.files import CONFIG, WEIGHTS, AdapterFiles, is_adapter
from evomerge.checkpoints.adapters.low_rank import LowRank
from evomerge.checkpoints.adapters.source import (
    AdapterSource,
    adapter_of,
    changed_names,
    computed_bytes,
    dtype_at_rest,
    folder_of,
    stored_bytes,
    stored_part,
)

__all__ = [
    "CONFIG",
    "WEIGHTS",
    "AdapterFiles",
    "AdapterSource",
    "LowRank",
    "adapter_of",
    "changed_names",
    "computed_bytes",
    "dtype_at_rest",
    "folder_of",
    "is_adapter",
    "stored_bytes",
    "stored_part",
]
