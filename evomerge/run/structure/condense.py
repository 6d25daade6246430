"""From the checkpoint of a mixture of experts to a folder with fewer of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from evomerge.analysis.expert_groups import groups_of, likeness_of, weights_within
from evomerge.candidate import resolve_device
from evomerge.checkpoints import CheckpointSource
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger
from evomerge.merging.mixture import (
    CondensedMixture,
    Grouping,
    copy_recipe,
    family_of,
    gate_names,
    one_by_one,
    stored_gate,
    write_source,
)
from evomerge.run.configs.mixtures import CondenseConfig
from evomerge.run.export import open_references
from evomerge.run.statistics.of_model import Asked, LookedAt
from evomerge.run.structure.card import condensed_card
from evomerge.run.structure.layers import read_texts
from evomerge.statistics import Wanted


def condense(config: CondenseConfig, say: Callable[[str], None] = lambda _: None) -> Path:
    """Builds the folder of the smaller model; it appears when it is complete.

    Args:
        config: Of the verb.
        say: Told what is collected.

    Raises:
        InputError: With everything that is wrong with the model or the texts.
    """
    device = resolve_device(config.device, "device")
    checkpoints = Checkpoints(open_references((config.model,), offline=bool(config.offline)))
    source = checkpoints.reference
    single = one_by_one(source)
    count = min((single.specs[name].shape[0] for name in gate_names(single).values()), default=0)
    if not 1 <= config.experts < count:
        raise InputError(f"experts: expected 1 to {count - 1}, since the model has {count}; came {config.experts}")
    groupings = _groupings(config, source, device, say)
    recipe = copy_recipe(config.model, source)
    merger = Merger(checkpoints, device=device)
    smaller = CondensedMixture(one_by_one(merger.as_source(recipe)), groupings)
    about = {layer: {"groups": grouping.groups, "weights": grouping.weights} for layer, grouping in groupings.items()}
    written = {
        "mixture.json": json.dumps({"model": config.model.to_json(), "layers": about}, indent=2) + "\n",
        "README.md": condensed_card(config, checkpoints),
    }
    return write_source(
        smaller, merger.outputs(recipe), recipe, Path(config.out).absolute(), max_shard_bytes=config.max_shard_size,
        texts=written,
    )  # fmt: skip


def _groupings(
    config: CondenseConfig, source: CheckpointSource, device: str, say: Callable[[str], None]
) -> dict[str, Grouping]:
    """The groups of each layer, from what routers say of the texts."""
    load = functools.partial(LiveModel.load, source.path, device=device)
    looked = LookedAt(config.model.label, source, source.fingerprint(), load, config.statistics, say)
    per_token = int(source.config.get("num_experts_per_tok", 2))
    wanted = (Wanted("router_logits"), Wanted("router_usage", {"per_token": per_token}))
    texts = read_texts(source, config.calibration, config.tokens, config.sequences)
    [(products, usage)] = looked.collect([Asked(texts, wanted)])
    said: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    family = family_of(source.config, str(source.path))
    for layer in gate_names(one_by_one(source)):
        name = stored_gate(source, family, layer)
        found = [looked.folder.tensor(one.key, name) for one in (products, usage)]
        arrays = [one.double().numpy() for one in found if one is not None]
        if len(arrays) < len(found):
            raise InputError(
                f"{str(source.path)!r}: transformers computes no router with {name!r} that could be watched"
            )
        said[layer] = arrays[0], arrays[1]
    return groupings_of(said, config.experts, config.power)


def groupings_of(
    said: Mapping[str, tuple[np.ndarray, np.ndarray]], experts: int, power: float = 1.0
) -> dict[str, Grouping]:
    """The groups of each layer, as many everywhere: a model has one number of experts.

    Args:
        said: Of each layer's router the statistics ``router_logits``, ``(experts, experts)``, and ``router_usage``,
            ``(experts,)``.
        experts: Number of groups.
        power: Of how often an expert is used, which is its weight.
    """
    found = {}
    for layer, (products, usage) in said.items():
        groups = groups_of(usage, likeness_of(products), experts)
        members = tuple(tuple(np.flatnonzero(groups == group).tolist()) for group in range(experts))
        found[layer] = Grouping(members, tuple(weights_within(groups, usage, power).tolist()))
    return found
