"""From the checkpoint of a mixture of experts to a folder with fewer of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evomerge.analysis.expert_groups import groups_of, likeness_of, usage_of, weights_within
from evomerge.candidate import resolve_device
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, Merger
from evomerge.merging.mixture import CondensedMixture, Grouping, copy_recipe, gate_names, write_source
from evomerge.run.configs.mixtures import CondenseConfig
from evomerge.run.export import open_references
from evomerge.run.structure.card import condensed_card
from evomerge.run.structure.layers import token_ids
from evomerge.statistics._layers.routers import logits_of


def condense(config: CondenseConfig) -> Path:
    """Builds the folder of the smaller model; it appears when it is complete.

    Args:
        config: Of the verb.

    Raises:
        InputError: With everything that is wrong with the model or the texts.
    """
    device = resolve_device(config.device, "device")
    checkpoints = Checkpoints(open_references((config.model,), offline=bool(config.offline)))
    source = checkpoints.reference
    count = min((source.specs[name].shape[0] for name in gate_names(source).values()), default=0)
    if not 1 <= config.experts < count:
        raise InputError(f"experts: expected 1 to {count - 1}, since the model has {count}; came {config.experts}")
    texts = token_ids(source, config.calibration, config.tokens, config.sequences)
    logits = logits_of(source.path, texts, device)
    groupings = groupings_of(logits, config.experts, int(source.config.get("num_experts_per_tok", 2)), config.power)
    recipe = copy_recipe(config.model, source)
    merger = Merger(checkpoints, device=device)
    smaller = CondensedMixture(merger.as_source(recipe), groupings)
    about = {layer: {"groups": grouping.groups, "weights": grouping.weights} for layer, grouping in groupings.items()}
    written = {
        "mixture.json": json.dumps({"model": config.model.to_json(), "layers": about}, indent=2) + "\n",
        "README.md": condensed_card(config, checkpoints),
    }
    return write_source(
        smaller, merger.outputs(recipe), recipe, Path(config.out).absolute(), max_shard_bytes=config.max_shard_size,
        texts=written,
    )  # fmt: skip


def groupings_of(
    logits: Mapping[str, np.ndarray], experts: int, per_token: int, power: float = 1.0
) -> dict[str, Grouping]:
    """The groups of each layer, as many everywhere: a model has one number of experts.

    Args:
        logits: What routers said, ``(tokens, experts)``, by layer.
        experts: Number of groups.
        per_token: How many experts a token goes through.
        power: Of how often an expert is used, which is its weight.
    """
    found = {}
    for layer, said in logits.items():
        usage = usage_of(said, per_token)
        groups = groups_of(usage, likeness_of(said), experts)
        members = tuple(tuple(np.flatnonzero(groups == group).tolist()) for group in range(experts))
        found[layer] = Grouping(members, tuple(weights_within(groups, usage, power).tolist()))
    return found
