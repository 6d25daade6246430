"""A source of tensors as a model folder, with the files beside the weights of the recipe that it is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from evomerge import methods
from evomerge.checkpoints import CheckpointSource, appearing, give_config, hold_back_config, stored_dtype, write_shards
from evomerge.merging.blueprint import check_loadable
from evomerge.merging.companions import write_companions
from evomerge.merging.finiteness import NonFinite
from evomerge.merging.folder import check_companions, check_space
from evomerge.merging.footprint import export_bytes
from evomerge.merging.plan.outputs import DTYPES, Outputs
from evomerge.recipe import Group, ModelRef, ParameterGroups, Recipe


def copy_recipe(ref: ModelRef, source: CheckpointSource) -> Recipe:
    """The recipe whose model is one model as it is, in the type that it is stored in."""
    stored = stored_dtype(source)
    name = next((name for name, dtype in DTYPES.items() if dtype == stored), "float32")
    options = methods.load("passthrough").resolve({})
    groups = ParameterGroups((Group("all"),))
    return Recipe("passthrough", options, (ref,), None, groups, {"scale": np.ones(1)}, out_dtype=name)


def write_source(
    source: CheckpointSource,
    outputs: Outputs,
    recipe: Recipe,
    out: Path,
    *,
    max_shard_bytes: int,
    texts: Mapping[str, str] | None = None,
) -> Path:
    """Writes a source as a folder that transformers loads.

    The folder appears when it is complete. It is checked before a weight is written that transformers can build the
    model of its config and finds every weight of it.

    Args:
        source: The tensors and the config.
        outputs: Of the recipe that the source is made from: tokenizer, templates and whatever else lies beside weights.
        recipe: That recipe.
        out: The new folder.
        max_shard_bytes: Most bytes in one weight file.
        texts: Further files by name.

    Raises:
        InputError: If transformers could not load the folder, or the disk is too small.
        NonFinite: If a tensor is not finite.
    """
    check_space(out, export_bytes(source.specs))
    with appearing(out) as folder:
        write_companions(outputs.template, replace(outputs, config=source.config), folder, recipe.out_dtype)
        check_companions(folder, outputs.template.path)
        check_loadable(source)
        hold_back_config(folder)
        for name, text in (texts or {}).items():
            (folder / name).write_text(text, encoding="utf-8")
        write_shards(
            folder, source.specs, ((name, _finite(source, name)) for name in source.specs),
            max_shard_bytes=max_shard_bytes,
        )  # fmt: skip
        give_config(folder)
    return out


def _finite(source: CheckpointSource, name: str) -> torch.Tensor:
    tensor = source.tensor(name)
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise NonFinite(name, tensor.dtype)
    return tensor
