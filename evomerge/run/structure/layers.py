"""How much each layer of a model does, from texts: which could be merged into others, or left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from evomerge.candidate import resolve_device
from evomerge.checkpoints import CheckpointSource, read_tokenizer
from evomerge.fitness.inference.encoding import Encoder
from evomerge.merging import Checkpoints
from evomerge.run import paths
from evomerge.run.configs.layers import LayersConfig
from evomerge.run.export import open_references
from evomerge.statistics import Calibration
from evomerge.statistics._layers.similarity import LayerSimilarity, layer_similarity


def compare_layers(config: LayersConfig) -> LayerSimilarity:
    """Compares the layers of a model, and writes their influence where that is asked for.

    Raises:
        InputError: With everything that is wrong with the model or the texts.
    """
    device = resolve_device(config.device, "device")
    source = Checkpoints(open_references((config.model,), offline=bool(config.offline))).reference
    texts = token_ids(source, config.calibration, config.tokens, config.sequences)
    found = layer_similarity(source.path, texts, device)
    if config.out is not None:
        values = [round(float(value), 6) for value in found.influence]
        Path(config.out).write_text(json.dumps(values) + "\n", encoding="utf-8")  # a list in JSON is one in YAML
    return found


def token_ids(source: CheckpointSource, files: tuple[str, ...], tokens: int, sequences: int) -> list[list[int]]:
    """The texts of JSONL files as tokens of a model.

    Args:
        source: The model.
        files: As the user wrote them.
        tokens: Most tokens of a text.
        sequences: Most texts.

    Raises:
        InputError: If they cannot be read.
    """
    encoder = Encoder.of_model(read_tokenizer(source.path, trust_remote_code=False), source.config, None, None)
    read = Calibration.read([paths.expanded(name) for name in files], encoder, tokens=tokens, sequences=sequences)
    return [passage.ids.tolist() for passage in read.passages]


def lines(found: LayerSimilarity) -> Iterator[str]:
    """The table for people: a line for each layer."""
    yield f"block influence on {found.tokens} tokens, and CKA with the layer before:"
    for layer, influence in enumerate(found.influence):
        like = f"{found.cka[layer, layer - 1]:.3f}" if layer else ""
        yield f"  layer {layer:<4} {influence:.4f}  {like}".rstrip()
