"""``evomerge merge``: one recipe becomes one model folder, without a search."""

from __future__ import annotations

import sys
from dataclasses import replace

from evomerge.candidate import resolve_device
from evomerge.recipe import Tokenizer
from evomerge.run import recipe_files
from evomerge.run.configs.verbs import MergeConfig
from evomerge.run.export import build, notes
from evomerge.texts import printable


def run(config: MergeConfig) -> int:
    """Builds the recipe and says where the model is."""
    said: list[str] = []
    recipe = recipe_files.load(config.recipe, offline=bool(config.offline), say=said.append)
    if config.unmatched is not None:
        recipe = replace(recipe, unmatched=config.unmatched)
    if config.embeddings is not None:
        recipe = replace(recipe, embeddings=config.embeddings)
    if config.tokenizer is not None:
        recipe = replace(recipe, tokenizer=Tokenizer.named(config.tokenizer, recipe.base is not None))
    device = resolve_device(config.device, "device")
    with recipe_files.named(config.recipe):
        folder = build(
            recipe,
            config.out,
            max_shard_size=config.max_shard_size,
            offline=bool(config.offline),
            device=device,
            statistics=config.statistics,
        )
    for note in (*said, *notes(recipe, offline=bool(config.offline))):
        print(printable(f"warning: {note}"), file=sys.stderr)
    print(folder)
    return 0
