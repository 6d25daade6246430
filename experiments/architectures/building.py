"""Tiny checkpoints of an architecture, saved as users have them: a base, and two experts that were trained from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from experiments.architectures.architecture import Architecture
from experiments.architectures.sizes import SPECIAL_TOKENS

EXPERTS = ("A", "B")
# Standard deviations of the noise on fresh weights, whose norms are ones and whose biases are zeros, and of what makes
# an expert of a base.
_FRESH, _TRAINED = 0.05, 0.02


def build(architecture: Architecture, folder: Path) -> Path:
    """Saves ``base``, ``A`` and ``B`` in a folder.

    Args:
        architecture: What to build.
        folder: Where they go.

    Returns:
        ``folder``.
    """
    base = folder / "base"
    model = _random(architecture.config(), architecture.loader)
    model.save_pretrained(base)
    tokenizer().save_pretrained(base)
    for seed, name in enumerate(EXPERTS, start=1):
        _expert(base, folder / name, seed)
    return folder


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer: every text has tokens, one for each byte."""
    tokens = [*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", model_max_length=512
    )


def write_quiz(path: Path, items: int = 24) -> Path:
    """Writes a task of sums with two options each, as JSONL."""
    rows = [{"question": f"{i} + 1 =", "options": [str(i + 1), str(i + 2)], "gold": i % 2} for i in range(items)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _random(config: PretrainedConfig, loader: str) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = getattr(transformers, loader).from_config(config, dtype=torch.float32)
    state = model.state_dict()
    with torch.no_grad():
        for tensor in {id(tensor): tensor for tensor in state.values() if tensor.is_floating_point()}.values():
            tensor.add_(torch.randn(tensor.shape) * _FRESH)
    return model.eval()


def _expert(base: Path, folder: Path, seed: int) -> None:
    """Saves the base's files with noise on every tensor of real numbers."""
    shutil.copytree(base, folder)
    generator = torch.Generator().manual_seed(seed)
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata()
        tensors = {
            name: tensor + torch.randn(tensor.shape, generator=generator) * _TRAINED
            if tensor.is_floating_point()
            else tensor
            for name, tensor in sorted(load_file(path).items())
        }
        save_file(tensors, path, metadata=metadata)
