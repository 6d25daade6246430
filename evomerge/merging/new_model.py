"""A model that is no recipe's, as a model folder that transformers loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints import (
    CheckpointSource,
    TensorSpec,
    appearing,
    give_config,
    hold_back_config,
    stored_dtype,
    write_shards,
)
from evomerge.errors import InputError
from evomerge.merging.companions import write_companions
from evomerge.merging.finiteness import NonFinite
from evomerge.merging.folder import check_companions, check_space, destination_problems
from evomerge.merging.footprint import export_bytes
from evomerge.settings import parse_size


@dataclass(frozen=True)
class NewModel:
    """A model that is written.

    Attributes:
        template: The checkpoint whose tokenizer and other files it gets.
        config: The content of its ``config.json``.
        specs: Type and shape of each tensor by name, in the order of the files.
        tensors: Gives all of them, in any order.
    """

    template: CheckpointSource
    config: Mapping[str, Any]
    specs: Mapping[str, TensorSpec]
    tensors: Callable[[], Iterator[tuple[str, torch.Tensor]]]

    @property
    def tokenizer(self) -> None:
        """None: the template's own."""

    @property
    def chat_templates(self) -> None:
        """None: the template's own."""


def model_to_folder(
    model: NewModel, out: str | Path, *, max_shard_size: str | int = "5GB", texts: Mapping[str, str] | None = None
) -> Path:
    """Writes a model as `merge_to_folder` writes a recipe's: the folder appears when it is complete.

    Args:
        model: The model.
        out: The new folder. It must not exist, or be empty.
        max_shard_size: Most bytes in one weight file, such as ``5GB``.
        texts: Further files by name.

    Returns:
        ``out``, as an absolute path.

    Raises:
        InputError: If the folder is taken, the disk is too small, or the template's files cannot be read.
        NonFinite: If a tensor is not finite.
    """
    out = Path(out).expanduser().absolute()
    shard_bytes = parse_size(max_shard_size)
    if problems := destination_problems(out):
        raise InputError(problems)
    check_space(out, export_bytes(model.specs))
    with appearing(out) as folder:
        dtype = str(stored_dtype(model.template)).removeprefix("torch.")
        write_companions(model.template, model, folder, dtype)
        check_companions(folder, model.template.path)
        hold_back_config(folder)
        for name, text in (texts or {}).items():
            (folder / name).write_text(text, encoding="utf-8")
        write_shards(folder, model.specs, _finite(model), max_shard_bytes=shard_bytes)
        give_config(folder)
    return out


def _finite(model: NewModel) -> Iterator[tuple[str, torch.Tensor]]:
    for name, tensor in model.tensors():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NonFinite(name, tensor.dtype)
        yield name, tensor.contiguous()
