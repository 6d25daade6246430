"""The architectures of the table: each a configuration of transformers, small enough to be built in a moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import PretrainedConfig

from experiments.architectures.sizes import TOKEN_IDS, VOCABULARY, sizes, vision

# What a model is asked, and by which class transformers loads it for that.
CAUSAL = "AutoModelForCausalLM"
MULTIMODAL = "AutoModelForImageTextToText"
SEQ2SEQ = "AutoModelForSeq2SeqLM"
SPEECH = "AutoModelForSpeechSeq2Seq"
CLASSIFIER = "AutoModelForSequenceClassification"
MASKED = "AutoModelForMaskedLM"
ENCODER = "AutoModel"


@dataclass(frozen=True)
class Architecture:
    """One row of the table.

    Attributes:
        title: The name that people know it by.
        config: Makes its configuration.
        loader: transformers' class that loads it.
        why: What it has that others do not.
        objective: The Python objective that it is searched by; empty where lm-eval asks it a task.
        image: Makes, of its configuration, the number of tokens that an image takes, and the image: one for each of two
            texts.
    """

    title: str
    config: Callable[[], PretrainedConfig]
    loader: str = CAUSAL
    why: str = ""
    objective: str = ""
    image: Callable[[PretrainedConfig], tuple[int, Mapping[str, torch.Tensor]]] | None = None


def _of(name: str, **changes: Any) -> Callable[[], PretrainedConfig]:
    """A configuration class by name, with the common tiny sizes and its own."""
    return lambda: getattr(transformers, name)(**{**sizes(), **changes})


def _only(name: str, **fields: Any) -> Callable[[], PretrainedConfig]:
    """A configuration class by name that has none of the common fields' names."""
    return lambda: getattr(transformers, name)(**{"vocab_size": VOCABULARY, **TOKEN_IDS, **fields})


def _llava() -> PretrainedConfig:
    text = transformers.LlamaConfig(**sizes(), num_key_value_heads=2)
    tower = transformers.CLIPVisionConfig(**vision(), image_size=8, patch_size=4)
    return transformers.LlavaConfig(vision_config=tower, text_config=text, image_token_index=3, vision_feature_layer=-1)


def _qwen2_vl() -> PretrainedConfig:
    rope = {"rope_type": "default", "mrope_section": [1, 1], "rope_theta": 10000.0}
    text = {**sizes(), "num_key_value_heads": 2, "rope_parameters": rope}
    tower = {"depth": 2, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "patch_size": 4, "mlp_ratio": 2}
    return transformers.Qwen2VLConfig(text_config=text, vision_config=tower, image_token_id=3, video_token_id=4,
                                      vision_start_token_id=5, vision_end_token_id=6)  # fmt: skip


def _qwen3_vl() -> PretrainedConfig:
    rope = {"rope_type": "default", "mrope_section": [1, 1, 0], "mrope_interleaved": True, "rope_theta": 10000.0}
    text = {**sizes(), "num_key_value_heads": 2, "head_dim": 4, "rope_parameters": rope}
    tower = {"depth": 2, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "patch_size": 4,
             "out_hidden_size": 16, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}  # fmt: skip
    return transformers.Qwen3VLConfig(text_config=text, vision_config=tower, image_token_id=3, video_token_id=4,
                                      vision_start_token_id=5, vision_end_token_id=6)  # fmt: skip


def _gemma3_vision() -> PretrainedConfig:
    text = {**sizes(), "num_key_value_heads": 2, "head_dim": 4, "sliding_window": 32}
    tower = {**vision(), "image_size": 8, "patch_size": 4}
    return transformers.Gemma3Config(text_config=text, vision_config=tower, mm_tokens_per_image=1,
                                     image_token_index=3, boi_token_index=4, eoi_token_index=5)  # fmt: skip


def _picture(config: PretrainedConfig) -> tuple[int, Mapping[str, torch.Tensor]]:
    tower = config.vision_config
    places = getattr(config, "mm_tokens_per_image", (tower.image_size // tower.patch_size) ** 2)
    return places, {"pixel_values": torch.zeros(2, 3, tower.image_size, tower.image_size)}


def _patches(config: PretrainedConfig) -> tuple[int, Mapping[str, torch.Tensor]]:
    tower = config.vision_config
    side = tower.spatial_merge_size
    numbers = 3 * tower.temporal_patch_size * tower.patch_size**2
    grid = torch.tensor([[1, side, side]] * 2)
    return 1, {"pixel_values": torch.zeros(2 * side * side, numbers), "image_grid_thw": grid}


_EXPERTS: Mapping[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
_LINEAR: Mapping[str, Any] = {
    "linear_conv_kernel_dim": 2, "linear_key_head_dim": 4, "linear_value_head_dim": 4, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
_MAMBA: Mapping[str, Any] = {"mamba_d_state": 4, "mamba_d_conv": 2, "mamba_expand": 2}
_GQA: Mapping[str, Any] = {"num_key_value_heads": 2}
_MOE: Mapping[str, Any] = {**_GQA, **_EXPERTS}

ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture("Llama", _of("LlamaConfig", **_GQA)),
    "llama_tied": Architecture("Llama 3.2", _of("LlamaConfig", **_GQA, tie_word_embeddings=True),
                               why="tied embeddings"),
    "mistral": Architecture("Mistral", _of("MistralConfig", **_GQA)),
    "qwen2": Architecture("Qwen2", _of("Qwen2Config", **_GQA), why="biases of the attention"),
    "qwen3": Architecture("Qwen3", _of("Qwen3Config", **_GQA, head_dim=4), why="norms of queries and keys"),
    "gemma2": Architecture("Gemma 2", _of("Gemma2Config", **_GQA, head_dim=4), why="four norms a layer, soft caps"),
    "gemma3": Architecture("Gemma 3", _of("Gemma3TextConfig", **_GQA, head_dim=4), why="local and global layers"),
    "phi": Architecture("Phi-2", _of("PhiConfig"), why="parallel attention and MLP"),
    "phi3": Architecture("Phi-3", _of("Phi3Config", **_GQA), why="fused projections"),
    "gpt2": Architecture(
        "GPT-2", _only("GPT2Config", n_positions=64, n_embd=16, n_layer=2, n_head=2), why="transposed matrices"
    ),
    "gpt_neox": Architecture("GPT-NeoX", _of("GPTNeoXConfig"), why="fused projections, untied embed_out"),
    "gptj": Architecture("GPT-J", _only("GPTJConfig", n_positions=64, n_embd=16, n_layer=2, n_head=2, rotary_dim=4)),
    "opt": Architecture(
        "OPT",
        _only("OPTConfig", hidden_size=16, num_hidden_layers=2, ffn_dim=32, max_position_embeddings=64,
              num_attention_heads=2, word_embed_proj_dim=8),
        why="projected embeddings",
    ),
    "bloom": Architecture("BLOOM", _only("BloomConfig", hidden_size=16, n_layer=2, n_head=2), why="position biases"),
    "mpt": Architecture("MPT", _only("MptConfig", d_model=16, n_layers=2, n_heads=2, max_seq_len=64),
                        why="position biases"),
    "falcon": Architecture("Falcon", _only("FalconConfig", hidden_size=16, num_hidden_layers=2, num_attention_heads=2)),
    "olmo2": Architecture("OLMo 2", _of("Olmo2Config", **_GQA), why="norms after the blocks"),
    "olmoe": Architecture("OLMoE", _of("OlmoeConfig", num_key_value_heads=2, num_experts=4, num_experts_per_tok=2)),
    "stablelm": Architecture("StableLM", _of("StableLmConfig", **_GQA)),
    "starcoder2": Architecture("StarCoder2", _of("Starcoder2Config", **_GQA)),
    "cohere": Architecture("Command R", _of("CohereConfig", **_GQA), why="parallel blocks, scaled logits"),
    "cohere2": Architecture("Command R7B", _of("Cohere2Config", **_GQA, head_dim=4)),
    "granite": Architecture("Granite", _of("GraniteConfig", **_GQA), why="scaled residuals"),
    "smollm3": Architecture("SmolLM3", _of("SmolLM3Config", **_GQA), why="layers without positions"),
    "glm4": Architecture("GLM-4", _of("Glm4Config", **_GQA, head_dim=4)),
    "mixtral": Architecture("Mixtral", _of("MixtralConfig", **_GQA, num_local_experts=4, num_experts_per_tok=2)),
    "qwen2_moe": Architecture("Qwen2-MoE", _of("Qwen2MoeConfig", **_MOE, shared_expert_intermediate_size=8)),
    "qwen3_moe": Architecture("Qwen3-MoE", _of("Qwen3MoeConfig", **_MOE, head_dim=4)),
    "deepseek_v2": Architecture(
        "DeepSeek-V2",
        _of("DeepseekV2Config", n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=8,
            kv_lora_rank=8, q_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=4,
            first_k_dense_replace=1, n_group=1, topk_group=1),
    ),
    "deepseek_v3": Architecture(
        "DeepSeek-V3",
        _of("DeepseekV3Config", n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=8,
            kv_lora_rank=8, q_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=4,
            first_k_dense_replace=1, n_group=2, topk_group=1),
        why="latent attention, a bias of the router that is no parameter",
    ),
    "gpt_oss": Architecture(
        "GPT-OSS",
        _of("GptOssConfig", **_GQA, head_dim=4, num_local_experts=4, num_experts_per_tok=2,
            layer_types=["sliding_attention", "full_attention"]),
        why="stacked experts with biases, attention sinks",
    ),
    "llama4": Architecture(
        "Llama 4, text",
        _of("Llama4TextConfig", **_GQA, head_dim=4, num_local_experts=4, intermediate_size_mlp=32,
            attention_chunk_size=32, interleave_moe_layer_step=2),
        why="stacked experts",
    ),
    "qwen3_next": Architecture(
        "Qwen3-Next",
        _of("Qwen3NextConfig", **_MOE, **_LINEAR, head_dim=4, shared_expert_intermediate_size=8),
        why="linear attention and experts",
    ),
    "qwen3_5": Architecture("Qwen3.5, text", _of("Qwen3_5TextConfig", **_GQA, **_LINEAR, head_dim=4),
                            why="linear attention"),
    "mamba": Architecture(
        "Mamba", _only("MambaConfig", hidden_size=16, state_size=4, num_hidden_layers=2), why="state space"
    ),
    "mamba2": Architecture(
        "Mamba-2",
        _only("Mamba2Config", hidden_size=16, state_size=4, num_hidden_layers=2, num_heads=4, head_dim=8, n_groups=1,
              expand=2, chunk_size=8),
        why="state space",
    ),
    "jamba": Architecture(
        "Jamba",
        _of("JambaConfig", **_GQA, **_MAMBA, mamba_dt_rank=2, num_experts=2, num_experts_per_tok=1,
            expert_layer_period=2, expert_layer_offset=1, attn_layer_period=2, attn_layer_offset=1,
            use_mamba_kernels=False),
        why="state space, attention and experts",
    ),
    "falcon_h1": Architecture(
        "Falcon-H1",
        _of("FalconH1Config", **_GQA, **_MAMBA, head_dim=4, mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=1,
            mamba_d_ssm=32, mamba_chunk_size=8),
        why="state space beside attention",
    ),
    "bamba": Architecture(
        "Bamba",
        _of("BambaConfig", **_GQA, **_MAMBA, mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=1, mamba_chunk_size=8,
            attn_layer_indices=[1]),
    ),
    "zamba2": Architecture(
        "Zamba2",
        _of("Zamba2Config", **_MAMBA, n_mamba_heads=4, mamba_ngroups=1, mamba_headdim=8, chunk_size=8,
            num_hidden_layers=3,
            layers_block_type=["mamba", "hybrid", "hybrid"], num_mem_blocks=1, adapter_rank=4, use_mamba_kernels=False),
        why="a block that several layers share",
    ),
    "granitemoehybrid": Architecture(
        "Granite 4",
        _of("GraniteMoeHybridConfig", **_GQA, mamba_d_state=4, mamba_d_conv=2, mamba_expand=2, mamba_n_heads=4,
            mamba_d_head=8, mamba_n_groups=1, mamba_chunk_size=8, num_local_experts=4, num_experts_per_tok=2,
            shared_intermediate_size=16, layer_types=["mamba", "attention"]),
        why="state space, attention and experts",
    ),
    "lfm2": Architecture(
        "LFM2", _of("Lfm2Config", **_GQA, layer_types=["conv", "full_attention"]), why="convolutions and attention"
    ),
    "rwkv": Architecture(
        "RWKV-4",
        _only("RwkvConfig", hidden_size=16, attention_hidden_size=16, num_hidden_layers=2, intermediate_size=32,
              context_length=64),
        why="a linear recurrence",
    ),
    "llava": Architecture("LLaVA", _llava, MULTIMODAL, why="CLIP tower and projector", image=_picture),
    "qwen2_vl": Architecture("Qwen2-VL", _qwen2_vl, MULTIMODAL, why="tower, three-axis positions", image=_patches),
    "qwen3_vl": Architecture("Qwen3-VL", _qwen3_vl, MULTIMODAL, why="tower that feeds several layers",
                             image=_patches),
    "gemma3_vision": Architecture("Gemma 3, with vision", _gemma3_vision, MULTIMODAL, why="SigLIP tower",
                                  image=_picture),
    "t5": Architecture(
        "T5",
        _only("T5Config", d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4, decoder_start_token_id=0),
        SEQ2SEQ, why="encoder and decoder", objective="word_logprob",
    ),
    "bart": Architecture(
        "BART",
        _only("BartConfig", d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
              encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=64,
              decoder_start_token_id=2, forced_eos_token_id=None),
        SEQ2SEQ, why="encoder and decoder, shared embeddings", objective="word_logprob",
    ),
    "whisper": Architecture(
        "Whisper",
        _only("WhisperConfig", d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
              encoder_attention_heads=2, decoder_attention_heads=2, num_mel_bins=8, max_source_positions=8,
              max_target_positions=64, decoder_start_token_id=1, begin_suppress_tokens=None, suppress_tokens=None),
        SPEECH, why="hears", objective="transcript_logprob",
    ),
    "bert": Architecture("BERT, classification", _of("BertConfig", num_labels=3,
                                                     architectures=["BertForSequenceClassification"]), CLASSIFIER,
                         objective="label_logprob"),
    "bert_masked": Architecture("BERT, masked words", _of("BertConfig", architectures=["BertForMaskedLM"]), MASKED,
                                objective="word_logprob"),
    "modernbert": Architecture(
        "ModernBERT, classification",
        _of("ModernBertConfig", num_labels=3, architectures=["ModernBertForSequenceClassification"]), CLASSIFIER,
        objective="label_logprob",
    ),
    "sentence_encoder": Architecture(
        "MiniLM-like sentence encoder", _of("BertConfig", architectures=["BertModel"]), ENCODER,
        why="vectors of sentences", objective="alikeness",
    ),
    "mpnet": Architecture("MPNet sentence encoder", _of("MPNetConfig", architectures=["MPNetModel"]), ENCODER,
                          objective="alikeness"),
    "qwen3_embedding": Architecture(
        "Qwen3-Embedding", _of("Qwen3Config", **_GQA, head_dim=4, architectures=["Qwen3Model"]), ENCODER,
        why="a decoder without its head", objective="alikeness",
    ),
}  # fmt: skip
