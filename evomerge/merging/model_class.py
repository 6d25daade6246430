"""The class of transformers that a checkpoint's model is built by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PretrainedConfig, PreTrainedModel

from evomerge.errors import InputError


@dataclass(frozen=True)
class ModelClass:
    """A class that models are built and loaded by.

    Attributes:
        kind: One of transformers' auto classes, which choose by the config, or a model's own class.
    """

    kind: Any

    @classmethod
    def of(cls, config: PretrainedConfig, *, causal: bool = True) -> ModelClass:
        """The class for a config.

        Args:
            config: The config, as transformers reads it.
            causal: Whether the model must be a causal language model, or one of images and texts; else it is of the
                class that the config's ``architectures`` names, whatever that does.

        Raises:
            InputError: If transformers has none.
        """
        return cls(_language_model(config) if causal else _own(config))

    def build(self, config: PretrainedConfig, dtype: torch.dtype, options: Mapping[str, Any]) -> PreTrainedModel:
        """Builds a model with weights of chance.

        Args:
            config: Its config.
            dtype: The type that it computes in.
            options: Further arguments of transformers.
        """
        if _is_auto(self.kind):
            return self.kind.from_config(config, dtype=dtype, **options)  # type: ignore[no-any-return]
        own = {name: value for name, value in options.items() if name != "trust_remote_code"}
        return self.kind._from_config(config, dtype=dtype, **own)  # type: ignore[no-any-return]

    def load(
        self, folder: Path, dtype: torch.dtype, options: Mapping[str, Any]
    ) -> tuple[PreTrainedModel, Mapping[str, Any]]:
        """Loads a checkpoint; the model, and what transformers says about the loading.

        Args:
            folder: The checkpoint's.
            dtype: The type that the model computes in.
            options: Further arguments of transformers.
        """
        loaded: tuple[PreTrainedModel, Mapping[str, Any]] = self.kind.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True, **options
        )
        return loaded


def _language_model(config: PretrainedConfig) -> Any:
    if type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING or hasattr(config, "auto_map"):
        return transformers.AutoModelForCausalLM
    if type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return transformers.AutoModelForImageTextToText
    if type(config) in transformers.MODEL_FOR_MULTIMODAL_LM_MAPPING and not config.is_encoder_decoder:  # that hear
        return transformers.AutoModelForMultimodalLM
    raise InputError(
        f"transformers has no causal language model of type {config.model_type!r}, which config.json in "
        f"{config.name_or_path!r} names; a model of another kind is searched by functions alone, without tasks"
    )


def _own(config: PretrainedConfig) -> Any:
    """The class that ``architectures`` names; where it names none, a language model's, else that without a head."""
    names = [name for name in config.architectures or () if isinstance(name, str)]
    remote = getattr(config, "auto_map", None) or {}
    for auto, place in remote.items():
        if str(place).rpartition(".")[2] in names and _is_auto(kind := getattr(transformers, auto, None)):
            return kind
    for name in names:
        found = getattr(transformers, name, None)
        if not isinstance(found, type) or not issubclass(found, PreTrainedModel) or found.config_class is None:
            continue
        if isinstance(config, found.config_class):
            return found
    if names and not remote:
        raise InputError(
            f"config.json in {config.name_or_path!r} names {names[0]} in architectures, but transformers has no such "
            f"model of model_type {config.model_type!r}; correct it, or update transformers"
        )
    try:
        return _language_model(config)
    except InputError:
        return transformers.AutoModel


def _is_auto(kind: Any) -> bool:
    return hasattr(kind, "_model_mapping")
