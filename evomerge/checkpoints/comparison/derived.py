"""The meaning of a ``config.json``: the attributes that transformers derives from it, whatever version wrote it.

Versions write the same model differently: a head size or a number of key/value heads that follows from others is left
out, rotary settings are one field or several, a sliding window is written though it is switched off. The configuration
classes of transformers know all of that, so they read the file. Where there is no class for it, or the class refuses
the file, the fields are compared as written, with the defaults that all classes share.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import transformers
from transformers import AutoConfig, PretrainedConfig

from evomerge.checkpoints.files.foreign import parse_config, silently
from evomerge.checkpoints.source import CheckpointSource

# The same function under several names.
_ACTIVATIONS = {
    "swish": "silu",
    "gelu_python": "gelu",
    **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_accurate", "gelu_python_tanh"), "gelu_pytorch_tanh"),
}
# Rotary settings that nothing looks at, and the types that do not look at the original length.
_UNREAD_ROPE = ("finetuned",)
_WITHOUT_LENGTH = ("linear", "dynamic")
_YARN = {"beta_fast": 32, "beta_slow": 1, "truncate": True}
_THETA = 10_000.0
# Of classes with layer types, these only say how the types were made, or matter to layers of such a type alone.
_IN_LAYER_TYPES = ("use_sliding_window", "max_window_layers", "sliding_window_pattern")
_IN_ROPE = ("rope_scaling", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings")
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_WINDOWED = ("sliding", "chunked", "local")

Fields = dict[str, Any]


def derive(source: CheckpointSource, *, trust_remote_code: bool = False) -> Fields | None:
    """Derives the attributes of a checkpoint's config with transformers' own classes.

    Args:
        source: The checkpoint.
        trust_remote_code: Whether a configuration class that comes with the checkpoint may run.

    Returns:
        Attributes that the class declares, those of parts under ``text_config.`` and the like, rotary settings each
        under ``rope_parameters.``; None where no class can read the config.
    """
    config = read_config(source, trust_remote_code=trust_remote_code) or _read_without_nulls(source.config)
    if config is None:
        return None
    with silently():
        fields = dict(_attributes(config))
    return fields | _falcon(fields) if config.model_type == "falcon" else fields


def derive_text(source: CheckpointSource) -> tuple[str, Fields] | None:
    """Derives the type and the attributes of the language model alone, whatever it is a part of.

    Args:
        source: The checkpoint.

    Returns:
        Its ``model_type`` and its attributes; None where no class can read the config, or it is about no such part.
    """
    config = read_config(source)
    if config is None:
        return None
    with silently():
        text = config.get_text_config(decoder=True)
        return str(text.model_type), dict(_attributes(text))


class Described(Protocol):
    """A model's folder and the content of its ``config.json``; no weights are needed."""

    @property
    def path(self) -> Path:
        """The folder."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The content of its ``config.json``."""
        ...


def read_config(source: Described, *, trust_remote_code: bool = False) -> PretrainedConfig | None:
    """Reads a checkpoint's config with transformers' own class: what the file leaves out has the class's defaults.

    Args:
        source: The checkpoint.
        trust_remote_code: Whether a configuration class that comes with the checkpoint may run.

    Returns:
        The config, or None where no class can read it.
    """
    if "model_type" not in source.config:  # transformers would guess from the folder's name
        return None
    with silently():
        try:
            config: PretrainedConfig = AutoConfig.from_pretrained(
                source.path, local_files_only=True, trust_remote_code=trust_remote_code
            )
        except Exception:  # each class checks what it reads in its own way; building the model reports it
            return None
        return config


def _read_without_nulls(written: Mapping[str, Any]) -> PretrainedConfig | None:
    """Reads a config whose class refuses null in some fields; older versions wrote null for the default there."""
    kind, own = str(written.get("model_type")), dict(written)
    if kind not in transformers.CONFIG_MAPPING:
        return None
    for _ in range(1 + sum(value is None for value in written.values())):
        try:
            with silently():
                return parse_config(kind, own)
        except Exception as error:
            refused = next((n for n, value in own.items() if value is None and f"field '{n}'" in str(error)), None)
            if refused is None:
                return None
            del own[refused]
    return None


def _falcon(fields: Fields) -> Fields:
    """Fields of Falcon that another one overrules; the model itself writes some of them when it is built."""
    if fields.get("new_decoder_architecture"):
        return {"multi_query": None, "num_ln_in_parallel_attn": fields.get("num_ln_in_parallel_attn") or 2}
    return {"num_kv_heads": 1} if fields.get("multi_query") else {}


def as_written(config: Mapping[str, Any], prefix: str = "") -> Fields:
    """The fields of a config as they are written, in the same form, with defaults that all classes share.

    Args:
        config: Content of a ``config.json``.
        prefix: Put before each name.
    """
    fields: Fields = {}
    own = dict(config)
    for name in [name for name, value in own.items() if name.endswith("_config") and isinstance(value, Mapping)]:
        fields |= as_written(own.pop(name), f"{prefix}{name}.")
    heads = next((own[name] for name in _HEADS if _is_count(own.get(name))), None)
    width = next((own[name] for name in ("hidden_size", "n_embd", "d_model") if _is_count(own.get(name))), None)
    if heads is not None:
        own["num_key_value_heads"] = _or(own.get("num_key_value_heads"), heads)
        own["head_dim"] = _or(own.get("head_dim"), _head_dim(width, heads))
    own["attention_bias"] = bool(own.get("attention_bias"))
    own["sliding_window"] = None if own.get("use_sliding_window") is False else own.get("sliding_window")
    rope = own.pop("rope_parameters", None) or own.pop("rope_scaling", None) or {}
    theta = _or(own.pop("rope_theta", None), _THETA)
    if isinstance(rope, Mapping):
        length = {"original_max_position_embeddings": own.pop("original_max_position_embeddings", None)}
        own |= dict(_rotary({"rope_theta": theta, **length, **rope}))
    return fields | {prefix + name: _plain(value) for name, value in own.items()}


def _attributes(config: PretrainedConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    declared = _declared(type(config))
    unread = set(_IN_ROPE) if "rope_parameters" in declared else set()
    if "layer_types" in declared:
        kinds = " ".join(map(str, getattr(config, "layer_types", None) or ()))
        unread |= set(_IN_LAYER_TYPES)
        unread |= set() if any(word in kinds for word in _WINDOWED) else {"sliding_window"}
    derived = {"head_dim"} if declared & set(_HEADS) else set()
    for name in sorted(declared - unread | derived):
        value = _attribute(config, name)
        if isinstance(value, PretrainedConfig):
            yield from _attributes(value, f"{prefix}{name}.")
        elif name in ("rope_parameters", "rope_scaling") and isinstance(value, Mapping | None):
            yield from ((prefix + key, part) for key, part in _rotary(value or {}))
        else:
            yield prefix + name, _plain(value)


def _declared(kind: type[PretrainedConfig]) -> set[str]:
    """Names of the fields that a class reads; whatever else a file says stays on the object and is never looked at."""
    names = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    if "__init__" in vars(kind) and "kwargs" not in names:
        names |= inspect.signature(kind.__init__).parameters.keys()
    common = {field.name for field in dataclasses.fields(PretrainedConfig)}  # type: ignore[arg-type]
    return {name for name in names - common - {"self", "args", "kwargs"} if not name.startswith("_")}


def _attribute(config: PretrainedConfig, name: str) -> Any:
    value = getattr(config, name, None)
    if value is not None:
        return value
    heads, width = getattr(config, "num_attention_heads", None), getattr(config, "hidden_size", None)
    # Every model's code does the same where one of these fields is empty.
    if name == "num_key_value_heads":
        return heads
    return _head_dim(width, heads) if name == "head_dim" else None


def _head_dim(width: Any, heads: Any) -> int | None:
    return width // heads if _is_count(width) and _is_count(heads) else None


def _rotary(parameters: Mapping[str, Any], prefix: str = "rope_parameters.") -> Iterator[tuple[str, Any]]:
    """Rotary settings without those that their type does not look at, and without those that are the default anyway."""
    found = {name: value for name, value in parameters.items() if value is not None}
    nested = {name: value for name, value in found.items() if isinstance(value, Mapping)}
    if nested:  # by layer type
        theta = _THETA if "rope_theta" in nested else found.get("rope_theta", _THETA)
        for name, part in nested.items():
            yield from _rotary({"rope_theta": theta, **part}, f"{prefix}{name}.")
        return
    kind = found.pop("type", "default")
    kind = found.pop("rope_type", kind)
    kind = "longrope" if kind == "su" else kind
    if kind == "default":
        found = {k: v for k, v in found.items() if k in ("rope_theta", "partial_rotary_factor") or "section" in k}
    unread = (*_UNREAD_ROPE, *(("original_max_position_embeddings",) if kind in _WITHOUT_LENGTH else ()))
    found = {name: value for name, value in found.items() if name not in unread}
    if kind == "yarn":
        found = {**_YARN, **found}
    if found.get("partial_rotary_factor") == 1:
        del found["partial_rotary_factor"]
    yield f"{prefix}rope_type", kind
    for name, value in found.items():
        yield prefix + name, _plain(value)


def _plain(value: Any) -> Any:
    """A value as JSON would give it, one name for each activation."""
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    return _ACTIVATIONS.get(value, value) if isinstance(value, str) else value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
