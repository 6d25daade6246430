"""A folder of safetensors files that hold every weight of a model, as a lazy, memory-mapped source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch

from evomerge.checkpoints.computed import is_computed
from evomerge.checkpoints.files.counts import counts_beyond
from evomerge.checkpoints.heads import tied_heads
from evomerge.checkpoints.quantised import quantised_tensors
from evomerge.checkpoints.tensor_files.header import TensorInfo, read_header
from evomerge.checkpoints.tensor_files.mapped import content_digest, is_aligned, map_file, mapped
from evomerge.checkpoints.unusable import INDEX
from evomerge.checkpoints.weights import read_index, weight_files
from evomerge.errors import InputError

_LONGEST = 300  # characters of a name in a message
_SHOWN = 5  # of the tensors that an index places wrongly


class DenseCheckpoint:
    """A whole model's folder opened for reading.

    Opening reads the config and the headers of the weight files. Tensors are mapped when they are asked for; nothing
    is copied and the files are never written. See :class:`~evomerge.checkpoints.source.CheckpointSource`.

    Args:
        path: The folder.
        config: The content of its ``config.json``.
        specs: All tensors, by name, in the order of the files.
    """

    def __init__(self, path: Path, config: Mapping[str, Any], specs: Mapping[str, TensorInfo]) -> None:
        self.path = path
        self.config = config
        self.specs = specs
        self._storages: dict[Path, torch.UntypedStorage] = {}
        self._views: dict[str, torch.Tensor] = {}
        self.aliases: Mapping[str, str] = tied_heads(config, specs, self.tensor)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens a folder.

        Raises:
            InputError: If the folder holds no weights that can be read, or one of its files is broken; all problems.
        """
        config, files = weight_files(folder)
        problems: list[str] = []
        specs: dict[str, TensorInfo] = {}
        for file in files:
            try:
                header = read_header(file)
            except InputError as error:
                problems += error.problems
                continue
            twice = sorted(header.keys() & specs.keys())
            problems += [f"tensor {name!r} is in {str(specs[name].file)!r} and in {str(file)!r}" for name in twice]
            specs |= header
        if not problems:
            problems += _unlike_index(folder, specs)
            problems += counts_beyond(folder / "config.json", config, specs)
            problems += _unmergeable(folder, specs)
        if problems:
            raise InputError(problems)
        return cls(folder, config, specs)

    def tensor(self, name: str) -> torch.Tensor:
        """Maps one tensor.

        Args:
            name: Its name on disk.

        Returns:
            A view of the mapped file, to be read only: writing to it changes neither the file nor other processes,
            but what this process reads next.

        Raises:
            KeyError: If there is no such tensor.
        """
        info = self.specs[name]
        if info.file not in self._storages:
            self._storages[info.file] = storage = map_file(info.file)
            # All at once: small objects that stay, made between large ones that go, would leave holes between these.
            inside = {other: entry for other, entry in self.specs.items() if entry.file == info.file}
            self._views |= {other: mapped(storage, entry) for other, entry in inside.items() if is_aligned(entry)}
        return self._views[name] if name in self._views else mapped(self._storages[info.file], info)

    def in_place(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a view of the file, not a copy, which a tensor that is not aligned needs."""
        return is_aligned(self.specs[name])

    def file(self, name: str) -> Path:
        """The file that holds a tensor."""
        return self.specs[name].file

    def fingerprint(self) -> str:
        """SHA-256 over all names, types, shapes and values, whatever files they are spread over."""
        return content_digest(self.specs, self.tensor)

    def release(self) -> None:
        """Gives up the mapped files; they are mapped again when a tensor is asked for. Views that others hold stay.

        What was read through them counts as this process's memory until then, though the system could take it back.
        """
        self._storages.clear()
        self._views.clear()


def _unlike_index(folder: Path, specs: Mapping[str, TensorInfo]) -> list[str]:
    if not (folder / INDEX).exists():
        return []
    listed = read_index(folder)
    absent = [name for name, file in listed.items() if name not in specs or specs[name].file.name != file]
    problems = [
        f"{str(folder / listed[name])!r}, says {INDEX}, should hold tensor {name[:_LONGEST]!r}, but does not"
        for name in absent[:_SHOWN]
    ]
    if len(absent) > _SHOWN:
        problems.append(
            f"{str(folder / INDEX)!r} names {len(absent) - _SHOWN} more tensors that are not where it says. Fetch the "
            "folder again"
        )
    return problems


def _unmergeable(folder: Path, specs: Mapping[str, TensorInfo]) -> list[str]:
    weights = [name for name, info in specs.items() if not is_computed(name, info)]
    if quantised := quantised_tensors(folder, specs, weights):
        return quantised
    if not any(specs[name].dtype.is_floating_point for name in weights):
        return [f"{str(folder)!r} holds no floating-point tensor to merge"]
    return []
