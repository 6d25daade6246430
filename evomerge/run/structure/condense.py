"""From the checkpoint of a mixture of experts to a folder with fewer of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from evomerge.analysis.expert_groups import groups_of, likeness_of, weights_within
from evomerge.candidate import resolve_device
from evomerge.checkpoints import CheckpointSource
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, Merger
from evomerge.merging.footprint import export_bytes
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
from evomerge.run.statistics.named import wanted
from evomerge.run.statistics.of_model import Asked, LookedAt, looking
from evomerge.run.structure.card import condensed_card
from evomerge.sizes import amount


def condense(config: CondenseConfig, say: Callable[[str], None] = lambda _: None) -> Path:
    """Builds the folder of the smaller model; it appears when it is complete.

    Args:
        config: Of the verb.
        say: Told what is collected.

    Raises:
        InputError: With everything that is wrong with the model or the texts.
    """
    checkpoints = _opened(config)
    looked, asked = _looked_at(config, checkpoints.reference, say)
    groupings = _groupings(config, looked, asked)
    recipe = copy_recipe(config.model, checkpoints.reference)
    merger = Merger(checkpoints, device=resolve_device(config.device, "device"))
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


def foretell(config: CondenseConfig) -> Iterator[str]:
    """Forecast of condensing, for people; nothing is loaded and nothing written.

    Raises:
        InputError: With everything that is wrong with the model or the texts.
    """
    source = _opened(config).reference
    looked, asked = _looked_at(config, source, lambda _: None)
    yield looked.foretell([asked])
    single = one_by_one(source)
    alike = {  # the size is that of any groups
        layer: (np.eye(count), np.full(count, 1 / count))
        for layer, name in gate_names(single).items()
        for count in single.specs[name].shape[:1]
    }
    yield f"disk: {amount(export_bytes(CondensedMixture(single, groupings_of(alike, config.experts)).specs))}"


def _opened(config: CondenseConfig) -> Checkpoints:
    """The mixture, which has to have more experts than are to be left."""
    checkpoints = Checkpoints(open_references((config.model,), offline=bool(config.offline)))
    single = one_by_one(checkpoints.reference)
    count = min((single.specs[name].shape[0] for name in gate_names(single).values()), default=0)
    if not 1 <= config.experts < count:
        raise InputError(f"experts: expected 1 to {count - 1}, since the model has {count}; came {config.experts}")
    return checkpoints


def _looked_at(config: CondenseConfig, source: CheckpointSource, say: Callable[[str], None]) -> tuple[LookedAt, Asked]:
    looked, texts = looking(config, source, say)
    return looked, Asked(texts, tuple(wanted(name, source, {}) for name in ("router_logits", "router_usage")))


def _groupings(config: CondenseConfig, looked: LookedAt, asked: Asked) -> dict[str, Grouping]:
    """The groups of each layer, from what routers say of the texts."""
    source = looked.source
    [(products, usage)] = looked.collect([asked])
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
