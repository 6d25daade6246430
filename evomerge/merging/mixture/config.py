"""The ``config.json`` of a mixture from that of a dense model, and that of a mixture with fewer experts.

transformers' classes have different defaults for the same field, so every field that both have is written out. A field
that only the dense class has must say nothing: the mixture computes as that class does by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig

from evomerge.checkpoints import parse_config, read_by_transformers
from evomerge.errors import InputError
from evomerge.merging.mixture.families import MixtureFamily

_ABOUT = ("model_type", "architectures", "transformers_version", "_name_or_path", "dtype")
# Of the fields that no mixture has: how products were split, which changes no result, and the width of a head, which
# mixtures read all the same.
_SAID = (*_ABOUT, "pretraining_tp", "head_dim")
_WINDOWS = ("layer_types", "max_window_layers", "sliding_window", "use_sliding_window")
_WHOLE = "full_attention"


def mixture_config(
    config: Mapping[str, Any], family: MixtureFamily, experts: int, per_token: int, where: str
) -> dict[str, Any]:
    """The config of a mixture of dense models.

    Args:
        config: The dense model's.
        family: What it becomes.
        experts: Number of experts.
        per_token: How many of them a token goes through.
        where: Names the dense model in messages.

    Raises:
        InputError: If the dense model computes something that the mixture cannot, or transformers reads neither.
    """
    dense = _read(str(config["model_type"]), config, where)
    given, plain = dense.to_dict(), type(dense)().to_dict()
    blank = CONFIG_MAPPING[family.model_type]().to_dict()
    windows = set(given.get("layer_types") or ()) - {_WHOLE}
    known = {*blank, *_SAID, *(() if windows else _WINDOWS)}
    alien = [
        f"{where}: config.json says {name}={value!r}, for which a model of type {family.model_type} has no place"
        for name, value in given.items()
        if name in plain.keys() - known and value != plain[name]
    ]
    if alien:
        raise InputError(alien)
    data = {name: value for name, value in given.items() if name in blank and name not in _ABOUT}
    data |= {"model_type": family.model_type, "architectures": [family.architecture], **family.fixed}
    data |= {name: config[name] for name in ("dtype", "torch_dtype") if name in config}
    data |= {family.width: given["intermediate_size"], family.count: experts, "num_experts_per_tok": per_token}
    if "head_dim" in given and "head_dim" not in data:
        data["head_dim"] = given["head_dim"]
    if family.shared:
        data["shared_expert_intermediate_size"] = 1
    found = _read(family.model_type, data, "the mixture").to_dict()
    own = {name: value for name, value in given.items() if name in data and name != family.width}
    return _as_read(data, own, found, f"{where}: transformers reads {{}} otherwise in {family.model_type}")


def condensed_config(config: Mapping[str, Any], family: MixtureFamily, experts: int) -> dict[str, Any]:
    """The config of a mixture that has fewer experts; a token goes through at most as many as there are."""
    data = dict(config)
    for name in ("num_local_experts", "num_experts"):
        data.pop(name, None)
    per_token = int(getattr(_read(family.model_type, config, "the mixture"), "num_experts_per_tok"))  # noqa: B009
    return {**data, family.count: experts, "num_experts_per_tok": min(per_token, experts)}


def dense_config(config: Mapping[str, Any], family: MixtureFamily, where: str) -> dict[str, Any]:
    """The config of the dense model that a mixture of one expert is.

    Raises:
        InputError: If that dense model would compute something else.
    """
    mixture = _read(family.model_type, config, where)
    given = mixture.to_dict()
    if given.get("head_dim") is None:  # in Mixtral's configs it follows from the others
        given["head_dim"] = given["hidden_size"] // given["num_attention_heads"]
    # A window of attention is what tells the two dense types of Mixtral apart.
    kind = family.dense[-1]
    blank = CONFIG_MAPPING[kind]().to_dict()
    data = {name: value for name, value in given.items() if name in blank and name not in _ABOUT}
    architecture = family.architecture.replace("Moe", "").replace("Mixtral", "Mistral")
    data |= {"model_type": kind, "architectures": [architecture], "intermediate_size": given[family.width]}
    data |= {name: config[name] for name in ("dtype", "torch_dtype") if name in config}
    found = _read(kind, data, "the dense model").to_dict()
    return _as_read(data, data, found, f"{where}: transformers reads {{}} otherwise in {kind}")


def _as_read(data: dict[str, Any], wanted: Mapping[str, Any], found: Mapping[str, Any], problem: str) -> dict[str, Any]:
    """A config that transformers reads as it is meant; that there is none of something may be said in several ways."""
    unlike = [n for n, value in wanted.items() if n not in _ABOUT and (found.get(n) or None) != (value or None)]
    if unlike:
        raise InputError(problem.format(", ".join(unlike)))
    return data


def _read(kind: str, data: Mapping[str, Any], where: str) -> PreTrainedConfig:
    with read_by_transformers(f"{where}: transformers cannot read the config of type {kind}"):
        return parse_config(kind, data)
