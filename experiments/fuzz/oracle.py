"""What safetensors and transformers say of files that a command has accepted, and of the model that it has made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import safetensors
import transformers

from experiments.fuzz.material import MODELS


def refusals(verb: str, folder: Path) -> list[str]:
    """Why others do not accept what a command has accepted, one sentence each.

    Args:
        verb: ``merge``, whose result must load, or another one, whose reference must.
        folder: Where the command ran.
    """
    made = folder / "out" if verb == "merge" else folder / "base"
    found = []
    for model in (*MODELS, *(["out"] if verb == "merge" else [])):
        for path in sorted((folder / model).glob("*.safetensors")):
            found += _tried(f"safetensors refuses {path.relative_to(folder)}", lambda path=path: _open(path))
    found += _tried("transformers cannot load the model", lambda: _load(made))
    if (made / "tokenizer.json").exists():
        found += _tried("transformers cannot load the tokenizer", lambda: _tokenize(made))
    if verb == "merge" and (made / "generation_config.json").exists():
        read = transformers.GenerationConfig.from_pretrained
        found += _tried("transformers cannot read the generation settings", lambda: read(made, local_files_only=True))
    if (folder / "hacked").exists():
        found.append("a program from the recipe has run")
    return found


def _tried(what: str, attempt: Callable[[], object]) -> list[str]:
    try:
        attempt()
    except Exception as error:
        return [f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"]
    return []


def _open(path: Path) -> None:
    with safetensors.safe_open(path, "pt") as opened:
        for name in opened.keys():  # noqa: SIM118 - it is no mapping
            opened.get_slice(name).get_shape()


def _load(folder: Path) -> None:
    _, info = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    lost = {
        name: values
        for name, values in info.items()
        if values and name in ("missing_keys", "mismatched_keys", "error_msgs")
    }
    if lost:
        raise ValueError(str(lost))


def _tokenize(folder: Path) -> None:
    transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)("a")
