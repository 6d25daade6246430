"""Tiny LoRA adapters in PEFT's format for the tests, written by hand: peft itself is slow to import."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from evomerge.checkpoints import open_source

PROJECTIONS = ("q_proj", "v_proj", "up_proj", "down_proj")


def lora(
    base: Path,
    folder: Path,
    seed: int,
    *,
    rank: int = 4,
    targets: Sequence[str] = PROJECTIONS,
    scale: float = 0.1,
    more: Mapping[str, torch.Tensor] | None = None,
    **config: Any,
) -> Path:
    """Writes an adapter with random A and B.

    Args:
        base: The folder of the model that it is on.
        folder: Where it goes.
        seed: Of the values.
        rank: Of all modules.
        targets: Last parts of the adapted modules' names.
        scale: Standard deviation of the values.
        more: Other tensors, by name.
        **config: Fields of ``adapter_config.json``; None leaves one out.

    Returns:
        ``folder``.
    """
    generator = torch.Generator().manual_seed(seed)
    tensors = dict(more or {})
    for name, spec in open_source(base).specs.items():
        if len(spec.shape) == 2 and re.search(rf"(?:^|\.)(?:{'|'.join(targets)})\.weight$", name):
            module = f"base_model.model.{name.removesuffix('.weight')}"
            outputs, inputs = spec.shape
            tensors[f"{module}.lora_A.weight"] = torch.randn(rank, inputs, generator=generator) * scale
            tensors[f"{module}.lora_B.weight"] = torch.randn(outputs, rank, generator=generator) * scale
    fields = {
        "peft_type": "LORA",
        "base_model_name_or_path": str(base),
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": list(targets),
        "task_type": "CAUSAL_LM",
    } | config
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in fields.items() if value is not None}
    (folder / "adapter_config.json").write_text(json.dumps(kept), encoding="utf-8")
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder
