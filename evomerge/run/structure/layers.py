"""How much each layer of a model does, from texts: which could be merged into others, or left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evomerge.merging import Checkpoints
from evomerge.run.configs.layers import LayersConfig
from evomerge.run.export import open_references
from evomerge.run.statistics.of_model import Asked, LookedAt, looking
from evomerge.statistics import LAYERS, Wanted

_STATISTICS = ("block_influence", "layer_cka")


@dataclass(frozen=True)
class LayerSimilarity:
    """Facts about a model's layers.

    Attributes:
        influence: Block influence of each layer, ``(layers,)``: 0 where it only scales what it gets, at most 2.
        cka: Linear CKA of what leaves two layers, ``(layers, layers)``, 1 for equal ones.
        tokens: Number of tokens that they are over.
    """

    influence: NDArray[np.float32]
    cka: NDArray[np.float32]
    tokens: int


def compare_layers(config: LayersConfig, say: Callable[[str], None] = lambda _: None) -> LayerSimilarity:
    """Compares the layers of a model, and writes their influence where that is asked for.

    Args:
        config: Of the verb.
        say: Told what is collected.

    Raises:
        InputError: With everything that is wrong with the model or the texts.
    """
    looked, asked = looked_at(config, say)
    [keyed] = looked.collect([asked])
    arrays = [looked.folder.tensor(one.key, LAYERS) for one in keyed]
    influence, cka = (one.numpy() for one in arrays if one is not None)
    if config.out is not None:
        values = [round(float(value), 6) for value in influence]
        Path(config.out).write_text(json.dumps(values) + "\n", encoding="utf-8")  # a list in JSON is one in YAML
    return LayerSimilarity(influence, cka, sum(len(passage.ids) for passage in asked.texts.passages))


def foretell(config: LayersConfig) -> Iterator[str]:
    """Forecast of comparing layers, for people; nothing is loaded.

    Raises:
        InputError: With everything that is wrong with the model or the texts.
    """
    looked, asked = looked_at(config)
    yield looked.foretell([asked])


def looked_at(config: LayersConfig, say: Callable[[str], None] = lambda _: None) -> tuple[LookedAt, Asked]:
    """The model of ``layers``, and what is read of it.

    Args:
        config: Of the verb.
        say: Told what is collected.

    Raises:
        InputError: With everything that is wrong with the model or the texts.
    """
    source = Checkpoints(open_references((config.model,), offline=bool(config.offline))).reference
    looked, texts = looking(config, source, say)
    return looked, Asked(texts, tuple(map(Wanted, _STATISTICS)))


def lines(found: LayerSimilarity) -> Iterator[str]:
    """The table for people: a line for each layer."""
    yield f"block influence on {found.tokens} tokens, and CKA with the layer before:"
    for layer, influence in enumerate(found.influence):
        like = f"{found.cka[layer, layer - 1]:.3f}" if layer else ""
        yield f"  layer {layer:<4} {influence:.4f}  {like}".rstrip()
