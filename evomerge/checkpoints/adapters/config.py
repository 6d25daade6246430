"""The content of ``adapter_config.json``: what a merge needs of it, and what it cannot be done for.

The rules are those of PEFT 0.21 (``LoraConfig``). A field that is unknown here and says something is refused: it may
change what the adapter's tensors mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evomerge.checkpoints.json_files import read_object
from evomerge.errors import InputError
from evomerge.texts import may_never_end

CONFIG = "adapter_config.json"

# About training, or about which modules got tensors, which the tensors themselves say.
_WITHOUT_EFFECT = (
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",
    "target_modules", "exclude_modules", "lora_dropout", "bias", "modules_to_save", "init_lora_weights",
    "layers_to_transform", "layers_pattern", "megatron_core", "loftq_config", "eva_config", "corda_config",
    "lora_ga_config", "lora_bias", "qalora_group_size", "runtime_config", "merge_weights",
)  # fmt: skip
_READ = (
    "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "use_dora",
    "trainable_token_indices", "target_parameters", "ensure_weight_tying",
)  # fmt: skip
_REFUSED: Mapping[str, str] = {
    "alora_invocation_tokens": "an aLoRA adapter acts only after its invocation tokens, so no merged weights are the "
    "same model; leave it out",
    "layer_replication": "it was trained on a base with repeated layers; stack the base's layers by a recipe first, "
    "write that model to a folder and merge the adapter into it there",
    "use_qalora": "QALoRA adapters belong to a quantised base; leave it out, or train a plain LoRA",
    "arrow_config": "an Arrow router chooses adapters for every token, so no merged weights are the same model; name "
    "the adapters that it chooses from",
    "kasa_config": "KaSA changes the base's weights when it starts",
    "monteclora_config": "Monte Carlo LoRA has other tensors than A and B",
    "use_bdlora": "block-diagonal LoRA has other tensors than A and B",
    "velora_config": "VeLoRA has other tensors than A and B",
    "megatron_config": "it was trained on Megatron's layers, not on transformers'",
    "enable_lora": "it adapts parts of a fused layer, as the first versions of PEFT did",
}
REMEDY = (
    "merge it where it was trained, PeftModel.from_pretrained(BASE, FOLDER).merge_and_unload().save_pretrained(NEW), "
    "and name that folder"
)
_OF_THE_PROMPT = (
    "PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CARTRIDGE", "CPT", "ADAPTION_PROMPT",
)  # fmt: skip
# How A and B began is of no matter, unless the base was changed along with them.
_PLAIN_STARTS = (True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class AdapterConfig:
    """Everything that the merge of a LoRA adapter depends on, beside its tensors.

    Attributes:
        path: The file.
        rank: Rank of modules that no pattern names.
        alpha: Numerator of their scale.
        rslora: Whether the scale is alpha over the square root of the rank (Kalajdzievski 2023) rather than the rank.
        ranks: Pattern of module names to rank; the first that matches counts.
        alphas: Pattern of module names to alpha.
        transposed: Whether square weights are stored as (inputs, outputs), where the base does not tell.
        dora: Whether weights are split into directions and magnitudes (Liu et al. 2024).
        tokens: Rows of the embeddings that were trained: by module, or of the input embeddings under ``""``.
        parameters: Parameters that were adapted as such rather than by their module.
        tied: Whether tied embeddings were trained as one.
    """

    path: Path
    rank: int = 8
    alpha: float = 8.0
    rslora: bool = False
    ranks: Mapping[str, int] = field(default_factory=dict)
    alphas: Mapping[str, float] = field(default_factory=dict)
    transposed: bool = False
    dora: bool = False
    tokens: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    tied: bool = False

    def rank_of(self, module: str) -> int:
        """The rank that a module's tensors must have."""
        return _matching(self.ranks, module, self.rank)

    def scale_of(self, module: str) -> float:
        """The factor of a module's product of B and A."""
        rank = self.rank_of(module)
        return _matching(self.alphas, module, self.alpha) / (math.sqrt(rank) if self.rslora else rank)

    def to_json(self) -> dict[str, Any]:
        """Everything that a merge depends on, for the adapter's fingerprint; empty fields are left out."""
        found = {
            "rank": self.rank,
            "alpha": self.alpha,
            "rslora": self.rslora,
            "ranks": dict(self.ranks),
            "alphas": dict(self.alphas),
            "transposed": self.transposed,
            "dora": self.dora,
            "tokens": {module: list(rows) for module, rows in self.tokens.items()},
        }
        return {name: value for name, value in found.items() if value}


def read_config(path: Path) -> AdapterConfig:
    """Reads an adapter's configuration.

    Args:
        path: The ``adapter_config.json``.

    Raises:
        InputError: If it cannot be read, is not of a LoRA adapter, or says something that a merge cannot do; all
            problems, each naming the file.
    """
    data = read_object(path)
    kind = data.get("peft_type")
    if kind != "LORA":  # whose fields mean other things
        why = "it learnt a prompt, so no merged weights are the same model; leave it out"
        told = why if kind in _OF_THE_PROMPT else REMEDY
        raise InputError(f"{str(path)!r}: peft_type is {_shown(kind)}; only LORA is merged here; {told}")
    problems = list(_unmergeable(data))
    fields: dict[str, Any] = {}
    for name, (own, read) in _READERS.items():
        if data.get(name) is None:
            continue
        try:
            fields[own] = read(data[name])
        except ValueError as error:
            problems.append(f"{name} is {_shown(data[name])}; expected {error}")
    if problems:
        raise InputError([f"{str(path)!r}: {problem}" for problem in problems])
    return AdapterConfig(path, **fields)


def _unmergeable(data: Mapping[str, Any]) -> Iterator[str]:
    for name, reason in _REFUSED.items():
        if data.get(name):
            yield f"{name} is set: {reason}" + ("" if ";" in reason else f"; {REMEDY}")
    start = data.get("init_lora_weights", True)
    if start not in _PLAIN_STARTS:
        yield (
            f"init_lora_weights is {_shown(start)}, which may have changed the base as well; save it converted to a "
            f"plain LoRA (path_initial_model_for_weight_conversion of PEFT's save_pretrained), or {REMEDY}"
        )
    for name, value in data.items():
        if name not in _WITHOUT_EFFECT and name not in _READ and name not in _REFUSED and value:
            yield f"field {name!r} is {_shown(value)}, and what it does is not known here; {REMEDY}"


def _matching(patterns: Mapping[str, Any], module: str, otherwise: Any) -> Any:
    """The value of the first pattern that ends a module's name, at a dot or as a whole."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return otherwise


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("a whole number above 0")
    return value


def _number(value: Any) -> float:
    try:
        if not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    except OverflowError:  # an integer of hundreds of digits
        pass
    raise ValueError("a number")


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _patterns(read: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def reader(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError("an object of patterns of module names")
        for pattern in value:
            if may_never_end(pattern):
                raise ValueError(
                    f"patterns without repetitions of repetitions, which may never end; {pattern!r} has one"
                )
            try:
                re.compile(rf"(.*\.)?({pattern})$")
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(f"regular expressions, which {pattern!r} is not: {error}") from None
        try:
            return {pattern: read(own) for pattern, own in value.items()}
        except ValueError as error:
            raise ValueError(f"an object of patterns, each with {error}") from None

    return reader


def _tokens(value: Any) -> dict[str, tuple[int, ...]]:
    by_module = value if isinstance(value, Mapping) else {"": value}
    for rows in by_module.values():
        whole = isinstance(rows, list) and all(isinstance(row, int) and not isinstance(row, bool) for row in rows)
        if not whole or min(rows, default=0) < 0 or len(set(rows)) != len(rows):
            raise ValueError("a list of different token ids, or one for each module")
    return {module: tuple(rows) for module, rows in by_module.items() if rows}


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError("a list of names")
    return tuple(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


_READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "r": ("rank", _whole),
    "lora_alpha": ("alpha", _number),
    "use_rslora": ("rslora", _truth),
    "rank_pattern": ("ranks", _patterns(_whole)),
    "alpha_pattern": ("alphas", _patterns(_number)),
    "fan_in_fan_out": ("transposed", _truth),
    "use_dora": ("dora", _truth),
    "trainable_token_indices": ("tokens", _tokens),
    "target_parameters": ("parameters", _texts),
    "ensure_weight_tying": ("tied", _truth),
}
