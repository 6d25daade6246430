"""From dense models to the folder of a mixture of experts."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.candidate import resolve_device
from evomerge.checkpoints import read_tokenizer
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, Merger, matching_of
from evomerge.merging.footprint import export_bytes
from evomerge.merging.mixture import BuiltMixture, ExpertPrompts, Rows, copy_recipe, write_source
from evomerge.merging.plan.recipe_source import RecipeSource
from evomerge.recipe import Recipe
from evomerge.run import paths, recipe_files
from evomerge.run.configs.mixtures import PROMPTED, BuildConfig
from evomerge.run.export import open_references
from evomerge.run.statistics.of_model import LookedAt
from evomerge.run.structure.card import built_card
from evomerge.run.structure.gates import STATES, Gates, loaded
from evomerge.sizes import amount

Texts = tuple[tuple[str, ...], tuple[str, ...]]
"""The prompts that are for an expert, and those that are not."""


@dataclass(frozen=True)
class _Parts:
    """Everything that a mixture is made of, before a weight is read.

    Attributes:
        config: Of the verb.
        checkpoints: The models.
        recipe: Whose model everything but experts and routers comes from.
        source: That model.
        gates: Makes the routers.
        prompts: Of each expert, as tokens.
    """

    config: BuildConfig
    checkpoints: Checkpoints
    recipe: Recipe
    source: RecipeSource
    gates: Gates
    prompts: Sequence[ExpertPrompts]

    def mixture(self, rows: Rows) -> BuiltMixture:
        """The mixture with some routers."""
        refs = self.config.experts
        experts = [(f"experts[{i}] ({ref.label})", self.checkpoints[ref]) for i, ref in enumerate(refs)]
        return BuiltMixture(self.source, experts, rows, self.config.per_token)


def build_mixture(config: BuildConfig, say: Callable[[str], None] = lambda _: None) -> Path:
    """Builds the folder of a mixture of experts; it appears when it is complete.

    Args:
        config: Of the verb; ``base`` or ``recipe`` says what everything but experts and routers comes from.
        say: Told what is collected for the routers.

    Raises:
        InputError: With everything that is wrong with models, prompts or the recipe.
    """
    parts = _parts(config, say)
    mixture = parts.mixture(parts.gates.rows(parts.prompts))
    return write_source(
        mixture, parts.source.plan.outputs, parts.recipe, Path(config.out).absolute(),
        max_shard_bytes=config.max_shard_size, texts=_texts(config, parts.recipe, parts.checkpoints),
    )  # fmt: skip


def foretell(config: BuildConfig) -> Iterator[str]:
    """Forecast of building a mixture, for people; nothing is loaded and nothing written.

    Raises:
        InputError: With everything that is wrong with models, prompts or the recipe.
    """
    parts = _parts(config, lambda _: None)
    asked = parts.gates.asked(parts.prompts)
    yield parts.gates.looked.foretell(asked) if asked else f"gate={config.gate}: no model reads texts"
    yield f"disk: {amount(export_bytes(parts.mixture(parts.gates.alike()).specs))}"


def _parts(config: BuildConfig, say: Callable[[str], None]) -> _Parts:
    prompts = _read_prompts(config)
    offline = bool(config.offline)
    recipe = None if config.recipe is None else recipe_files.load(config.recipe, offline=offline)
    own = recipe.references if recipe is not None else () if config.base is None else (config.base,)
    opened = open_references((*own, *config.experts), offline=offline)
    if recipe is None:
        assert config.base is not None
        recipe = copy_recipe(config.base, opened[config.base])
    checkpoints = Checkpoints(opened)
    compared = Checkpoints({ref: opened[ref] for ref in own})
    compared.compare(same_depth=not recipe.has_layers, unmatched=recipe.unmatched, matching=matching_of(recipe)).check()
    merger = Merger(checkpoints, device=resolve_device(config.device, "device"))
    source = merger.as_source(recipe)
    content = opened[config.base] if config.recipe is None and config.base is not None else source
    looked = LookedAt(
        label="the base" if config.recipe is None else "the recipe's model",
        source=source,
        fingerprint=content.fingerprint() if config.gate in STATES else "",
        load=functools.partial(loaded, merger, recipe),
        settings=config.statistics,
        say=say,
    )
    gates = Gates(config, merger, recipe, looked)
    return _Parts(config, checkpoints, recipe, source, gates, _encoded(prompts, source.path))


def _texts(config: BuildConfig, recipe: Recipe, checkpoints: Checkpoints) -> dict[str, str]:
    about: Mapping[str, Any] = {
        "experts": [ref.to_json() for ref in config.experts],
        "gate": config.gate,
        "per_token": config.per_token,
        "recipe": recipe.to_json(),
        **({"seed": config.seed} if config.gate == "random" else {}),
    }
    return {
        "mixture.json": json.dumps(about, indent=2, sort_keys=True) + "\n",
        "README.md": built_card(config, recipe, checkpoints),
    }


def _read_prompts(config: BuildConfig) -> list[Texts]:
    """The prompts of each expert; none where routers begin without."""
    if config.gate not in PROMPTED:
        if config.prompts is not None:
            raise InputError(f"prompts: gate={config.gate} reads none; leave them out")
        return []
    if config.prompts is None:
        raise InputError(
            f"prompts: gate={config.gate} needs them: prompts=FILE.json, a list with one object for each expert, "
            '{"positive": ["texts that it is for"], "negative": []}'
        )
    try:
        data = json.loads(paths.expanded(config.prompts).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"prompts: {config.prompts} cannot be read as JSON: {error}") from error
    if not isinstance(data, list) or len(data) != len(config.experts):
        came = f"a list of {len(data)}" if isinstance(data, list) else f"{type(data).__name__}"
        raise InputError(f"prompts: expected a list with {len(config.experts)} objects, one per expert, came {came}")
    problems: list[str] = []
    found = [_texts_of(entry, f"prompts[{place}]", problems) for place, entry in enumerate(data)]
    if problems:
        raise InputError(problems)
    return found


def _texts_of(entry: Any, where: str, problems: list[str]) -> Texts:
    if not isinstance(entry, dict) or entry.keys() - {"positive", "negative"}:
        problems.append(f"{where}: expected an object with positive and, if there are any, negative")
        return (), ()
    for name in ("positive", "negative"):
        texts = entry.get(name, [])
        if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
            problems.append(f"{where}.{name}: expected a list of texts")
            return (), ()
    if not entry.get("positive"):
        problems.append(f"{where}.positive: expected at least one text")
    return tuple(entry.get("positive", ())), tuple(entry.get("negative", ()))


def _encoded(prompts: Sequence[Texts], folder: Path) -> list[ExpertPrompts]:
    if not prompts:
        return []
    tokenizer = read_tokenizer(folder, trust_remote_code=False)
    return [ExpertPrompts(*(tuple(tokenizer.encode(text) for text in texts) for texts in own)) for own in prompts]
