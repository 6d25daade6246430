"""What a model is asked to see whether two of them are equal."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PretrainedConfig

from experiments.architectures.architecture import SEQ2SEQ, SPEECH, Architecture
from experiments.architectures.sizes import SPECIAL_TOKENS, VOCABULARY

_ROWS, _TOKENS = 2, 12


def inputs(architecture: Architecture, config: PretrainedConfig) -> dict[str, torch.Tensor]:
    """Random tokens, and what the architecture sees or hears besides; drawn from torch's global generator."""
    tokens = torch.randint(len(SPECIAL_TOKENS), VOCABULARY, (_ROWS, _TOKENS))
    asked = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    if architecture.loader == SPEECH:
        frames = 2 * config.max_source_positions
        asked = {"input_features": torch.randn(_ROWS, config.num_mel_bins, frames)}
    if architecture.loader in (SEQ2SEQ, SPEECH):
        asked["decoder_input_ids"] = torch.randint(len(SPECIAL_TOKENS), VOCABULARY, (_ROWS, _TOKENS // 2))
    if architecture.image is not None:
        places, images = architecture.image(config)
        tokens[:, 1 : 1 + places] = config.image_token_id
        asked |= {name: torch.randn(value.shape) if value.is_floating_point() else value
                  for name, value in images.items()}  # fmt: skip
        if "image_grid_thw" in images:
            asked["mm_token_type_ids"] = (tokens == config.image_token_id).int()
    return asked


@torch.inference_mode()
def outputs(model: Any, asked: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors that a model answers with, by name: logits, or hidden states where it has no head."""
    given = model(**asked, use_cache=False) if "use_cache" in model.forward.__code__.co_varnames else model(**asked)
    names = [name for name in ("logits", "last_hidden_state", "pooler_output") if given.get(name) is not None]
    return {name: given[name] for name in names}
