"""Model cards of mixtures of experts that are built or condensed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from evomerge.checkpoints import folder_of
from evomerge.merging import Checkpoints
from evomerge.recipe import ModelRef, Recipe
from evomerge.report.markdown import code
from evomerge.run.configs.mixtures import BuildConfig, CondenseConfig
from evomerge.run.model_folder.card import card_header, licence_of


def built_card(config: BuildConfig, recipe: Recipe, checkpoints: Checkpoints) -> str:
    """The card of a mixture that was built of dense models."""
    parents = list(dict.fromkeys((*recipe.references, *config.experts)))
    lines = [
        f"A mixture of {len(config.experts)} experts, {config.per_token} for each token, built with evomerge: "
        "feed-forward blocks are copies of its experts', everything else comes from "
        + (f"{code(recipe.sources[0].label)}." if config.recipe is None else f"a merge by {code(recipe.method)}."),
        "",
        "## Experts",
        "",
        *(f"{place}. {code(ref.label)}" for place, ref in enumerate(config.experts)),
        "",
        f"Routers began as `{config.gate}`. How it was built is in `mixture.json`.",
        "",
    ]
    return "\n".join([card_header(config.out, parents, _licences(parents, checkpoints)), *lines])


def condensed_card(config: CondenseConfig, checkpoints: Checkpoints) -> str:
    """The card of a mixture whose experts were merged."""
    parents = [config.model]
    lines = [
        f"{code(config.model.label)} with {config.experts} experts in each layer, condensed with evomerge: experts are "
        "grouped by what routers said of texts, and each is the mean of a group, weighted by how often its members "
        f"were used, to the power of {config.power:g}. The groups are in `mixture.json`.",
        "",
    ]
    return "\n".join([card_header(config.out, parents, _licences(parents, checkpoints)), *lines])


def _licences(parents: Iterable[ModelRef], checkpoints: Checkpoints) -> Mapping[str, str | None]:
    return {ref.label: licence_of(folder_of(checkpoints[ref])) for ref in parents}
