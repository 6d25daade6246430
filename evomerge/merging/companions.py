"""The files of a model folder beside its weights: config, tokenizer, templates."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evomerge.checkpoints import CheckpointSource, read_object
from evomerge.merging.vocabulary.merged import MergedTokenizer
from evomerge.merging.vocabulary.stored import TEMPLATES, is_tokenizer_file

_COPIED = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".py")
_LEGAL = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")
# Ours to write, or about weights and training that the merged model does not have.
_OURS = ("config.json", "recipe.json", "mergekit_config.yml", "README.md")
_FOREIGN = ("adapter_config.json", "trainer_state.json", "all_results.json", "train_results.json", "eval_results.json")
# Records of the reference's own training. They stay among the companions, by which a run is known, but are not copied.
_TRAINING = ("training.json", "training_args.json", "trainer_log.json")
_FOLDERS = (TEMPLATES,)
_GENERATION = "generation_config.json"


def copy_companions(
    reference: CheckpointSource,
    folder: Path,
    config: Mapping[str, Any],
    out_dtype: str,
    tokenizer: MergedTokenizer | None = None,
) -> None:
    """Copies all that makes a model folder besides weights, and writes its config.

    Args:
        reference: Whose files to copy.
        folder: Where to.
        config: The config of the model. Where it is the reference's own, the file is copied byte for byte.
        out_dtype: The type that the weights there are stored in.
        tokenizer: The model's tokenizer, whose files take the place of the reference's.

    Raises:
        InputError: If the tokenizer cannot be written.
    """
    for path in sorted(reference.path.iterdir()):
        if path.is_dir() and path.name in _FOLDERS and tokenizer is None:
            shutil.copytree(path, folder / path.name)
    for path in companions(reference):
        if tokenizer is not None and is_tokenizer_file(path.name):
            continue
        if path.name in _TRAINING or path.name.endswith("_results.json"):
            continue
        shutil.copyfile(path, folder / path.name)
    if tokenizer is not None:
        tokenizer.write(folder)
        _rewrite(folder / _GENERATION, lambda content: tokenizer.special_ids(_GENERATION, content))
    source = reference.path / "config.json"
    own = copy.deepcopy(dict(config))
    _own_fields(own, out_dtype)
    if own != json.loads(source.read_text(encoding="utf-8")):
        text = json.dumps(own, indent=2, ensure_ascii=False) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
    else:
        shutil.copyfile(source, folder / "config.json")


def _rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Changes a JSON file, if it is there and there is anything to change."""
    if not path.is_file():
        return
    content = read_object(path)
    changed = change(content)
    if changed != content:
        path.write_text(json.dumps(changed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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


def _own_fields(config: dict[str, Any], out_dtype: str) -> None:
    """Sets the fields that are about this copy of the weights."""
    parts = [config, *(value for name, value in config.items() if name.endswith("_config") and isinstance(value, dict))]
    for part in parts:
        for name in ("dtype", "torch_dtype"):
            if isinstance(part.get(name), str):
                part[name] = out_dtype
        if part.get("use_cache") is False:
            part["use_cache"] = True
    if "dtype" not in config and "torch_dtype" not in config:
        config["dtype"] = out_dtype
