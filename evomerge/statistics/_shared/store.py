"""The folder of finished statistics: ``FOLDER/KEY/{statistic.json, window-000.safetensors, ...}``.

Windows are written under a temporary name and renamed; ``statistic.json`` says what the arrays are of, and that all of
them are there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints import TensorInfo, map_arrays, read_header, read_object
from evomerge.errors import InputError

DESCRIPTION = "statistic.json"
ORIGIN = "evomerge.statistic"
_KEY = re.compile(r"[0-9a-f]{64}")


class StatisticsFolder:
    """Finished statistics, read by key and by the tensor's name on disk.

    Args:
        path: The folder; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._about: dict[str, Mapping[str, Any]] = {}
        self._files: dict[str, dict[str, Path]] = {}
        self._mapped: dict[Path, dict[str, torch.Tensor]] = {}

    def keys(self) -> tuple[str, ...]:
        """Keys of the statistics that are there, complete or not, sorted."""
        if not self.path.is_dir():
            return ()
        found = (path.name for path in self.path.iterdir() if (path / DESCRIPTION).is_file())
        return tuple(sorted(name for name in found if _KEY.fullmatch(name)))

    def about(self, key: str) -> Mapping[str, Any]:
        """The content of a statistic's ``statistic.json``.

        Returns:
            ``key``, what the key is the digest of; ``complete``; once it is: ``sequences`` and ``tokens``, ``aliases``
            (name to the name that holds its array), ``absent`` (names without an array), ``transposed`` (names of
            matrices stored as (inputs, outputs)), ``notes``, ``versions``, ``threads``.

        Raises:
            InputError: If there is none of that key, or it cannot be read.
        """
        if key not in self._about:
            found = read_object(self.path / key / DESCRIPTION)
            if not found.get("complete"):
                return found
            self._about[key] = found
        return self._about[key]

    def missing(self, keys: Iterable[str]) -> tuple[str, ...]:
        """The keys whose statistics are not there, or not complete."""
        return tuple(key for key in dict.fromkeys(keys) if not self._complete(key))

    def tensor(self, key: str, name: str) -> torch.Tensor | None:
        """The array of a tensor, mapped, to be read only; None where the tensor has none.

        Args:
            key: The statistic's key.
            name: The tensor's name on disk.

        Raises:
            InputError: If the statistic is not there, not complete, or its files are broken.
        """
        if not self._complete(key):
            raise InputError(f"statistic {key} is not in {str(self.path)!r}; collect it with `evomerge statistics`")
        files = self._places(key)
        stored = self.about(key)["aliases"].get(name, name)
        if stored not in files:
            return None
        path = files[stored]
        if path not in self._mapped:
            self._mapped[path] = map_arrays(path, {ORIGIN: key})
        return self._mapped[path][stored]

    def transposed(self, key: str, name: str) -> bool:
        """Whether a tensor is a matrix that is stored as (inputs, outputs)."""
        return name in self.about(key)["transposed"]

    def release(self) -> None:
        """Lets go of the files that are mapped; they are mapped again when they are read."""
        self._mapped.clear()

    def bytes(self, key: str) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in (self.path / key).glob("*"))

    def remove(self, key: str) -> None:
        """Removes a statistic."""
        shutil.rmtree(self.path / key)
        self._about.pop(key, None)
        for path in self._files.pop(key, {}).values():
            self._mapped.pop(path, None)

    def _complete(self, key: str) -> bool:
        try:
            return bool(self.about(key).get("complete"))
        except InputError:
            return False

    def _places(self, key: str) -> dict[str, Path]:
        if key not in self._files:
            self._files[key] = {name: info.file for name, info in headers(self.path / key).items()}
        return self._files[key]


def headers(folder: Path) -> dict[str, TensorInfo]:
    """The arrays of a statistic's windows, from their headers."""
    return {name: info for path in sorted(folder.glob("window-*")) for name, info in read_header(path).items()}


def described_text(about: Mapping[str, Any]) -> str:
    """The text of a ``statistic.json``."""
    return json.dumps(about, indent=2, sort_keys=True) + "\n"
