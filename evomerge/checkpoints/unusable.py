"""Explanations of folders that hold no weights that can be read: what they are instead, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
# Training leftovers and tokenizer models also end in these and are no reason to think of pickled weights.
_NOT_WEIGHTS = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "scheduler.bin")
_SHOWN = 3


def why_unusable(where: str, names: Iterable[str]) -> str:
    """Explains why files with these names hold no weights that can be read, and what to do.

    Args:
        where: The folder or hub id, for the message.
        names: Names of its files, with none of the expected safetensors files among them.
    """
    return f"{where!r} {_explanation(sorted(names))}"


def why_no_model(folder: Path) -> str:
    """Explains a folder without a config: an adapter, a run's folder, or one whose subfolders are the models.

    Args:
        folder: An existing folder.
    """
    names = sorted(path.name for path in folder.iterdir())
    where = repr(str(folder))
    if "manifest.json" in names and "records" in names:
        return f"{where} is a run's folder, not a model. Export a member of its front and name that folder"
    inner = sorted({path.parent for path in (*folder.glob("*/config.json"), *folder.glob("snapshots/*/config.json"))})
    if inner:
        shown = ", ".join(repr(str(path)) for path in inner[:_SHOWN])
        return f"{where} has no config.json, but folders in it have; name the one that is meant: {shown}"
    if "params.json" in names:
        return (
            f"{where} is in the format of the model's makers (params.json), not of transformers. Use the version for "
            "transformers, or convert it with the script that transformers has for that model"
        )
    if SINGLE in names or INDEX in names:
        return f"{where} has no config.json. Fetch it again"
    return f"{where} has no config.json; it {_explanation(names)}"


def _explanation(names: Sequence[str]) -> str:
    return next((text for explain in _KINDS if (text := explain(names))), f"has neither {SINGLE} nor {INDEX}")


def _pickled(names: Sequence[str]) -> str:
    found = [name for name in names if name.endswith(_PICKLED) and name not in _NOT_WEIGHTS]
    if not found:
        return ""
    return (
        f"has pickled weights ({found[0]}), which can run any program when read, and are refused. Save them as "
        "safetensors where you trust them: AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"
    )


def _gguf(names: Sequence[str]) -> str:
    found = [name for name in names if name.endswith(".gguf")]
    if not found:
        return ""
    return (
        f"has GGUF weights only ({found[0]}), which are usually quantised. Use the original safetensors checkpoint, "
        f"or dequantise it first: AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file={found[0]!r})"
        ".save_pretrained(NEW_FOLDER)"
    )


def _foreign(names: Sequence[str]) -> str:
    found = [name for name in names if name.endswith((".h5", ".msgpack", ".onnx"))]
    if not found:
        return ""
    return f"has weights for another framework only ({found[0]}). Use the safetensors version of the model"


def _adapter(names: Sequence[str]) -> str:
    if "adapter_config.json" not in names:
        return ""
    if "adapter_model.bin" in names and "adapter_model.safetensors" not in names:
        return _pickled(names)
    return (
        "is a LoRA adapter (adapter_config.json), not a whole model. Name it among the models of a search with the "
        "model that it was trained on as base=BASE, write BASE+ADAPTER, or merge it into its base first: "
        "PeftModel.from_pretrained(base, FOLDER).merge_and_unload().save_pretrained(NEW_FOLDER)"
    )


def _other_names(names: Sequence[str]) -> str:
    found = [name for name in names if name.endswith(".safetensors")]
    if not found:
        return ""
    if any(_SHARD.fullmatch(name) for name in found):
        return f"has shards ({found[0]}), but not {INDEX}, which they need. Fetch it again"
    return (
        f"has neither {SINGLE} nor {INDEX}; it has {', '.join(found[:_SHOWN])}. If that is the whole model, rename it "
        f"to {SINGLE}"
    )


_KINDS: tuple[Callable[[Sequence[str]], str], ...] = (_adapter, _pickled, _gguf, _foreign, _other_names)
