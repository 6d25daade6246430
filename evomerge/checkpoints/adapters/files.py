"""An adapter's folder, opened: its configuration and its tensors, by PEFT's own names."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch

from evomerge.checkpoints.adapters.config import CONFIG, AdapterConfig, read_config
from evomerge.checkpoints.files.folder_files import file_problems
from evomerge.checkpoints.tensor_files.header import TensorInfo, read_header
from evomerge.checkpoints.tensor_files.mapped import content_digest, is_aligned, map_file, mapped
from evomerge.errors import InputError

WEIGHTS = "adapter_model.safetensors"
_PICKLED = "adapter_model.bin"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a LoRA adapter, and no whole model beside it: trainers copy the base's config along."""
    return (folder / CONFIG).is_file() and not any(folder.glob("model*.safetensors"))


class AdapterFiles:
    """The files of one adapter; tensors are mapped when they are asked for and never written.

    Args:
        path: The folder.
        config: Its configuration.
        specs: Its tensors by PEFT's names.
    """

    def __init__(self, path: Path, config: AdapterConfig, specs: Mapping[str, TensorInfo]) -> None:
        self.path = path
        self.config = config
        self.specs = specs
        self._storage: torch.UntypedStorage | None = None

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens a folder.

        Raises:
            InputError: If a file is missing, broken, or says something that a merge cannot do; all problems.
        """
        cls.refuse_whole_model(folder)
        if problems := file_problems(folder):
            raise InputError(problems)
        config, specs = AdapterConfig(folder / CONFIG), {}
        try:
            config = read_config(folder / CONFIG)
        except InputError as error:
            problems += error.problems
        try:
            specs = cls._read_header(folder)
        except InputError as error:
            problems += error.problems
        if problems:
            raise InputError(problems)
        return cls(folder, config, specs)

    @staticmethod
    def refuse_whole_model(folder: Path) -> None:
        """Refuses a folder that could mean both a whole model and an adapter.

        Raises:
            InputError: If it holds both.
        """
        whole = sorted(path.name for path in folder.glob("model*.safetensors"))
        if whole and (folder / "config.json").is_file():
            # transformers with peft installed would load the adapter's base and the adapter, and without it the other.
            raise InputError(
                f"{str(folder)!r} holds a whole model ({whole[0]}) and a LoRA adapter ({CONFIG}); which of the two is "
                f"loaded depends on what is installed. Move the adapter's files to a folder of their own"
            )

    @staticmethod
    def _read_header(folder: Path) -> dict[str, TensorInfo]:
        if not (folder / WEIGHTS).is_file() and (folder / _PICKLED).is_file():
            raise InputError(
                f"{str(folder)!r} has pickled weights ({_PICKLED}), which can run any program when read, and are "
                f"refused. Save the adapter as {WEIGHTS} where you trust it: "
                "PeftModel.from_pretrained(BASE, FOLDER).save_pretrained(NEW_FOLDER)"
            )
        specs = read_header(folder / WEIGHTS)
        whole = [name for name, spec in specs.items() if not spec.dtype.is_floating_point or spec.dtype.itemsize < 2]
        if whole:
            kind = str(specs[whole[0]].dtype).removeprefix("torch.")
            raise InputError(
                f"{str(folder / WEIGHTS)!r}: tensor {whole[0]!r} is of type {kind}; expected bfloat16, float16 or "
                "float32. Use the adapter as it was trained, before it was quantised"
            )
        if not specs:
            raise InputError(f"{str(folder / WEIGHTS)!r} holds no tensor, so the adapter changes nothing")
        return specs

    def tensor(self, name: str) -> torch.Tensor:
        """Maps one tensor, to be read only.

        Raises:
            KeyError: If there is no such tensor.
        """
        info = self.specs[name]
        if self._storage is None:
            self._storage = map_file(info.file)
        return mapped(self._storage, info)

    def in_place(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a view of the file."""
        return is_aligned(self.specs[name])

    def file(self, name: str) -> Path:
        """The file that holds a tensor."""
        return self.specs[name].file

    @functools.cached_property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(spec.nbytes for spec in self.specs.values())

    def fingerprint(self) -> str:
        """SHA-256 of the tensors and of what a merge needs of the configuration; the base is no part of it."""
        about = json.dumps(self.config.to_json(), sort_keys=True)
        return hashlib.sha256(f"{about} {content_digest(self.specs, self.tensor)}".encode()).hexdigest()

    def release(self) -> None:
        """Gives up the mapped file; it is mapped again when a tensor is asked for."""
        self._storage = None
