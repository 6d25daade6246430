"""Facts about models that a configuration leaves open: the names of their tensors, and the type they are stored in."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evomerge.recipe import DEFAULT_LAYER_PATTERN, CheckpointRef, layer_of

# Layers of whatever part of a model: its language model's, a vision tower's, an encoder's.
_LAYER = re.compile(r"(?:layers|h|blocks|block|layer)\.(\d+)\.")


@dataclass(frozen=True)
class ModelFacts:
    """Facts about one model.

    Attributes:
        names: Names of the tensors that are merged: of floating-point numbers, without repeated heads, in the order of
            its files.
        dtype: The type that most of them are stored in.
        chat_template: The model's chat template, or None.
    """

    names: tuple[str, ...]
    dtype: str
    chat_template: str | None = None

    @functools.cached_property
    def layers(self) -> Mapping[int, tuple[str, ...]]:
        """Names of the tensors in each layer of the language model."""
        found: dict[int, list[str]] = {}
        for name in self.names:
            number = layer_of(name, DEFAULT_LAYER_PATTERN)
            if number is not None:
                found.setdefault(number, []).append(name)
        return {number: tuple(names) for number, names in found.items()}

    @functools.cached_property
    def counts(self) -> Mapping[str, int]:
        """Number of layers behind each prefix of names, such as ``model.layers.``."""
        found: dict[str, int] = {}
        for name in self.names:
            if match := _LAYER.search(name):
                prefix = name[: match.start(1)]
                found[prefix] = max(found.get(prefix, 0), int(match[1]) + 1)
        return found

    def depth(self, name: str) -> float:
        """The place of a tensor over all layers of its part, from 0 to 1; 0 outside layers, 1 in a single layer."""
        match = _LAYER.search(name)
        if match is None:
            return 0.0
        count = self.counts[name[: match.start(1)]]
        return int(match[1]) / (count - 1) if count > 1 else 1.0


Facts = Callable[[CheckpointRef], ModelFacts]
"""Gives the facts about a checkpoint."""
