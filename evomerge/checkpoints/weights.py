"""Which files of a model folder are its weights, and why a folder cannot be used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evomerge.errors import InputError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
# Training leftovers and tokenizer models also end in these and are no reason to think of pickled weights.
_NOT_WEIGHTS = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "scheduler.bin")


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a model folder, in the order of their names.

    Raises:
        InputError: If the folder is missing, has no config, is quantised, or holds no safetensors weights. The message
            says what is there instead and what to do.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}")
    problems = []
    config = folder / "config.json"
    if not config.is_file():
        problems.append(f"{str(folder)!r} has no config.json")
    else:
        problems += _quantised(folder, _json_object(config))
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    chosen: tuple[Path, ...] = ()
    if INDEX in names:
        chosen, missing = _indexed(folder, _json_object(folder / INDEX))
        problems += missing
    elif SINGLE in names:
        chosen = (folder / SINGLE,)
    else:
        problems.append(why_unusable(str(folder), names))
    if problems:
        raise InputError(problems)
    return chosen


def why_unusable(where: str, names: Iterable[str]) -> str:
    """Says why files with these names hold no weights that can be read, and what to do.

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
            f"{where!r} is a LoRA adapter, not a whole model. Merge it into its base first: "
            "PeftModel.from_pretrained(base, FOLDER).merge_and_unload().save_pretrained(NEW_FOLDER)"
        )
    others = [name for name in names if name.endswith(".safetensors")]
    return f"{where!r} has neither {SINGLE} nor {INDEX}" + (f"; it has {', '.join(others[:3])}" if others else "")


def _indexed(folder: Path, index: Mapping[str, Any]) -> tuple[tuple[Path, ...], list[str]]:
    listed = index.get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(file, str) for file in listed.values()):
        raise InputError(f"{str(folder / INDEX)!r} has no weight_map from tensor names to files")
    files = sorted(set(listed.values()))
    problems = []
    for file in files:
        if Path(file).name != file:
            problems.append(f"{INDEX} in {str(folder)!r} names {file!r}; files must lie in the folder itself")
        elif not (folder / file).is_file():
            problems.append(f"{str(folder / file)!r} is missing; {INDEX} names it. Fetch it again")
    return tuple(folder / file for file in files), problems


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


def _json_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON: {error}") from error
    if not isinstance(data, dict):
        raise InputError(f"{str(path)!r} holds a {type(data).__name__}; expected an object")
    return data
