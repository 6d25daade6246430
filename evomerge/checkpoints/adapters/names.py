"""From the names of modules in an adapter to the names of tensors in its base.

An adapter was trained on a model in memory, so it names modules of some version of transformers; a base is read as it
is stored on disk. The two differ by the prefix of the bare model (``transformer.h.0`` and ``h.0``), and where
transformers renames tensors when it loads them, as it does for vision-language models since version 5.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import transformers
from transformers import conversion_mapping, core_model_loading

from evomerge.checkpoints.heads import is_embedding, is_head, says_tied
from evomerge.checkpoints.source import CheckpointSource

_PREFIXES = ("base_model.model.", "base_model.")
_DEEPEST = 3  # modules that a bare model's names may lack


class BaseNames:
    """Finds a base's tensors by the names that adapters use.

    Args:
        base: The base.
    """

    def __init__(self, base: CheckpointSource) -> None:
        self._base = base

    def of(self, name: str) -> Sequence[str]:
        """Names on disk of the tensor that is meant: one, none, or several if it cannot be told which.

        Args:
            name: A parameter's name in the model that the adapter was trained on, without PEFT's prefix.
        """
        if name in self._base.specs:
            return [self._base.aliases.get(name, name)]
        if is_head(name) and self.tied_embeddings:
            return self.tied_embeddings
        canonical = self._renamed(name)
        if canonical in self._by_canonical:
            return self._by_canonical[canonical]
        ends = (f".{canonical}", f".{name}")
        if ending := [own for key, owners in self._by_canonical.items() if key.endswith(ends) for own in owners]:
            return ending
        return next(([shorter] for shorter in _without_prefix(name) if shorter in self._base.specs), [])

    @functools.cached_property
    def tied_embeddings(self) -> Sequence[str]:
        """The input embeddings, where the base has no output embeddings of its own; else none."""
        heads = [name for name in self._base.specs if is_head(name) and name not in self._base.aliases]
        if heads or says_tied(self._base.config) is False:
            return []
        repeated = sorted(set(self._base.aliases.values()))
        return repeated or [name for name in self._base.specs if is_embedding(name)]

    @functools.cached_property
    def _by_canonical(self) -> Mapping[str, Sequence[str]]:
        """Names in the model that transformers builds now to those on disk."""
        found: dict[str, list[str]] = {}
        for name in self._base.specs:
            if name not in self._base.aliases:
                found.setdefault(self._renamed(name), []).append(name)
        return found

    @functools.cached_property
    def _renamed(self) -> Callable[[str], str]:
        """The renaming that transformers does when it loads the base; conversions of values are left out."""
        renamings = [t for t in _transforms(self._base) if isinstance(t, core_model_loading.WeightRenaming)]
        if not renamings:
            return lambda name: name
        return functools.cache(lambda name: core_model_loading.apply_renamings(name, renamings))


def without_peft(key: str) -> str:
    """A name without the prefix that PEFT gives it."""
    for prefix in _PREFIXES:
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key


def _without_prefix(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[count:]) for count in range(1, min(_DEEPEST, len(parts) - 2) + 1)]


def _transforms(base: CheckpointSource) -> Sequence[Any]:
    """Conversions that transformers does to the tensors of a base, those of a composed model's parts included."""
    kind = base.config.get("model_type")
    try:
        config = transformers.AutoConfig.from_pretrained(base.path, local_files_only=True, trust_remote_code=False)
        built = getattr(transformers, base.config["architectures"][0])
        with torch.device("meta"):
            return conversion_mapping.get_model_conversion_mapping(built(config))  # type: ignore[no-any-return]
    except Exception:  # configs are checked by many classes, each in its own way; whoever builds the model says so
        return conversion_mapping.get_checkpoint_conversion_mapping(kind) or () if isinstance(kind, str) else ()
