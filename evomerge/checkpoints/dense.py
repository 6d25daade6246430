"""A checkpoint folder: its config, and its tensors as a lazy, memory-mapped mapping."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints.header import TensorInfo, read_header
from evomerge.checkpoints.heads import is_head, tied_heads
from evomerge.checkpoints.mapped import content_digest, is_aligned, map_file, mapped
from evomerge.checkpoints.weights import INDEX, weight_files
from evomerge.errors import InputError


class Checkpoint:
    """A model folder opened for reading.

    Opening reads the config and the headers of the weight files. Tensors are mapped when they are asked for; nothing
    is copied and the files are never written.

    Args:
        path: The folder.
        config: What its ``config.json`` says.
        tensors: All tensors, by name, in the order of the files.

    Attributes:
        path: The folder.
        config: What its ``config.json`` says.
        tensors: All tensors, by name.
        aliases: Tensors that only repeat another one because input and output embeddings are tied: name to name.
    """

    def __init__(self, path: Path, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> None:
        self.path = path
        self.config = config
        self.tensors = tensors
        self._storages: dict[Path, torch.UntypedStorage] = {}
        self._views: dict[str, torch.Tensor] = {}
        self.aliases: Mapping[str, str] = tied_heads(config, tensors, self.tensor)

    @classmethod
    def open(cls, path: str | Path) -> Checkpoint:
        """Opens a folder.

        Raises:
            InputError: If the folder is no checkpoint of ours to read, or one of its files is broken; all problems.
        """
        folder = Path(path).expanduser()
        files = weight_files(folder)
        problems: list[str] = []
        tensors: dict[str, TensorInfo] = {}
        for file in files:
            try:
                header = read_header(file)
            except InputError as error:
                problems += error.problems
                continue
            twice = sorted(header.keys() & tensors.keys())
            problems += [f"tensor {name!r} is in {tensors[name].file.name} and in {file.name}" for name in twice]
            tensors |= header
        if not problems:
            problems += _unlike_index(folder, tensors)
            problems += _quantised_tensors(folder, tensors)
        if problems:
            raise InputError(problems)
        return cls(folder, json.loads((folder / "config.json").read_text(encoding="utf-8")), tensors)

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
        info = self.tensors[name]
        if info.file not in self._storages:
            self._storages[info.file] = storage = map_file(info.file)
            # All at once: small objects that stay, made between large ones that go, would leave holes between these.
            inside = {other: entry for other, entry in self.tensors.items() if entry.file == info.file}
            self._views |= {other: mapped(storage, entry) for other, entry in inside.items() if is_aligned(entry)}
        return self._views[name] if name in self._views else mapped(self._storages[info.file], info)

    def in_place(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a view of the file, not a copy, which a tensor that is not aligned needs."""
        return is_aligned(self.tensors[name])

    def release(self) -> None:
        """Gives up the mapped files; they are mapped again when a tensor is asked for. Views that others hold stay.

        What was read through them counts as this process's memory until then, though the system could take it back.
        """
        self._storages.clear()
        self._views.clear()

    def __iter__(self) -> Iterator[str]:
        """Iterates over tensor names."""
        return iter(self.tensors)

    @property
    def tied(self) -> bool:
        """Whether the output embeddings are the input embeddings."""
        return not self.heads_of_their_own

    @property
    def heads_of_their_own(self) -> tuple[str, ...]:
        """Names of output embeddings that hold values of their own."""
        return tuple(name for name in self.tensors if is_head(name) and name not in self.aliases)

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type that most weights are stored in."""
        counts: Counter[torch.dtype] = Counter()
        for info in self.tensors.values():
            if info.dtype.is_floating_point:
                counts[info.dtype] += info.numel
        return counts.most_common(1)[0][0]

    def fingerprint(self) -> str:
        """SHA-256 over all names, types, shapes and values, whatever files they are spread over."""
        return content_digest(self.tensors, self.tensor)


def _unlike_index(folder: Path, tensors: Mapping[str, TensorInfo]) -> list[str]:
    index = folder / INDEX
    if not index.exists():
        return []
    listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    return [
        f"{str(folder / file)!r} should hold tensor {name!r}, says {INDEX}, but does not"
        for name, file in listed.items()
        if name not in tensors or tensors[name].file.name != Path(file).name
    ]


def _quantised_tensors(folder: Path, tensors: Mapping[str, TensorInfo]) -> list[str]:
    found = sorted({str(i.dtype).removeprefix("torch.") for i in tensors.values() if i.dtype.itemsize == 1} - {"bool"})
    if found:
        return [
            f"{str(folder)!r} is quantised: it holds {', '.join(found)} tensors. Merge the bf16, fp16 or fp32 "
            "original and quantise the result"
        ]
    if not any(info.dtype.is_floating_point for info in tensors.values()):
        return [f"{str(folder)!r} holds no floating-point tensor to merge"]
    return []
