"""The files of a model folder beside its weights: config, tokenizer, templates."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from evomerge.checkpoints import TEMPLATES, CheckpointSource, read_object
from evomerge.errors import InputError
from evomerge.merging.vocabulary.merged import MergedTokenizer
from evomerge.merging.vocabulary.stored import is_tokenizer_file
from evomerge.merging.vocabulary.templates import write_templates

_COPIED = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".py")
_LEGAL = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")
# Ours to write, or about weights and training that the merged model does not have.
_OURS = ("config.json", "recipe.json", "mixture.json", "mergekit_config.yml", "README.md")
_FOREIGN = ("adapter_config.json", "trainer_state.json", "all_results.json", "train_results.json", "eval_results.json")
# Records of the reference's own training. They stay among the companions, by which a run is known, but are not copied.
_TRAINING = ("training.json", "training_args.json", "trainer_log.json")
_FOLDERS = (TEMPLATES,)
_GENERATION = "generation_config.json"
# Names the folders of a sentence encoder's further modules: how token vectors are pooled, what follows.
_MODULES = "modules.json"


class Described(Protocol):
    """A model as far as the files beside its weights say something of it."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The content of its ``config.json``."""
        ...

    @property
    def tokenizer(self) -> MergedTokenizer | None:
        """Its tokenizer; None for the reference's own."""
        ...

    @property
    def chat_templates(self) -> Mapping[str, str] | None:
        """Its chat templates by name; None for its tokenizer's own."""
        ...


def write_companions(reference: CheckpointSource, outputs: Described, folder: Path, out_dtype: str) -> None:
    """Writes all that makes a model folder besides weights.

    Args:
        reference: Whose files to copy, byte for byte where the merged model's are no others.
        outputs: What the merged model is: its config, its tokenizer, its chat templates.
        folder: Where to.
        out_dtype: The type that the weights there are stored in.

    Raises:
        InputError: If the tokenizer cannot be written.
    """
    tokenizer = outputs.tokenizer
    for path in sorted(reference.path.iterdir()):
        if path.is_dir() and path.name in _FOLDERS and tokenizer is None:
            shutil.copytree(path, folder / path.name)
    for path in _module_files(reference):
        place = folder / path.relative_to(reference.path)
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, place)
    for path in companions(reference):
        if tokenizer is not None and is_tokenizer_file(path.name):
            continue
        if path.name in _TRAINING or path.name.endswith("_results.json"):
            continue
        shutil.copyfile(path, folder / path.name)
    if tokenizer is not None:
        tokenizer.write(folder)
        _rewrite(folder / _GENERATION, lambda content: tokenizer.special_ids(_GENERATION, content))
    if outputs.chat_templates is not None:
        write_templates(outputs.chat_templates, folder)
    source = reference.path / "config.json"
    own = copy.deepcopy(dict(outputs.config))
    _own_fields(own, out_dtype)
    if own != json.loads(source.read_text(encoding="utf-8")):
        text = json.dumps(own, indent=2, ensure_ascii=False) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
    else:
        shutil.copyfile(source, folder / "config.json")


def _module_files(reference: CheckpointSource) -> Iterator[Path]:
    """The files in the folders that a sentence encoder's list of modules names; weights there are not merged.

    Raises:
        InputError: If the list cannot be read.
    """
    path = reference.path / _MODULES
    if not path.is_file():
        return
    try:
        names = [str(module["path"]) for module in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path} is not a list of modules with a path each; fetch it again") from error
    for name in names:
        place = reference.path / name
        # The first module is the folder itself; none may lie elsewhere.
        if name not in ("", "..") and name == place.name and place.is_dir() and not place.is_symlink():
            yield from sorted(file for file in place.iterdir() if file.suffix in (*_COPIED, ".safetensors"))


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
