"""Tied embeddings: output embeddings (the LM head) that are the input embeddings.

A tied checkpoint may leave its head out of the file or store it a second time, and its config may say so or leave it to
the architecture's default. The values decide, as they do in transformers: a head that is absent, or that repeats the
input embeddings without the config declaring them separate, is no tensor of its own. Nor are the embeddings of encoder
and decoder where older files of an encoder-decoder repeat the shared ones in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from evomerge.checkpoints.source import CheckpointSource, TensorSpec

_HEAD = re.compile(r"(?:^|\.)(?:lm_head|embed_out|output_projection)\.weight$")
_EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|embed_in|wte|word_embeddings|tok_embeddings|embeddings?|shared)\.weight$"
)
_SHARED = re.compile(r"(?:^|\.)shared\.weight$")
_HEAD_BIAS = re.compile(r"(?:^|\.)(?:lm_head|embed_out|output_projection)\.bias$")


def is_head(name: str) -> bool:
    """Whether a tensor of this name holds output embeddings."""
    return _HEAD.search(name) is not None


def is_embedding(name: str) -> bool:
    """Whether a tensor of this name holds input embeddings."""
    return _EMBEDDING.search(name) is not None


def is_vocabulary(name: str) -> bool:
    """Whether a tensor of this name has a row for each token: embeddings of either kind, and biases of heads."""
    return is_embedding(name) or is_head(name) or _HEAD_BIAS.search(name) is not None


def embedding_rows(source: CheckpointSource) -> int | None:
    """Number of tokens that a source has an embedding of; None where no tensor's name is that of an embedding."""
    return next((spec.shape[0] for name, spec in source.specs.items() if is_embedding(name) and spec.shape), None)


def says_tied(config: Mapping[str, Any]) -> bool | None:
    """The config's ``tie_word_embeddings``; None where it is left to the architecture's default."""
    text = config.get("text_config")
    for place in (config, text if isinstance(text, dict) else {}):
        if isinstance(place.get("tie_word_embeddings"), bool):
            return place["tie_word_embeddings"]
    return None


def tied_heads(
    config: Mapping[str, Any], tensors: Mapping[str, TensorSpec], read: Callable[[str], torch.Tensor]
) -> dict[str, str]:
    """Finds heads that only repeat the input embeddings, and embeddings that only repeat shared ones.

    Args:
        config: The checkpoint's config.
        tensors: Its tensors by name.
        read: Gives the values of one.

    Returns:
        Name of the head or embedding to the name of the embedding it repeats.
    """

    def repeats(one: str, other: str) -> bool:
        like = (tensors[one].shape, tensors[one].dtype) == (tensors[other].shape, tensors[other].dtype)
        return like and torch.equal(read(one), read(other))

    embeddings = list(filter(is_embedding, tensors))
    shared = next((name for name in embeddings if _SHARED.search(name)), None)
    found = {}
    if shared is not None:
        found = {name: shared for name in embeddings if name != shared and repeats(name, shared)}
    if says_tied(config) is not False:
        own = [name for name in embeddings if name not in found]
        for head in filter(is_head, tensors):
            repeated = next((name for name in own if repeats(head, name)), None)
            found |= {} if repeated is None else {head: repeated}
    return found


def untied_heads(source: CheckpointSource) -> tuple[str, ...]:
    """Names of output embeddings that hold values of their own; none where they are the input embeddings."""
    return tuple(name for name in source.specs if is_head(name) and name not in source.aliases)
