"""Configurations of models that see, and what they are shown."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import transformers
from transformers import PretrainedConfig

from experiments.architectures.sizes import sizes, vision


def llava() -> PretrainedConfig:
    """A CLIP tower, a projector and a Llama."""
    text = transformers.LlamaConfig(**sizes(), num_key_value_heads=2)
    tower = transformers.CLIPVisionConfig(**vision(), image_size=8, patch_size=4)
    return transformers.LlavaConfig(vision_config=tower, text_config=text, image_token_index=3, vision_feature_layer=-1)


def qwen2_vl() -> PretrainedConfig:
    """A tower and a Qwen2 with positions on three axes."""
    rope = {"rope_type": "default", "mrope_section": [1, 1], "rope_theta": 10000.0}
    text = {**sizes(), "num_key_value_heads": 2, "rope_parameters": rope}
    tower = {"depth": 2, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "patch_size": 4, "mlp_ratio": 2}
    return transformers.Qwen2VLConfig(text_config=text, vision_config=tower, image_token_id=3, video_token_id=4,
                                      vision_start_token_id=5, vision_end_token_id=6)  # fmt: skip


def qwen3_vl() -> PretrainedConfig:
    """A tower that feeds several layers of a Qwen3."""
    rope = {"rope_type": "default", "mrope_section": [1, 1, 0], "mrope_interleaved": True, "rope_theta": 10000.0}
    text = {**sizes(), "num_key_value_heads": 2, "head_dim": 4, "rope_parameters": rope}
    tower = {"depth": 2, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "patch_size": 4,
             "out_hidden_size": 16, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}  # fmt: skip
    return transformers.Qwen3VLConfig(text_config=text, vision_config=tower, image_token_id=3, video_token_id=4,
                                      vision_start_token_id=5, vision_end_token_id=6)  # fmt: skip


def gemma3_vision() -> PretrainedConfig:
    """A SigLIP tower and a Gemma 3."""
    text = {**sizes(), "num_key_value_heads": 2, "head_dim": 4, "sliding_window": 32}
    tower = {**vision(), "image_size": 8, "patch_size": 4}
    return transformers.Gemma3Config(text_config=text, vision_config=tower, mm_tokens_per_image=1,
                                     image_token_index=3, boi_token_index=4, eoi_token_index=5)  # fmt: skip


def picture(config: PretrainedConfig) -> tuple[int, Mapping[str, torch.Tensor]]:
    """The tokens that a picture takes, and a picture for each of two texts."""
    tower = config.vision_config
    places = getattr(config, "mm_tokens_per_image", (tower.image_size // tower.patch_size) ** 2)
    return places, {"pixel_values": torch.zeros(2, 3, tower.image_size, tower.image_size)}


def patches(config: PretrainedConfig) -> tuple[int, Mapping[str, torch.Tensor]]:
    """The tokens that an image takes, and the patches of an image for each of two texts."""
    tower = config.vision_config
    side = tower.spatial_merge_size
    numbers = 3 * tower.temporal_patch_size * tower.patch_size**2
    grid = torch.tensor([[1, side, side]] * 2)
    return 1, {"pixel_values": torch.zeros(2 * side * side, numbers), "image_grid_thw": grid}
