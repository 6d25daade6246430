"""A recipe as a model folder that transformers loads."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml

from evomerge.checkpoints import CheckpointSource, parse_size, write_shards
from evomerge.errors import InputError
from evomerge.merging.footprint import export_bytes
from evomerge.merging.loop import Buffer, Merger
from evomerge.merging.mergekit import mergekit_config
from evomerge.merging.opened import Checkpoints
from evomerge.merging.unbuilt import unbuilt
from evomerge.recipe import Recipe

_COPIED = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".py")
_LEGAL = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")
# Ours to write, or about weights and training that the merged model does not have.
_OURS = ("config.json", "recipe.json", "mergekit_config.yml", "README.md")
_FOREIGN = ("adapter_config.json", "trainer_state.json", "all_results.json", "train_results.json", "eval_results.json")
# Records of the reference's own training. They stay among the companions, by which a run is known, but are not copied.
_TRAINING = ("training.json", "training_args.json", "trainer_log.json")
_FOLDERS = ("additional_chat_templates",)


def merge_to_folder(
    recipe: Recipe,
    out: str | Path,
    *,
    checkpoints: Checkpoints | None = None,
    max_shard_size: str | int = "5GB",
    card: str | None = None,
    device: torch.device | str = "cpu",
) -> Path:
    """Builds a recipe's model on disk.

    The folder appears when it is complete: everything is written to a folder beside it, which is then renamed, and
    removed if anything goes wrong. Config, generation config, tokenizer and chat template are the reference
    checkpoint's own, byte for byte, but for the config's ``dtype`` and a ``use_cache`` that training left off.

    Args:
        recipe: What to build.
        out: The new folder. It must not exist, or be empty.
        checkpoints: The recipe's opened checkpoints; opened here if None, without a connection.
        max_shard_size: Most bytes in one weight file, such as ``5GB``.
        card: Text of the model card ``README.md``; none is written if None.
        device: Where merging is computed.

    Returns:
        ``out``, as an absolute path.

    Raises:
        InputError: If the folder is taken, the disk is too small, or the recipe or its checkpoints cannot be used.
        NonFinite: If a merged tensor is not finite.
    """
    out = Path(out).expanduser().absolute()
    shard_bytes = parse_size(max_shard_size)
    problems = [*_destination_problems(out), *unbuilt(recipe)]
    if problems:
        raise InputError(problems)
    checkpoints = Checkpoints.open(recipe, offline=True) if checkpoints is None else checkpoints
    checkpoints.compare().check()
    merger = Merger(checkpoints, device=device)
    specs = merger.specs(recipe)
    _check_space(
        out, sum(spec.nbytes for spec in specs.values()), export_bytes(checkpoints.reference, recipe.out_dtype)
    )
    with _appearing(out) as folder:
        copy_companions(checkpoints.reference, folder, recipe.out_dtype)
        _write_recipe(recipe, checkpoints, folder)
        if card is not None:
            (folder / "README.md").write_text(card, encoding="utf-8")
        write_shards(folder, specs, merger.stream(recipe, memory=Buffer(merger.device)), max_shard_bytes=shard_bytes)
    return out


def _write_recipe(recipe: Recipe, checkpoints: Checkpoints, folder: Path) -> None:
    """Writes the recipe, and once more in mergekit's dialect where that can express it."""
    recipe.save(folder / "recipe.json")
    config = mergekit_config(recipe, checkpoints.merged_names)
    if config is not None:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        (folder / "mergekit_config.yml").write_text(text, encoding="utf-8")


def copy_companions(reference: CheckpointSource, folder: Path, out_dtype: str) -> None:
    """Copies all that makes a model folder besides weights, and writes its config.

    Args:
        reference: Whose files to copy.
        folder: Where to.
        out_dtype: What the weights there are stored in.
    """
    for path in sorted(reference.path.iterdir()):
        if path.is_dir() and path.name in _FOLDERS:
            shutil.copytree(path, folder / path.name)
    for path in companions(reference):
        if path.name in _TRAINING or path.name.endswith("_results.json"):
            continue
        shutil.copyfile(path, folder / path.name)
    source = reference.path / "config.json"
    config = json.loads(source.read_text(encoding="utf-8"))
    if _own_fields(config, out_dtype):
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
    else:
        shutil.copyfile(source, folder / "config.json")


def companions(reference: CheckpointSource) -> list[Path]:
    """The files of a checkpoint's folder that go along with its weights, unchanged: tokenizer, templates, settings."""
    paths = sorted(reference.path.iterdir())
    return [path for path in paths if path.is_file() and _is_companion(path.name, reference.config)]


def _is_companion(name: str, config: Any) -> bool:
    if name in _OURS or name in _FOREIGN or name.startswith(".") or name.endswith(".index.json"):
        return False
    if name.endswith(".py"):
        return "auto_map" in config  # code that the config refers to; it runs only where people allow it
    return name.endswith(_COPIED) or name.upper().startswith(_LEGAL)


def _own_fields(config: dict[str, Any], out_dtype: str) -> bool:
    """Sets the fields that are about this copy of the weights; returns whether that changed anything."""
    before = json.dumps(config)
    parts = [config, *(value for name, value in config.items() if name.endswith("_config") and isinstance(value, dict))]
    for part in parts:
        for name in ("dtype", "torch_dtype"):
            if isinstance(part.get(name), str):
                part[name] = out_dtype
        if part.get("use_cache") is False:
            part["use_cache"] = True
    if "dtype" not in config and "torch_dtype" not in config:
        config["dtype"] = out_dtype
    return json.dumps(config) != before


def _destination_problems(out: Path) -> list[str]:
    if out.is_dir() and any(out.iterdir()):
        return [f"{str(out)!r} exists and is not empty; name a new folder, or remove it first"]
    if out.exists() and not out.is_dir():
        return [f"{str(out)!r} is a file; name a new folder"]
    home = _existing_parent(out)
    if not home.is_dir() or not os.access(home, os.W_OK):
        return [f"{str(out)!r} cannot be created: {str(home)!r} is not a folder that can be written to"]
    return []


def _existing_parent(out: Path) -> Path:
    return next(parent for parent in out.parents if parent.exists())


def _check_space(out: Path, weights: int, total: int) -> None:
    free = shutil.disk_usage(_existing_parent(out)).free
    needed = max(weights, total)
    if free < needed:
        raise InputError(
            f"the merged model needs {needed / 1e9:.1f} GB at {str(out)!r}, but only {free / 1e9:.1f} GB are free"
        )


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """Gives a folder beside ``out`` to write to, which becomes ``out`` at the end or disappears."""
    created = [parent for parent in out.parents if not parent.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    folder.mkdir()
    try:
        yield folder
        if out.exists():
            out.rmdir()
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in created:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()
        raise
