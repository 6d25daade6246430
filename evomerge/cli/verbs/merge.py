"""``evomerge merge``: one recipe becomes one model folder, without a search."""

from __future__ import annotations

from evomerge.recipe import Recipe
from evomerge.run.export import build
from evomerge.run.run_config import MergeConfig


def run(config: MergeConfig) -> int:
    """Builds the recipe and says where the model is."""
    recipe = Recipe.load(config.recipe)
    folder = build(
        recipe, config.out, max_shard_size=config.max_shard_size, offline=bool(config.offline), device=config.device
    )
    print(folder)
    return 0
