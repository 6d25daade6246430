"""Tiny real checkpoints for the tests: random weights, real architectures, a real tokenizer, saved as by users."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>")
VOCABULARY = 256 + len(SPECIAL_TOKENS)
CHAT_TEMPLATE = "{% for m in messages %}<bos>{{ m['role'] }}: {{ m['content'] }}<eos>\n{% endfor %}"
TOKEN_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}

Config = Mapping[str, Any]


def tiny_tokenizer(folder: Path, *, extra: tuple[str, ...] = (), chat_template: str | None = CHAT_TEMPLATE) -> None:
    """Saves a byte-level tokenizer: every text has tokens, one per byte.

    Args:
        folder: Where the tokenizer files go.
        extra: Tokens appended to the vocabulary.
        chat_template: Saved along unless None.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*SPECIAL_TOKENS, *alphabet, *extra]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", model_max_length=512
    )
    fast.chat_template = chat_template
    fast.save_pretrained(folder)


def save_model(model: transformers.PreTrainedModel, folder: Path, *, max_shard_size: str = "5GB") -> Path:
    """Saves a model and the tiny tokenizer as one folder."""
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    tiny_tokenizer(folder)
    return folder


def tiny_llama(
    folder: Path,
    seed: int,
    *,
    tied: bool = False,
    layers: int = 2,
    hidden: int = 16,
    dtype: torch.dtype = torch.bfloat16,
    max_shard_size: str = "5GB",
) -> Path:
    """Saves a random Llama of about ten thousand parameters with its tokenizer.

    Args:
        folder: Where it goes.
        seed: Of the weights.
        tied: Whether input and output embeddings are one tensor.
        layers: Number of layers.
        hidden: Width, a multiple of 4.
        dtype: Of the saved weights.
        max_shard_size: Smaller values give several files and an index.

    Returns:
        ``folder``.
    """
    config = transformers.LlamaConfig(**_sizes(hidden, layers), num_key_value_heads=2, tie_word_embeddings=tied)
    return save_model(_random(config, seed, dtype), folder, max_shard_size=max_shard_size)


def tiny(model_type: str, folder: Path, seed: int, *, dtype: torch.dtype = torch.float32, **changes: Any) -> Path:
    """Saves a random model of one of :data:`MODEL_TYPES` with the tiny tokenizer.

    Args:
        model_type: A key of :data:`MODEL_TYPES`.
        folder: Where it goes.
        seed: Of the weights.
        dtype: Of the saved weights.
        **changes: Config fields that differ from the tiny default.
    """
    config = MODEL_TYPES[model_type]()
    for name, value in changes.items():
        setattr(config, name, value)
    return save_model(_random(config, seed, dtype), folder)


def tiny_dense(model_type: str, folder: Path, *, dtype: torch.dtype = torch.float32) -> Path:
    """Saves a random dense model of a type that mixtures are built of: one of :data:`MODEL_TYPES`, or a Qwen3."""
    if model_type in MODEL_TYPES:
        return tiny(model_type, folder, 0, dtype=dtype)
    config = transformers.Qwen3Config(**_sizes(), num_key_value_heads=2, head_dim=8)
    return save_model(_random(config, 0, dtype), folder)


def perturbed(source: Path, folder: Path, seed: int, scale: float = 0.02) -> Path:
    """Saves an expert: the source's files with normal noise added to every floating-point tensor.

    Args:
        source: A checkpoint folder with safetensors weights.
        folder: Where the expert goes.
        seed: Of the noise.
        scale: Standard deviation of the noise.

    Returns:
        ``folder``.
    """
    shutil.copytree(source, folder, dirs_exist_ok=True)
    generator = torch.Generator().manual_seed(seed)

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in sorted(tensors):
            tensor = tensors[name]
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator) * scale
                tensors[name] = (tensor.float() + noise).to(tensor.dtype)

    rewrite(folder, change)
    return folder


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Changes a checkpoint's tensors in place, file by file.

    Args:
        folder: A checkpoint folder with safetensors weights.
        change: Edits the mapping of name to tensor of one file; it may add and drop names.
    """
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata()
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        change(tensors)
        save_file(tensors, path, metadata=metadata)


def plain_recipe(*sources: Any) -> dict[str, Any]:
    """The JSON of a recipe of format 2 that averages some sources."""
    share = [1.0 / len(sources)] * len(sources)
    groups = {"groups": [{"label": "all"}]}
    return {"method": "linear", "sources": list(sources), "groups": groups, "coefficients": {"weight": [share]}}


def edit_json(path: Path, **changes: Any) -> None:
    """Sets fields of a JSON file; a value of None removes the field."""
    data = json.loads(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        data[name] = value
        if value is None:
            del data[name]
    path.write_text(json.dumps(data, indent=2), encoding="utf-8")


def _sizes(hidden: int = 16, layers: int = 2) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 512,
        **TOKEN_IDS,
    }


def _random(config: transformers.PretrainedConfig, seed: int, dtype: torch.dtype) -> transformers.PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind = (
            transformers.AutoModelForCausalLM
            if type(config) in transformers.AutoModelForCausalLM._model_mapping
            else transformers.AutoModelForImageTextToText
        )
        model = kind.from_config(config, dtype=dtype)
        # Fresh norms are all ones and fresh biases all zeros: noise makes every tensor, and every element, its own.
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape).to(parameter.dtype) * 0.05)
    return model.eval()


def _vision_language() -> transformers.PretrainedConfig:
    text = transformers.LlamaConfig(**_sizes(), num_key_value_heads=2)
    vision = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=8, patch_size=4
    )
    return transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=3, vision_feature_layer=-1
    )


MODEL_TYPES: Mapping[str, Callable[[], transformers.PretrainedConfig]] = {
    "llama": lambda: transformers.LlamaConfig(**_sizes(), num_key_value_heads=2),
    "mistral": lambda: transformers.MistralConfig(**_sizes(), num_key_value_heads=2),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=64, n_embd=16, n_layer=2, n_head=2, **TOKEN_IDS
    ),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**_sizes()),
    "mixtral": lambda: transformers.MixtralConfig(
        **_sizes(), num_key_value_heads=2, num_local_experts=3, num_experts_per_tok=2
    ),
    "qwen2": lambda: transformers.Qwen2Config(**_sizes(), num_key_value_heads=2, tie_word_embeddings=True),
    "qwen2_moe": lambda: transformers.Qwen2MoeConfig(
        **_sizes(),
        num_key_value_heads=2,
        num_experts=3,
        num_experts_per_tok=2,
        moe_intermediate_size=8,
        shared_expert_intermediate_size=8,
    ),
    "qwen3_moe": lambda: transformers.Qwen3MoeConfig(
        **_sizes(),
        num_key_value_heads=2,
        head_dim=4,
        num_experts=3,
        num_experts_per_tok=2,
        moe_intermediate_size=8,
    ),
    "gemma2": lambda: transformers.Gemma2Config(**_sizes(), num_key_value_heads=2, head_dim=4),
    "gemma3": lambda: transformers.Gemma3TextConfig(**_sizes(), num_key_value_heads=2, head_dim=4),
    "phi3": lambda: transformers.Phi3Config(**_sizes(), num_key_value_heads=2),
    "opt": lambda: transformers.OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        ffn_dim=32,
        max_position_embeddings=64,
        num_attention_heads=2,
        word_embed_proj_dim=8,
        **TOKEN_IDS,
    ),
    "bloom": lambda: transformers.BloomConfig(vocab_size=VOCABULARY, hidden_size=16, n_layer=2, n_head=2, **TOKEN_IDS),
    "falcon": lambda: transformers.FalconConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, **TOKEN_IDS
    ),
    "mamba": lambda: transformers.MambaConfig(
        vocab_size=VOCABULARY, hidden_size=16, state_size=4, num_hidden_layers=2, **TOKEN_IDS
    ),
    "olmo2": lambda: transformers.Olmo2Config(**_sizes(), num_key_value_heads=2),
    "llava": _vision_language,
}
