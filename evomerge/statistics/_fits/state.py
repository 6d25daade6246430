"""How far a fit is, in a file: a fit that is killed goes on from its last whole epoch, or from a minute ago."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from evomerge.checkpoints import map_arrays, read_metadata, write_arrays
from evomerge.errors import InputError

_NAME, _STEPS = "fit.safetensors", "steps"
_EVERY = 60.0  # seconds


class Kept:
    """The arrays of a fit, written now and then.

    Args:
        folder: Where; it is there.
        about: What the fit is of: a file of another one is not taken.
    """

    def __init__(self, folder: Path, about: dict[str, str]) -> None:
        self._path, self._about = folder / _NAME, about
        self._due = time.monotonic() + _EVERY

    def restore(self, arrays: Sequence[torch.Tensor]) -> int:
        """Overwrites arrays by those of a fit that was killed.

        Args:
            arrays: All that its steps depend on.

        Returns:
            Steps that it had taken; 0 where there is none, or none that could be read.
        """
        for unfinished in self._path.parent.glob(f".{_NAME}.*"):
            unfinished.unlink(missing_ok=True)
        if not self._path.is_file():
            return 0
        try:
            found = map_arrays(self._path, self._about)
            steps = int(read_metadata(self._path)[_STEPS])
        except (InputError, KeyError, ValueError):
            return 0
        if any(found[f"{number}"].shape != one.shape for number, one in enumerate(arrays)):
            return 0
        for number, one in enumerate(arrays):
            one.copy_(found[f"{number}"])
        return steps

    def keep(self, arrays: Sequence[torch.Tensor], steps: int, *, end: bool) -> None:
        """Writes arrays at the end of an epoch, or where the last time is a minute ago.

        Args:
            arrays: As for :meth:`restore`.
            steps: Steps taken.
            end: Whether an epoch has ended.
        """
        if not end and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _EVERY
        named = {f"{number}": one.contiguous() for number, one in enumerate(arrays)}
        write_arrays(self._path, named, {**self._about, _STEPS: f"{steps}"})

    def remove(self) -> None:
        """Removes the file of a fit that has ended."""
        self._path.unlink(missing_ok=True)
