"""The time that prepared arrays take to be kept on disk."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from evomerge.checkpoints import map_arrays, write_arrays

__all__ = ["seconds_per_byte"]

_SAMPLE = 1 << 26  # bytes


def seconds_per_byte(folder: Path) -> float:
    """Seconds of keeping a byte on disk where a folder is or will be; 0 where nothing can be written.

    A small file is written, mapped and verified as models of elites are, and removed with its folder.
    """
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    sample = {"sample": torch.zeros(_SAMPLE, dtype=torch.uint8)}
    try:
        with tempfile.TemporaryDirectory(prefix=".evomerge-", dir=place) as home:
            begin = time.perf_counter()
            write_arrays(Path(home) / "sample", sample, {})
            map_arrays(Path(home) / "sample", {})
            return (time.perf_counter() - begin) / _SAMPLE
    except OSError:
        return 0.0
