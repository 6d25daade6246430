"""``evomerge layers``: how much each layer of a model does."""

from __future__ import annotations

from evomerge.cli.said import say
from evomerge.run.configs.layers import LayersConfig
from evomerge.run.structure.layers import compare_layers, foretell, lines


def run(config: LayersConfig) -> int:
    """Prints a line for each layer."""
    print("\n".join(lines(compare_layers(config, say))))
    return 0


def check(config: LayersConfig) -> int:
    """Says what it takes, and does nothing."""
    print("\n".join(foretell(config)))
    return 0
