"""Comparison of configs by meaning: differences that forbid merging, and those to know about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.checkpoints.comparison.derived import Fields, as_written, derive, derive_text
from evomerge.checkpoints.source import CheckpointSource

# The same shapes and another function: weights of one are noise to the other.
_MEANING = re.compile(
    r"(?:^|\.)(?:(?:num_|n_|attention_|decoder_attention_|swa_num_)?(?:attention_|key_value_|kv_)?heads?|n_head|head_dim"
    r"|\w*hidden_act|hidden_activation|activation(?:_function)?|\w*experts_per_tok|position_embedding_type|alibi"
    r"|multi_query|parallel_attn|use_parallel_residual|new_decoder_architecture|do_layer_norm_before)$"
)
# Of no matter to a merged model: about training, generation and speed, or seen better in the tensors themselves.
_NO_MATTER = re.compile(
    r"dropout|_pdrop$|layerdrop|jitter|initializer|init_std|embed_init|w_init|time_step_|rescale_prenorm|loss|^output_"
    r"|^return_|use_cache|_token_id$|_token_index$|summary_|classifier|num_labels|vocab_size|pretraining_tp|kernels?$"
    r"|use_mambapy|logits_to_keep|is_decoder|add_cross_attention|tie_word_embeddings|num_hidden_layers|^n_layers?$"
    r"|^num_layers$|(?:^|\.)(?:hidden_size|n_embd|d_model|intermediate_size|ffn_dim|ffn_hidden_size|n_inner)$"
)
# Of a config that no class can read, only these are compared: what its other fields are for is not known.
_SETTINGS = re.compile(r"rope|rotary|_eps$|epsilon|window|max_position|n_positions|softcap|attention_bias|layer_types")


def config_differences(
    reference: CheckpointSource, other: CheckpointSource, *, trust_remote_code: bool = False
) -> tuple[list[str], list[str]]:
    """Compares what two configs mean.

    Args:
        reference: The checkpoint whose config the merged model gets.
        other: One that is merged with it.
        trust_remote_code: Whether configuration classes that come with checkpoints may run.

    Returns:
        Differences that make weights of one meaningless in the other, and those to know about.
    """
    types = reference.config.get("model_type"), other.config.get("model_type")
    if None not in types and types[0] != types[1]:  # other classes, other fields
        own, their = derive_text(reference), derive_text(other)
        if own is not None and their is not None and own[0] == their[0]:
            problems, warnings = _split(_unlike(own[1], their[1], sorted(own[1].keys() | their[1].keys())))
            both = f"it is a {types[1]} model, the reference a {types[0]} model: their language models are merged"
            return problems, [both, *warnings]
        return [f"model_type is {types[1]!r}, the reference has {types[0]!r}"], []
    ours, theirs = (derive(source, trust_remote_code=trust_remote_code) for source in (reference, other))
    if ours is None or theirs is None:
        return _written_differences(reference.config, other.config)
    return _split(_unlike(ours, theirs, sorted(ours.keys() | theirs.keys())))


def _written_differences(reference: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    ours, theirs = as_written(reference), as_written(other)
    names = [n for n in sorted(ours.keys() | theirs.keys()) if _MEANING.search(n) or _SETTINGS.search(n)]
    # A field that only one of them has may be another version's way to write the same; rotary settings are complete.
    certain = [n for n in names if (n in ours and n in theirs) or "rope_parameters." in n]
    problems, warnings = _split(_unlike(ours, theirs, certain))
    warnings += _unlike(ours, theirs, [n for n in names if n not in certain and _MEANING.search(n)]).values()
    both = reference.get("architectures"), other.get("architectures")
    if None not in both and both[0] != both[1]:
        problems.insert(0, f"architectures is {both[1]!r}, the reference has {both[0]!r}")
    return problems, warnings


def _unlike(ours: Fields, theirs: Fields, names: Sequence[str]) -> dict[str, str]:
    return {
        name: f"config.json: {name.replace('rope_parameters.rope_theta', 'rope_theta')} is {theirs.get(name)!r}, "
        f"the reference has {ours.get(name)!r}"
        for name in names
        if not _NO_MATTER.search(name) and not _same(ours.get(name), theirs.get(name))
    }


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) != len(theirs):
        return True  # one entry per layer: the numbers of layers are compared by the tensors
    return ours == theirs or not (ours or theirs)  # a switch that is off, and one that is not there


def _split(unlike: Mapping[str, str]) -> tuple[list[str], list[str]]:
    meaning = [text for name, text in unlike.items() if _MEANING.search(name)]
    return meaning, [text for text in unlike.values() if text not in meaning]
