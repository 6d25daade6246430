"""A recipe as a model folder that transformers loads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from evomerge.checkpoints import appearing, give_config, hold_back_config, unreadable_companions, write_shards
from evomerge.errors import InputError
from evomerge.merging.blueprint import check_loadable
from evomerge.merging.buffers import Buffer
from evomerge.merging.checkpoints import Checkpoints, matching_of
from evomerge.merging.companions import write_companions
from evomerge.merging.footprint import export_bytes
from evomerge.merging.loop import Merger
from evomerge.merging.plan.unbuilt import unbuilt
from evomerge.recipe import Recipe
from evomerge.settings import parse_size


def merge_to_folder(
    recipe: Recipe,
    out: str | Path,
    *,
    merger: Merger | None = None,
    max_shard_size: str | int = "5GB",
    texts: Mapping[str, str] | None = None,
) -> Path:
    """Builds a recipe's model on disk.

    The folder appears when it is complete: everything is written to a folder beside it, which is then renamed, and
    removed if anything goes wrong; what a killed process leaves, the next one for the same folder removes. Config,
    generation config, tokenizer and chat template are the reference checkpoint's own, byte for byte, but for the
    config's ``dtype`` and a ``use_cache`` that training left off.

    Args:
        recipe: The recipe.
        out: The new folder. It must not exist, or be empty.
        merger: Of the recipe's opened checkpoints; these are opened here if None, without a connection.
        max_shard_size: Most bytes in one weight file, such as ``5GB``.
        texts: Further files by name, such as the model card ``README.md`` or the recipe as another tool writes it.

    Returns:
        ``out``, as an absolute path.

    Raises:
        InputError: If the folder is taken, the disk is too small, or the recipe or its checkpoints cannot be used.
        NonFinite: If a merged tensor is not finite.
    """
    out = Path(out).expanduser().absolute()
    shard_bytes = parse_size(max_shard_size)
    problems = [*destination_problems(out), *unbuilt(recipe)]
    if problems:
        raise InputError(problems)
    merger = Merger(Checkpoints.open(recipe, offline=True)) if merger is None else merger
    checkpoints = merger.checkpoints
    depth, how = not recipe.has_layers, matching_of(recipe)
    checkpoints.compare(same_depth=depth, unmatched=recipe.unmatched, matching=how).check()
    plan = merger.plan(recipe)
    check_space(out, export_bytes(plan.specs))
    with appearing(out) as folder:
        write_companions(checkpoints.reference, plan.outputs, folder, recipe.out_dtype)
        check_companions(folder, checkpoints.reference.path)
        check_loadable(merger.as_source(recipe))
        hold_back_config(folder)
        recipe.save(folder / "recipe.json")
        for name, text in (texts or {}).items():
            (folder / name).write_text(text, encoding="utf-8")
        tensors = merger.stream(recipe, memory=Buffer(merger.device))
        write_shards(folder, plan.specs, tensors, max_shard_bytes=shard_bytes)
        give_config(folder)
    return out


def check_companions(folder: Path, origin: Path) -> None:
    """Refuses what transformers could not load, before any weight is merged."""
    problems = unreadable_companions(folder)
    if problems:
        raise InputError([problem.replace(str(folder), str(origin)) for problem in problems])


def destination_problems(out: Path) -> list[str]:
    """Reasons why a folder cannot be made, one sentence each."""
    if out.is_dir() and any(out.iterdir()):
        return [f"{str(out)!r} exists and is not empty; name a new folder, or remove it first"]
    if out.exists() and not out.is_dir():
        return [f"{str(out)!r} is a file; name a new folder"]
    if out.is_symlink() and not out.exists():
        return [f"{str(out)!r} is a link that leads nowhere; remove it, or make the folder that it names"]
    home = _existing_parent(out.resolve())
    if not home.is_dir() or not os.access(home, os.W_OK):
        return [f"{str(out)!r} cannot be created: {str(home)!r} is not a folder that can be written to"]
    return []


def _existing_parent(out: Path) -> Path:
    return next(parent for parent in out.parents if parent.exists())


def check_space(out: Path, needed: int) -> None:
    """Refuses a folder that the disk has no room for."""
    free = shutil.disk_usage(_existing_parent(out.resolve())).free
    if free < needed:
        raise InputError(
            f"the merged model needs {needed / 1e9:.1f} GB at {str(out)!r}, but only {free / 1e9:.1f} GB are free"
        )
