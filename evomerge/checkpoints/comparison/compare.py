"""Whether checkpoints can be merged, told from headers, configs and tokenizer files before any work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.checkpoints.comparison.generation import chat_template, end_tokens, flat_config
from evomerge.checkpoints.comparison.tokenizer_files import (
    read_merges,
    read_vocabulary,
    same_tokenizer_file,
    sentencepiece_digest,
    vocabulary_differences,
)
from evomerge.checkpoints.heads import is_embedding, is_head, untied_heads
from evomerge.checkpoints.source import CheckpointSource, stored_dtype
from evomerge.errors import InputError
from evomerge.recipe import DEFAULT_LAYER_PATTERN

_SHOWN = 5
# Tables that a model computes by itself; older files hold them, newer ones do not, and nothing reads them.
_COMPUTED = re.compile(r"(?:inv_freq|masked_bias|position_ids|\.attn\.bias)$")
# Same shapes, another function: these change what the weights mean.
_MEANING = (
    "num_attention_heads", "n_head", "num_key_value_heads", "head_dim", "hidden_act", "hidden_activation",
    "activation_function", "num_experts_per_tok", "position_embedding_type",
)  # fmt: skip
# Same weights, slightly another function: merging is usual, but people should know.
_SETTINGS = (
    "rope_theta", "rope_scaling", "rope_parameters", "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon",
    "sliding_window", "max_position_embeddings", "n_positions", "attention_bias", "final_logit_softcapping",
    "attn_logit_softcapping", "partial_rotary_factor", "rotary_pct",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """What stands against merging checkpoints.

    Attributes:
        problems: Reasons why they cannot be merged, all of them.
        warnings: Differences to know about.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def check(self) -> None:
        """Raises an :class:`~evomerge.errors.InputError` with all problems, if there are any."""
        if self.problems:
            raise InputError(self.problems)


def compare(reference: CheckpointSource, others: Sequence[CheckpointSource]) -> Comparison:
    """Compares checkpoints with the one whose config, tokenizer and tensor names the merged model gets.

    Args:
        reference: The base, or the first model where there is no base.
        others: The checkpoints to merge with it.

    Returns:
        All problems and warnings, in the order of ``others``.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for other in others:
        if other.path.resolve() == reference.path.resolve():
            continue
        label = str(other.path)
        found, noted = _architecture(reference, other)
        problems += [f"{label}: {text}" for text in found]
        warnings += [f"{label}: {text}" for text in noted]
        problems += [f"{label}: {text}" for text in _tensors(reference, other)]
        found, noted = _tokenizers(reference.path, other.path)
        problems += [f"{label}: {text}" for text in found]
        warnings += [f"{label}: {text}" for text in [*noted, *_remarks(reference, other)]]
    return Comparison(tuple(problems), tuple(warnings))


def expected_names(reference: CheckpointSource) -> list[str]:
    """Names that every checkpoint must have: the reference's, less repeated heads and computed tables."""
    return [name for name in reference.specs if name not in reference.aliases and not is_computed(reference, name)]


def is_computed(checkpoint: CheckpointSource, name: str) -> bool:
    """Whether a tensor is a table that the model computes by itself and no file needs to hold."""
    if not _COMPUTED.search(name):
        return False
    # "attn.bias" is a causal mask in GPT-2 files, four dimensions, and could be a real bias elsewhere.
    return not name.endswith(".attn.bias") or len(checkpoint.specs[name].shape) == 4


def _architecture(reference: CheckpointSource, other: CheckpointSource) -> tuple[list[str], list[str]]:
    ours, theirs = flat_config(reference.config), flat_config(other.config)
    problems = []
    for field in ("model_type", "architectures"):
        if field in ours and field in theirs and ours[field] != theirs[field]:
            problems.append(f"{field} is {theirs[field]!r}, the reference has {ours[field]!r}")
    problems += _unlike(ours, theirs, _MEANING)
    return problems, _unlike(ours, theirs, _SETTINGS)


def _unlike(ours: Mapping[str, Any], theirs: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [
        f"config field {field} is {theirs.get(field)!r}, the reference has {ours.get(field)!r}"
        for field in sorted(ours.keys() | theirs.keys())
        if field.rsplit(".", 1)[-1] in names and ours.get(field) != theirs.get(field)
    ]


def _tensors(reference: CheckpointSource, other: CheckpointSource) -> list[str]:
    expected = set(expected_names(reference))
    came = set(expected_names(other))
    problems = _heads(reference, other)
    expected = {name for name in expected if not is_head(name) or name in came}
    came = {name for name in came if not is_head(name) or name in expected}
    ours, theirs = _layer_count(expected), _layer_count(came)
    if ours != theirs:
        problems.append(f"it has {theirs} layers, the reference has {ours}")
        shared = min(ours, theirs)
        expected = {name for name in expected if _layer(name) < shared}
        came = {name for name in came if _layer(name) < shared}
    missing = [name for name in reference.specs if name in expected - came]
    extra = [name for name in other.specs if name in came - expected]
    if len(missing) == len(expected) and expected:
        return [
            *problems,
            f"none of its tensor names is one of the reference's (it has {_some(extra)}; the reference has "
            f"{_some(missing)}). If it is the same architecture, load both with transformers and save them again",
        ]
    if missing:
        problems.append(f"{len(missing)} tensors are missing: {_some(missing)}")
    if extra:
        problems.append(f"{len(extra)} tensors are not in the reference: {_some(extra)}")
    return problems + _shapes(reference, other, [name for name in reference.specs if name in expected & came])


def _shapes(reference: CheckpointSource, other: CheckpointSource, names: Sequence[str]) -> list[str]:
    problems = []
    unlike = [name for name in names if reference.specs[name].shape != other.specs[name].shape]
    for name in unlike[:_SHOWN]:
        ours, theirs = reference.specs[name].shape, other.specs[name].shape
        problem = f"tensor {name!r} has shape {list(theirs)}, the reference has {list(ours)}"
        if (is_head(name) or is_embedding(name)) and ours[1:] == theirs[1:]:
            problem += ". If the other rows are padding, model.resize_token_embeddings makes them equal"
        problems.append(problem)
    if len(unlike) > _SHOWN:
        problems.append(f"{len(unlike) - _SHOWN} more tensors have other shapes: {_some(unlike[_SHOWN:])}")
    return problems


def _heads(reference: CheckpointSource, other: CheckpointSource) -> list[str]:
    own, theirs = untied_heads(reference), untied_heads(other)
    if own and not theirs:
        return [
            f"its output embeddings are tied to its input embeddings, the reference has its own ({own[0]}). Untie "
            "them first: save a copy of the input embeddings under that name and set tie_word_embeddings to false"
        ]
    if theirs and not own:
        return [
            f"it has output embeddings of its own ({theirs[0]}), but the reference ties them to the input embeddings. "
            "Use an untied reference, or tie this checkpoint"
        ]
    return []


def _layer(name: str) -> int:
    found = re.search(DEFAULT_LAYER_PATTERN, name)
    return int(found[1]) if found else -1


def _layer_count(names: set[str]) -> int:
    return max((_layer(name) for name in names), default=-1) + 1


def _tokenizers(reference: Path, other: Path) -> tuple[list[str], list[str]]:
    if same_tokenizer_file(reference, other):
        return [], []
    ours, theirs = read_vocabulary(reference), read_vocabulary(other)
    if ours is None or theirs is None:
        pieces = sentencepiece_digest(reference), sentencepiece_digest(other)
        if None not in pieces and pieces[0] == pieces[1]:
            return [], []
        which = "neither has" if ours is None and theirs is None else "one of the two has no"
        return [], [f"the vocabularies could not be compared: {which} tokenizer.json, vocab.json or vocab.txt"]
    differences = vocabulary_differences(ours, theirs)
    if differences:
        shown = ", ".join(differences[:_SHOWN]) + (", ..." if len(differences) > _SHOWN else "")
        return [
            f"its vocabulary differs from the reference's in {len(differences)} tokens: {shown}. Merging would mix the "
            "embeddings of different tokens; use checkpoints with one tokenizer"
        ], []
    if read_merges(reference) != read_merges(other):
        return [], ["its tokenizer has the same tokens as the reference's but other merge rules"]
    return [], []


def _remarks(reference: CheckpointSource, other: CheckpointSource) -> list[str]:
    remarks = []
    if stored_dtype(reference) != stored_dtype(other):
        first, second = (str(stored_dtype(source)).removeprefix("torch.") for source in (reference, other))
        remarks.append(f"its weights are {second}, the reference's are {first}; merging computes in float32")
    if chat_template(reference.path) != chat_template(other.path):
        remarks.append("its chat template is not the reference's; the merged model gets the reference's")
    ours, theirs = end_tokens(reference.path), end_tokens(other.path)
    remarks += [
        f"{where} is {theirs.get(where)!r}, the reference has {ours.get(where)!r}, which the merged model gets"
        for where in sorted(ours.keys() | theirs.keys())
        if ours.get(where) != theirs.get(where)
    ]
    return remarks


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
