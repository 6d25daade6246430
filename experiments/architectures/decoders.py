"""Causal language models: attention, experts, state spaces, and mixtures of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.architectures.architecture import GQA, Architecture, of, only
from experiments.architectures.sizes import VOCABULARY

_EXPERTS: Mapping[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
_LINEAR: Mapping[str, Any] = {
    "linear_conv_kernel_dim": 2, "linear_key_head_dim": 4, "linear_value_head_dim": 4, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
_MAMBA: Mapping[str, Any] = {"mamba_d_state": 4, "mamba_d_conv": 2, "mamba_expand": 2}
_MOE: Mapping[str, Any] = {**GQA, **_EXPERTS}


DECODERS: Mapping[str, Architecture] = {
    "llama": Architecture("Llama", of("LlamaConfig", **GQA)),
    "llama_tied": Architecture("Llama 3.2", of("LlamaConfig", **GQA, tie_word_embeddings=True),
                               why="tied embeddings"),
    "mistral": Architecture("Mistral", of("MistralConfig", **GQA)),
    "qwen2": Architecture("Qwen2", of("Qwen2Config", **GQA), why="biases of the attention"),
    "qwen3": Architecture("Qwen3", of("Qwen3Config", **GQA, head_dim=4), why="norms of queries and keys"),
    "gemma2": Architecture("Gemma 2", of("Gemma2Config", **GQA, head_dim=4), why="four norms a layer, soft caps"),
    "gemma3": Architecture("Gemma 3", of("Gemma3TextConfig", **GQA, head_dim=4), why="local and global layers"),
    "gemma3n": Architecture(
        "Gemma 3n, text",
        of("Gemma3nTextConfig", **GQA, head_dim=4, vocab_size_per_layer_input=VOCABULARY,
            hidden_size_per_layer_input=4,
            altup_num_inputs=2, num_kv_shared_layers=0, laurel_rank=4, activation_sparsity_pattern=[0.0, 0.0],
            layer_types=["sliding_attention", "full_attention"]),
        why="inputs of each layer, alternating updates",
    ),
    "gemma4": Architecture(
        "Gemma 4, text",
        of("Gemma4TextConfig", **GQA, head_dim=4, global_head_dim=4, vocab_size_per_layer_input=VOCABULARY,
            hidden_size_per_layer_input=4, num_kv_shared_layers=0, layer_types=["sliding_attention", "full_attention"]),
        why="inputs of each layer",
    ),
    "phi": Architecture("Phi-2", of("PhiConfig"), why="parallel attention and MLP"),
    "phi3": Architecture("Phi-3", of("Phi3Config", **GQA), why="fused projections"),
    "gpt2": Architecture(
        "GPT-2", only("GPT2Config", n_positions=64, n_embd=16, n_layer=2, n_head=2), why="transposed matrices"
    ),
    "gpt_neox": Architecture("GPT-NeoX", of("GPTNeoXConfig"), why="fused projections, untied embed_out"),
    "gptj": Architecture("GPT-J", only("GPTJConfig", n_positions=64, n_embd=16, n_layer=2, n_head=2, rotary_dim=4)),
    "opt": Architecture(
        "OPT",
        only("OPTConfig", hidden_size=16, num_hidden_layers=2, ffn_dim=32, max_position_embeddings=64,
              num_attention_heads=2, word_embed_proj_dim=8),
        why="projected embeddings",
    ),
    "bloom": Architecture("BLOOM", only("BloomConfig", hidden_size=16, n_layer=2, n_head=2), why="position biases"),
    "mpt": Architecture("MPT", only("MptConfig", d_model=16, n_layers=2, n_heads=2, max_seq_len=64),
                        why="position biases"),
    "falcon": Architecture("Falcon", only("FalconConfig", hidden_size=16, num_hidden_layers=2, num_attention_heads=2)),
    "olmo2": Architecture("OLMo 2", of("Olmo2Config", **GQA), why="norms after the blocks"),
    "olmo3": Architecture("OLMo 3", of("Olmo3Config", **GQA)),
    "olmoe": Architecture("OLMoE", of("OlmoeConfig", num_key_value_heads=2, num_experts=4, num_experts_per_tok=2)),
    "stablelm": Architecture("StableLM", of("StableLmConfig", **GQA)),
    "starcoder2": Architecture("StarCoder2", of("Starcoder2Config", **GQA)),
    "cohere": Architecture("Command R", of("CohereConfig", **GQA), why="parallel blocks, scaled logits"),
    "cohere2": Architecture("Command R7B", of("Cohere2Config", **GQA, head_dim=4)),
    "granite": Architecture("Granite", of("GraniteConfig", **GQA), why="scaled residuals"),
    "smollm3": Architecture("SmolLM3", of("SmolLM3Config", **GQA), why="layers without positions"),
    "exaone4": Architecture("EXAONE 4", of("Exaone4Config", **GQA, head_dim=4)),
    "nemotron": Architecture("Nemotron", of("NemotronConfig", **GQA)),
    "glm4": Architecture("GLM-4", of("Glm4Config", **GQA, head_dim=4)),
    "glm4_moe": Architecture(
        "GLM-4.5",
        of("Glm4MoeConfig", **GQA, head_dim=4, n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1,
            moe_intermediate_size=8, first_k_dense_replace=1, n_group=1, topk_group=1),
    ),
    "mixtral": Architecture("Mixtral", of("MixtralConfig", **GQA, num_local_experts=4, num_experts_per_tok=2)),
    "qwen2_moe": Architecture("Qwen2-MoE", of("Qwen2MoeConfig", **_MOE, shared_expert_intermediate_size=8)),
    "qwen3_moe": Architecture("Qwen3-MoE", of("Qwen3MoeConfig", **_MOE, head_dim=4)),
    "deepseek_v2": Architecture(
        "DeepSeek-V2",
        of("DeepseekV2Config", n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=8,
            kv_lora_rank=8, q_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=4,
            first_k_dense_replace=1, n_group=1, topk_group=1),
    ),
    "deepseek_v3": Architecture(
        "DeepSeek-V3",
        of("DeepseekV3Config", n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=8,
            kv_lora_rank=8, q_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=4,
            first_k_dense_replace=1, n_group=2, topk_group=1),
        why="latent attention, a bias of the router that is no parameter",
    ),
    "gpt_oss": Architecture(
        "GPT-OSS",
        of("GptOssConfig", **GQA, head_dim=4, num_local_experts=4, num_experts_per_tok=2,
            layer_types=["sliding_attention", "full_attention"]),
        why="stacked experts with biases, attention sinks",
    ),
    "llama4": Architecture(
        "Llama 4, text",
        of("Llama4TextConfig", **GQA, head_dim=4, num_local_experts=4, intermediate_size_mlp=32,
            attention_chunk_size=32, interleave_moe_layer_step=2),
        why="stacked experts",
    ),
    "qwen3_next": Architecture(
        "Qwen3-Next",
        of("Qwen3NextConfig", **_MOE, **_LINEAR, head_dim=4, shared_expert_intermediate_size=8),
        why="linear attention and experts",
    ),
    "qwen3_5": Architecture("Qwen3.5, text", of("Qwen3_5TextConfig", **GQA, **_LINEAR, head_dim=4),
                            why="linear attention"),
    "mamba": Architecture(
        "Mamba", only("MambaConfig", hidden_size=16, state_size=4, num_hidden_layers=2), why="state space"
    ),
    "mamba2": Architecture(
        "Mamba-2",
        only("Mamba2Config", hidden_size=16, state_size=4, num_hidden_layers=2, num_heads=4, head_dim=8, n_groups=1,
              expand=2, chunk_size=8),
        why="state space",
    ),
    "jamba": Architecture(
        "Jamba",
        of("JambaConfig", **GQA, **_MAMBA, mamba_dt_rank=2, num_experts=2, num_experts_per_tok=1,
            expert_layer_period=2, expert_layer_offset=1, attn_layer_period=2, attn_layer_offset=1,
            use_mamba_kernels=False),
        why="state space, attention and experts",
    ),
    "falcon_h1": Architecture(
        "Falcon-H1",
        of("FalconH1Config", **GQA, **_MAMBA, head_dim=4, mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=1,
            mamba_d_ssm=32, mamba_chunk_size=8),
        why="state space beside attention",
    ),
    "bamba": Architecture(
        "Bamba",
        of("BambaConfig", **GQA, **_MAMBA, mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=1, mamba_chunk_size=8,
            attn_layer_indices=[1]),
    ),
    "zamba2": Architecture(
        "Zamba2",
        of("Zamba2Config", **_MAMBA, n_mamba_heads=4, mamba_ngroups=1, mamba_headdim=8, chunk_size=8,
            num_hidden_layers=3,
            layers_block_type=["mamba", "hybrid", "hybrid"], num_mem_blocks=1, adapter_rank=4, use_mamba_kernels=False),
        why="a block that several layers share",
    ),
    "granitemoehybrid": Architecture(
        "Granite 4",
        of("GraniteMoeHybridConfig", **GQA, mamba_d_state=4, mamba_d_conv=2, mamba_expand=2, mamba_n_heads=4,
            mamba_d_head=8, mamba_n_groups=1, mamba_chunk_size=8, num_local_experts=4, num_experts_per_tok=2,
            shared_intermediate_size=16, layer_types=["mamba", "attention"]),
        why="state space, attention and experts",
    ),
    "lfm2": Architecture(
        "LFM2", of("Lfm2Config", **GQA, layer_types=["conv", "full_attention"]), why="convolutions and attention"
    ),
    "recurrent_gemma": Architecture(
        "RecurrentGemma",
        of("RecurrentGemmaConfig", num_key_value_heads=1, num_hidden_layers=3, lru_width=16, attention_window_size=32,
            block_types=["recurrent", "recurrent", "attention"]),
        why="a linear recurrence and attention",
    ),
    "rwkv": Architecture(
        "RWKV-4",
        only("RwkvConfig", hidden_size=16, attention_hidden_size=16, num_hidden_layers=2, intermediate_size=32,
              context_length=64),
        why="a linear recurrence",
    ),
}  # fmt: skip
