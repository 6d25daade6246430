"""Checkpoints of a real model's shapes and size with random weights: what is measured is memory, not language.

`python -m experiments.merge_speed.models --size 135m --out FOLDER` writes a base and three experts, bfloat16.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import LlamaConfig

from evomerge.checkpoints import TensorSpec, write_shards

EXPERTS = ("one", "two", "three")
# Standard deviations as in small language models and what fine-tuning adds to them. In bfloat16 many deltas are zero
# and many magnitudes equal, as they are between real checkpoints.
_WEIGHT, _DELTA = 0.02, 3e-4

SIZES = {
    # A few seconds for everything: to try a study out
    "tiny": LlamaConfig(
        hidden_size=96, intermediate_size=256, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
        vocab_size=512, max_position_embeddings=256, tie_word_embeddings=True, rms_norm_eps=1e-5,
    ),
    # SmolLM2-135M and Llama-3.2-1B, both with tied embeddings
    "135m": LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49152, max_position_embeddings=2048, tie_word_embeddings=True, rms_norm_eps=1e-5,
    ),
    "1b": LlamaConfig(
        hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8,
        vocab_size=128256, max_position_embeddings=2048, tie_word_embeddings=True, rms_norm_eps=1e-5,
    ),
}  # fmt: skip


def shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a Llama's tensors on disk, embeddings tied."""
    hidden, inner = config.hidden_size, config.intermediate_size
    keys = hidden // config.num_attention_heads * config.num_key_value_heads
    layer = {
        "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,),
        "self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden), "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden), "mlp.down_proj": (hidden, inner),
    }  # fmt: skip
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config.vocab_size, hidden)}
    for index in range(config.num_hidden_layers):
        found |= {f"model.layers.{index}.{name}.weight": shape for name, shape in layer.items()}
    return found | {"model.norm.weight": (hidden,)}


def generate(size: str, out: Path, experts: tuple[str, ...] = EXPERTS) -> tuple[Path, ...]:
    """Writes ``base`` and experts under ``out``, where they are not there yet.

    Args:
        size: A key of :data:`SIZES`.
        out: The folder of all; each folder appears when it is complete.
        experts: Names of the experts.

    Returns:
        The folders, the base first.
    """
    config = SIZES[size]
    config.architectures = ["LlamaForCausalLM"]
    config.dtype = torch.bfloat16
    specs = {name: TensorSpec(torch.bfloat16, shape) for name, shape in shapes(config).items()}
    folders = []
    for expert, name in enumerate(("base", *experts)):
        folder = out / name
        folders.append(folder)
        if folder.exists():
            continue
        unfinished = out / f".{name}"
        unfinished.mkdir(parents=True, exist_ok=True)
        config.save_pretrained(unfinished)
        write_shards(unfinished, specs, _tensors(specs, expert), max_shard_bytes=5 * 10**9)
        unfinished.rename(folder)
    return tuple(folders)


def _tensors(specs: dict[str, TensorSpec], expert: int) -> Iterator[tuple[str, torch.Tensor]]:
    for name, spec in specs.items():
        values = _noise(name, 0, spec.shape).mul_(_WEIGHT)
        if len(spec.shape) == 1:
            values += 1
        values = values.to(spec.dtype)
        if expert:
            values = _noise(name, expert, spec.shape).mul_(_DELTA).add_(values).to(spec.dtype)
        yield name, values


def _noise(name: str, expert: int, shape: tuple[int, ...]) -> torch.Tensor:
    seed = int.from_bytes(hashlib.sha256(f"{name} {expert}".encode()).digest()[:7], "big")
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="135m")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for folder in generate(arguments.size, arguments.out):
        print(folder)


if __name__ == "__main__":
    main()
