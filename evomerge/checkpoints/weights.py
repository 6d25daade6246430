"""The weight files of a model folder, and the reasons why a folder has none that can be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evomerge.checkpoints.json_files import read_object
from evomerge.errors import InputError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
# Training leftovers and tokenizer models also end in these and are no reason to think of pickled weights.
_NOT_WEIGHTS = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "scheduler.bin")


def weight_files(folder: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The config of a model folder, and its safetensors files in the order of their names.

    Raises:
        InputError: If the folder is missing, has no config, is quantised, or holds no safetensors weights. The message
            says what is there instead and what to do.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}")
    problems: list[str] = []
    config: dict[str, Any] = {}
    try:
        config = read_object(folder / "config.json")
        problems += [*_quantised(folder, config), *_redirections(folder, config)]
    except InputError as error:
        problems += error.problems if (folder / "config.json").exists() else [f"{str(folder)!r} has no config.json"]
    try:
        chosen = _chosen(folder)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    return config, chosen


def _chosen(folder: Path) -> tuple[Path, ...]:
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(f"{str(folder)!r} cannot be listed: {error.strerror or error}") from error
    if INDEX not in names and SINGLE not in names:
        raise InputError(why_unusable(str(folder), names))
    if INDEX not in names:
        return (folder / SINGLE,)
    listed = _listed(folder)
    if SINGLE in names and listed != [SINGLE]:
        # transformers loads the single file and never looks at the index.
        raise InputError(
            f"{str(folder)!r} holds two sets of weights: {SINGLE}, and {len(listed)} files that {INDEX} names "
            f"({', '.join(listed[:2])}{', ...' if len(listed) > 2 else ''}). Remove {SINGLE} if the shards are meant, "
            f"or {INDEX} if the single file is"
        )
    problems = []
    for file in listed:
        if Path(file).name != file:
            problems.append(f"{INDEX} in {str(folder)!r} names {file!r}; files must lie in the folder itself")
        elif file not in names:
            problems.append(f"{str(folder / file)!r} is missing; {INDEX} names it. Fetch it again")
    if problems:
        raise InputError(problems)
    return tuple(folder / file for file in listed)


def _listed(folder: Path) -> list[str]:
    listed = read_object(folder / INDEX).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(file, str) for file in listed.values()):
        raise InputError(f"{str(folder / INDEX)!r} has no weight_map from tensor names to files. Fetch it again")
    return sorted(set(listed.values()))


def why_unusable(where: str, names: Iterable[str]) -> str:
    """Explains why files with these names hold no weights that can be read, and what to do.

    Args:
        where: The folder or hub id, for the message.
        names: Names of its files, with none of the expected safetensors files among them.
    """
    names = sorted(names)
    pickled = [name for name in names if name.endswith(_PICKLED) and name not in _NOT_WEIGHTS]
    if pickled:
        return (
            f"{where!r} has pickled weights ({pickled[0]}), which can run any program when read, and are refused. Save "
            "them as safetensors where you trust them: AutoModelForCausalLM.from_pretrained(FOLDER)"
            ".save_pretrained(NEW_FOLDER)"
        )
    gguf = [name for name in names if name.endswith(".gguf")]
    if gguf:
        return (
            f"{where!r} has GGUF weights only ({gguf[0]}), which are usually quantised. Use the original safetensors "
            f"checkpoint, or dequantise it first: AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file={gguf[0]!r})"
            ".save_pretrained(NEW_FOLDER)"
        )
    if "adapter_config.json" in names:
        return (
            f"{where!r} is a LoRA adapter (adapter_config.json), not a whole model. Merge it into its base first: "
            "PeftModel.from_pretrained(base, FOLDER).merge_and_unload().save_pretrained(NEW_FOLDER)"
        )
    others = [name for name in names if name.endswith(".safetensors")]
    problem = f"{where!r} has neither {SINGLE} nor {INDEX}"
    if any(_SHARD.fullmatch(name) for name in others):
        return f"{problem}, but shards ({others[0]}), which need the index. Fetch it again"
    if others:
        return f"{problem}; it has {', '.join(others[:3])}. If that is the whole model, rename it to {SINGLE}"
    return problem


def _quantised(folder: Path, config: Mapping[str, Any]) -> list[str]:
    found = config.get("quantization_config") or config.get("compression_config")
    if found is None:
        text = config.get("text_config")
        found = text.get("quantization_config") if isinstance(text, dict) else None
    if not found:
        return []
    named = found.get("quant_method", found) if isinstance(found, dict) else found
    return [
        f"{str(folder)!r} is quantised: its config.json has quantization_config with quant_method {named!r}. Merge the "
        "bf16, fp16 or fp32 original and quantise the result"
    ]


def _redirections(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Fields that make transformers load another file than the usual one."""
    problems = []
    other = config.get("transformers_weights")
    if other is not None and not (other in (SINGLE, INDEX) and (folder / other).is_file()):
        problems.append(
            f"{str(folder)!r}: config.json names {other!r} as the weights (transformers_weights); only {SINGLE} or "
            f"{INDEX} are read here. Rename the file and remove the field"
        )
    if config.get("configuration_files"):
        problems.append(
            f"{str(folder)!r}: config.json names other config files by version (configuration_files), of which "
            "transformers picks one. Keep the one that is meant as config.json"
        )
    return problems
