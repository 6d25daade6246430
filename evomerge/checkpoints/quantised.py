"""Refusals of quantised checkpoints, each with the remedy: by what the config says, and by what the tensors are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints.tensor_files.header import TensorInfo

_ORIGINAL = "Merge the bf16, fp16 or fp32 original and quantise the result"
_LOAD = "AutoModelForCausalLM.from_pretrained(FOLDER, dtype='bfloat16'{})"
# The original format would be the quantised one.
_SAVE = ".save_pretrained(NEW_FOLDER, save_original_format=False)"
# Whose values can be written out again without loss beyond their own: how transformers does it.
_DEQUANTISED = {
    "mxfp4": _LOAD.format(", quantization_config=Mxfp4Config(dequantize=True)") + _SAVE,
    "fp8": _LOAD.format(", quantization_config=FineGrainedFP8Config(dequantize=True)") + _SAVE,
    "compressed-tensors": _LOAD.format(", quantization_config=CompressedTensorsConfig(dequantize=True)") + _SAVE,
    "bitsandbytes": _LOAD.format("") + ".dequantize()" + _SAVE,
}
# Parts of quantised weights, by the methods that store them; a packed integer tensor may have any type.
_PARTS: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("mxfp4", "MXFP4", re.compile(r"_blocks$")),
    ("fp8", "fp8", re.compile(r"_scale_inv$")),
    ("gptq", "GPTQ", re.compile(r"\.g_idx$")),
    ("awq", "AWQ or GPTQ", re.compile(r"\.(?:qweight|qzeros)$")),
    ("compressed-tensors", "compressed-tensors", re.compile(r"\.weight_(?:packed|scale|zero_point|shape)$")),
    ("bitsandbytes", "bitsandbytes", re.compile(r"\.(?:SCB|absmax|quant_map|nested_absmax)$|\.quant_state\.")),
)


def quantised_config(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """The problem of a config that says that the weights are quantised, if it does.

    Args:
        folder: The checkpoint's, for the message.
        config: The content of its ``config.json``.
    """
    text = config.get("text_config")
    places = [config, text if isinstance(text, dict) else {}]
    found = next(
        (place[name] for place in places for name in ("quantization_config", "compression_config") if place.get(name)),
        None,
    )
    if found is None:
        return []
    named = found.get("quant_method", found) if isinstance(found, dict) else found
    says = f"{str(folder)!r} is quantised: its config.json has quantization_config with quant_method {named!r}"
    return [f"{says}. {_remedy(str(named))}"]


def quantised_tensors(folder: Path, specs: Mapping[str, TensorInfo], weights: Iterable[str]) -> list[str]:
    """The problem of tensors that are quantised, or parts of quantised weights, if some are.

    Args:
        folder: The checkpoint's, for the message.
        specs: All its tensors.
        weights: Names of those that no model computes by itself.
    """
    narrow = {name: specs[name].dtype for name in weights if specs[name].dtype.itemsize == 1}
    narrow = {name: dtype for name, dtype in narrow.items() if dtype != torch.bool}
    for method, title, part in _PARTS:
        parts = [name for name in specs if part.search(name)]
        # A name alone proves nothing, but a weight that is narrow or no number, or lacks beside its parts, does.
        if parts and (narrow or not _plain(specs, parts[0])):
            where = f"{parts[0]!r} in {specs[parts[0]].file.name}"
            return [f"{str(folder)!r} is quantised ({title}): it holds {where}. {_remedy(method)}"]
    if not narrow:
        return []
    types = ", ".join(sorted({str(dtype).removeprefix("torch.") for dtype in narrow.values()}))
    first = next(iter(narrow))
    where = f"{first!r} in {specs[first].file.name}"
    return [f"{str(folder)!r} is quantised: it holds {types} tensors, such as {where}. {_remedy('')}"]


def _plain(specs: Mapping[str, TensorInfo], part: str) -> bool:
    """Whether the weight that a part is named after is there as numbers of its own."""
    module = part.rpartition(".")[0]
    weight = specs.get(f"{module}.weight")
    return weight is not None and weight.dtype.is_floating_point and weight.dtype.itemsize > 1


def _remedy(method: str) -> str:
    way = _DEQUANTISED.get(method)
    return _ORIGINAL + (f", or dequantise it first where there is none: {way}" if way else "")
