"""Changes of adapters: their config, and their weights, which are a safetensors file like any other."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from experiments.fuzz.mutators import safetensors_files, values

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFER = ("r", "lora_alpha", "target_modules", "peft_type", "base_model_name_or_path", "rank_pattern", "alpha_pattern")
_FIELDS: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA", "lora", "IA3", "NO_SUCH", 3, None, ["LORA"], {"LORA": 1}),
    "r": (0, -1, 1, 3, 10**9, 10**30, 1.5, "4", None, [4], True, float("nan")),
    "lora_alpha": (0, -1, 1e308, "8", None, [8], float("nan"), float("inf"), 10**400, True),
    "target_modules": (None, [], "all-linear", "(", "(a+)+$", ".*", ["no_such"], [3], {"q_proj": 1}, 3, ["../x"],
    "x" * 10_000),
    "modules_to_save": (["embed_tokens"], ["lm_head"], "x", 3, [None], ["no_such"]),
    "rank_pattern": ({"q_proj": 8}, {"(": 4}, {"(a+)+$": 4}, {"q_proj": -1}, {"q_proj": "x"}, {"q_proj": None}, [],
    3),
    "alpha_pattern": ({"q_proj": 8}, {"(": 4}, {"q_proj": "x"}, {"q_proj": float("nan")}, [], 3, {"q_proj": None}),
    "use_rslora": (True, "x", 3, None, []),
    "use_dora": (True, "x", 3),
    "fan_in_fan_out": (True, "x", None),
    "bias": ("all", "lora_only", "x", 3, None, []),
    "base_model_name_or_path": ("../secret", "/etc/passwd", "", None, 3, "org/name", "x" * 5000, "A\0", ["A"]),
    "layers_to_transform": ([0], [99], -1, "x", [None], [[0]]),
    "layers_pattern": ("layers", "(", 3, [None]),
    "layer_replication": ([[0, 2], [0, 2]], [[0, 10**9]], "x", 3, [[0]]),
    "auto_mapping": ({"parent_library": "os", "base_model_class": "x"}, 3, "x"),
    "init_lora_weights": ("pissa", "olora", "loftq", "no_such", 3),
    "lora_bias": (True, "x"),
    "trainable_token_indices": ([1, 2], {"embed_tokens": [1]}, "x", [10**9]),
    "exclude_modules": ("(", ["q_proj"], 3),
    "task_type": ("SEQ_CLS", 3, None),
    "no_such_field": (1, {}),
    "megatron_config": ({"x": 1}, 3),
    "revision": ("../x", 3, None),
}  # fmt: skip


def mutate_config(rng: Random, folder: Path) -> tuple[str, str]:
    """Changes adapter_config.json."""
    return CONFIG, values.change_object(rng, folder / CONFIG, _FIELDS, _PREFER)


def mutate_weights(rng: Random, folder: Path) -> tuple[str, str]:
    """Changes adapter_model.safetensors."""
    return WEIGHTS, safetensors_files.mutate(rng, folder / WEIGHTS)
