"""Sizes of the tiny models."""

from __future__ import annotations

from typing import Any

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<image>", "<video>", "<start>", "<end>")
VOCABULARY = 256 + len(SPECIAL_TOKENS)
TOKEN_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def sizes() -> dict[str, Any]:
    """Fields that most decoders' configurations have."""
    return {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 512,
        **TOKEN_IDS,
    }


def vision() -> dict[str, Any]:
    """Fields that most towers' configurations have."""
    return {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
