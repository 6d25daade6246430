"""The model that transformers would build from a checkpoint, without memory for its weights.

All that can keep a checkpoint from being loaded, short of the values of its weights, shows here: a check costs a second
and applies the very rules that loading does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import transformers
from transformers import PreTrainedModel
from transformers.initialization import no_init_weights

from evomerge.checkpoints import (
    CheckpointSource,
    is_head,
    names_code,
    parse_config,
    read_by_transformers,
    read_object,
    reason,
)
from evomerge.errors import InputError
from evomerge.merging.model_class import ModelClass
from evomerge.merging.weight_map import filled

AUTO = "auto"
_SHOWN = 5


@dataclass(frozen=True)
class Blueprint:
    """The model that transformers builds from a checkpoint's config.

    Attributes:
        model: The model on the meta device.
        attention: The attention implementation: the one asked for, else the one that transformers chooses. ``auto``
            where the parts of a model have different ones, which only transformers' own choice gives.
    """

    model: PreTrainedModel
    attention: str
    _class: ModelClass
    _options: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        checkpoint: CheckpointSource,
        *,
        dtype: torch.dtype = torch.float32,
        attention: str = AUTO,
        trust_remote_code: bool = False,
        causal: bool = True,
    ) -> Self:
        """Builds the model of a checkpoint's config, and makes sure that the checkpoint holds its weights.

        Args:
            checkpoint: The checkpoint; its headers are read, not its weights.
            dtype: The type that the model computes in.
            attention: transformers' name of an attention implementation; ``auto`` is what transformers chooses.
            trust_remote_code: Whether code that comes with the checkpoint may run.
            causal: Whether it must be a causal language model, see :meth:`ModelClass.of`.

        Raises:
            InputError: If transformers cannot build the model, or the checkpoint does not hold exactly its weights.
        """
        options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
        if attention != AUTO:
            options["attn_implementation"] = attention
        kind, model = _build(checkpoint, dtype, options, causal)
        _check_filled(checkpoint, model)
        used = {str(part.config._attn_implementation) for part in model.modules() if isinstance(part, PreTrainedModel)}
        return cls(model, used.pop() if len(used) == 1 else AUTO, kind, options)

    @classmethod
    def of_config(
        cls,
        config: Mapping[str, Any],
        *,
        dtype: torch.dtype = torch.float32,
        attention: str = AUTO,
        causal: bool = True,
    ) -> Self:
        """Builds the model of a config that lies in no folder: of a merge whose layers are others than a checkpoint's.

        Args:
            config: The content of its ``config.json``, of a type that transformers knows.
            dtype: The type that the model computes in.
            attention: transformers' name of an attention implementation; ``auto`` is what transformers chooses.
            causal: Whether it must be a causal language model, see :meth:`ModelClass.of`.

        Raises:
            InputError: If transformers cannot build the model.
        """
        options = {} if attention == AUTO else {"attn_implementation": attention}
        try:
            parsed = parse_config(config["model_type"], config)
            kind = ModelClass.of(parsed, causal=causal)
            with torch.device("meta"):
                model = kind.build(parsed, dtype, options)
        except Exception as error:  # configs are checked by many classes, each in its own way
            raise InputError(f"transformers cannot build the merged model: {reason(error)}") from error
        return cls(model, attention, kind, options)

    def empty(self, folder: Path, dtype: torch.dtype, device: torch.device | str) -> PreTrainedModel:
        """Builds the model with memory for its weights, which hold whatever was there.

        Args:
            folder: The checkpoint whose generation settings it gets.
            dtype: The type that the model computes in.
            device: Where it lives.
        """
        with torch.device(device), no_init_weights():
            model = self._class.build(self.model.config, dtype, self._options)
        model.tie_weights()
        if (folder / "generation_config.json").is_file():
            model.generation_config = transformers.GenerationConfig.from_pretrained(folder, local_files_only=True)
        return model

    def load(self, folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, Mapping[str, Any]]:
        """Loads the model with its weights.

        Args:
            folder: The checkpoint's.
            dtype: The type that the model computes in.

        Returns:
            The model, and what transformers says about the loading.

        Raises:
            InputError: If transformers cannot load it.
        """
        with _quietly():
            try:
                return self._class.load(folder, dtype, self._options)
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # raised by many classes, each in its own way
                raise InputError(f"transformers cannot load {str(folder)!r}: {reason(error)}") from error


def is_computed_weight(model: PreTrainedModel, name: str) -> bool:
    """Whether a weight is a table of positions that transformers computes, and that checkpoints need not hold."""
    return "position" in name and _may_be_missing(model, name)


def _may_be_missing(model: PreTrainedModel, name: str) -> bool:
    patterns = getattr(model, "_keys_to_ignore_on_load_missing", None) or ()
    return any(re.search(pattern, name) for pattern in patterns)


def missing_weights(checkpoint: CheckpointSource, names: list[str]) -> list[str]:
    """Problems of a checkpoint that lacks weights of the model that its config describes.

    Args:
        checkpoint: The checkpoint.
        names: The model's parameters that no tensor fills.
    """
    where = repr(str(checkpoint.path))
    heads = [name for name in names if is_head(name)]
    others = [name for name in names if name not in heads]
    problems = [
        f"{where} lacks weights for {name!r}, and its config.json does not tie the output embeddings to the input "
        f"embeddings. If they are one tensor, set tie_word_embeddings to true in config.json; else store {name}"
        for name in heads
    ]
    if others:
        shown = ", ".join(map(repr, others[:_SHOWN])) + (f" and {len(others) - _SHOWN} more" if others[_SHOWN:] else "")
        problems.append(
            f"{where} lacks weights for {shown}, which the model of its config.json has "
            f"(model_type {checkpoint.config.get('model_type')!r}). Fetch it again, or correct config.json"
        )
    return problems


def check_loadable(checkpoint: CheckpointSource) -> None:
    """Refuses weights that do not make the model of their config, where that is known without doubt.

    That is a causal language model whose config names its own class, or none. Of other models, and of those that
    transformers does not know, merging needs no more than names and shapes.

    Args:
        checkpoint: The weights and their config.

    Raises:
        InputError: If transformers cannot build the model, or weights of it are missing or have other shapes.
    """
    config = dict(checkpoint.config)
    kind, named = config.get("model_type"), config.get("architectures")
    if kind not in transformers.CONFIG_MAPPING or names_code(config):
        return
    problem = f"transformers cannot build the model that {str(checkpoint.path / 'config.json')!r} describes"
    with read_by_transformers(problem):
        parsed = parse_config(str(kind), config)
    own = transformers.MODEL_FOR_CAUSAL_LM_MAPPING.get(type(parsed), None)
    if own is None or (isinstance(named, list) and named and named != [getattr(own, "__name__", None)]):
        return
    with read_by_transformers(problem), torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(parsed)
    _check_filled(checkpoint, model)


def _check_filled(checkpoint: CheckpointSource, model: PreTrainedModel) -> None:
    """Refuses a checkpoint that leaves parameters, or buffers that are saved, to chance."""
    try:
        targets = filled(model, {name: spec.shape for name, spec in checkpoint.specs.items()})
    except InputError as error:
        raise InputError([f"{str(checkpoint.path)!r}: {problem}" for problem in error.problems]) from error
    state: dict[str, torch.Tensor] = model.state_dict(keep_vars=True)
    known = {id(state[name]) for name in targets}  # tied parameters are one, under several names
    missing = [name for name, tensor in state.items() if id(tensor) not in known]
    problems = missing_weights(checkpoint, [name for name in missing if not _may_be_missing(model, name)])
    if problems:
        raise InputError(problems)


def _build(
    checkpoint: CheckpointSource, dtype: torch.dtype, options: Mapping[str, Any], causal: bool
) -> tuple[ModelClass, PreTrainedModel]:
    where, trusted = repr(str(checkpoint.path)), options["trust_remote_code"]
    if "model_type" not in checkpoint.config:  # transformers would guess it from the folder's name
        raise InputError(f'config.json in {where} has no model_type; add it, such as "model_type": "llama"')
    try:
        config = transformers.AutoConfig.from_pretrained(
            checkpoint.path, local_files_only=True, trust_remote_code=trusted
        )
        kind = ModelClass.of(config, causal=causal)
        with torch.device("meta"):
            model = kind.build(config, dtype, options)
    except InputError:
        raise
    except Exception as error:  # configs are checked by many classes, each in its own way
        if "attn_implementation" in options:
            # Raises what is wrong apart from the attention, if there is anything.
            _, usual = _build(checkpoint, dtype, {"trust_remote_code": trusted}, causal)
            raise InputError(
                f"attention {options['attn_implementation']!r} cannot be used with {where}: "
                f"{reason(error).partition('. ')[0].rstrip('.')}. Leave it at auto, which takes "
                f"{usual.config._attn_implementation!r} for this model"
            ) from error
        raise InputError(_reason(checkpoint, trusted, error)) from error
    _check_generation(checkpoint.path / "generation_config.json")
    return kind, model


def _check_generation(path: Path) -> None:
    if path.is_file():
        read_object(path)  # transformers leaves a broken file out without a word
        with read_by_transformers(f"transformers cannot read {str(path)!r}"):
            transformers.GenerationConfig.from_pretrained(path.parent, local_files_only=True)


def _reason(checkpoint: CheckpointSource, trusted: bool, error: Exception) -> str:
    where, kind = repr(str(checkpoint.path)), checkpoint.config.get("model_type")
    if "auto_map" in checkpoint.config and not trusted and kind not in transformers.CONFIG_MAPPING:
        return (
            f"{where} needs model code that comes with it (model_type {kind!r}). Read that code, then allow it with "
            "trust_remote_code=true"
        )
    return f"transformers cannot build the model that config.json in {where} describes: {reason(error)}"


@contextmanager
def _quietly() -> Iterator[None]:
    """Loads without transformers' progress bar."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
