"""The cases: a family of changes and a number, which decide all that happens, and the command that meets the change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from experiments.fuzz import material
from experiments.fuzz.mutators import adapters, model_files, recipes, safetensors_files

MERGE = ["merge", "recipe=recipe.json", "out=out"]
_SEARCHED = ["models=[A,B]", "base=base", "method=ties", "tasks=[sums]", "task_path=[tasks]", "items_per_task=2"]
_CHECK = ["check", *_SEARCHED]
_SEARCH = ["search", *_SEARCHED, "evaluations=1", "run_dir=out"]


@dataclass(frozen=True)
class Prepared:
    """A damaged folder and the command that is run on it.

    Attributes:
        words: The command's words.
        file: The damaged file, relative to the folder.
        what: What was done to it.
    """

    words: tuple[str, ...]
    file: str
    what: str


def prepare(family: str, number: int, seed: int, folder: Path) -> Prepared:
    """Damages the copy of the material in a folder.

    Args:
        family: One of :data:`FAMILIES`.
        number: Of the case.
        seed: Of the study.
        folder: Where the material lies.
    """
    return FAMILIES[family](Random(f"{seed} {family} {number}"), folder)


def _of_model(mutate: Callable[[Random, Path], tuple[str, str]], *models: str) -> Callable[[Random, Path], Prepared]:
    def make(rng: Random, folder: Path) -> Prepared:
        name = rng.choice(models or material.MODELS)
        words = rng.choice((*[MERGE] * 14, *[_CHECK] * 5, _SEARCH))
        kind = rng.choice(("ties", "ties", "linear", "layers", "nested"))
        # The damaged model is one of those that are merged.
        (folder / "recipe.json").write_text(json.dumps(material.recipe("ties" if name == "base" else kind)))
        file, what = mutate(rng, folder / name)
        return Prepared(tuple(words), f"{name}/{file}", what)

    return make


def _weights(rng: Random, folder: Path) -> tuple[str, str]:
    path = rng.choice(sorted(folder.glob("*.safetensors")))
    return path.name, safetensors_files.mutate(rng, path)


def _recipe(rng: Random, folder: Path) -> Prepared:
    kind = rng.choice(("ties", "linear", "layers", "nested", "adapter"))
    (folder / "recipe.json").write_text(json.dumps(material.recipe(kind)))
    return Prepared(tuple(MERGE), "recipe.json", f"{kind}: {recipes.mutate_json(rng, folder / 'recipe.json')}")


def _yaml(rng: Random, folder: Path) -> Prepared:
    what = recipes.mutate_yaml(rng, folder / "recipe.yml")
    return Prepared(("merge", "recipe=recipe.yml", "out=out"), "recipe.yml", what)


def _search(rng: Random, folder: Path) -> Prepared:
    what = recipes.mutate_yaml(rng, folder / "searched.yml", recipes.SEARCHES)
    own = () if what.startswith(("evolve", "mergenetic")) else ("tasks=[sums]", "items_per_task=2")
    return Prepared(("check", "recipe=searched.yml", "task_path=[tasks]", *own), "searched.yml", what)


def _adapter(mutate: Callable[[Random, Path], tuple[str, str]]) -> Callable[[Random, Path], Prepared]:
    def make(rng: Random, folder: Path) -> Prepared:
        (folder / "recipe.json").write_text(json.dumps(material.recipe("adapter")))
        file, what = mutate(rng, folder / "adapter")
        return Prepared(tuple(MERGE), f"adapter/{file}", what)

    return make


FAMILIES: dict[str, Callable[[Random, Path], Prepared]] = {
    "weights": _of_model(_weights),
    "shard index": _of_model(model_files.mutate_index, "A"),
    "config": _of_model(model_files.mutate_config),
    "tokenizer": _of_model(model_files.mutate_tokenizer),
    "tokenizer config": _of_model(model_files.mutate_tokenizer_config),
    "generation config": _of_model(model_files.mutate_generation, "base"),
    "other files": _of_model(model_files.mutate_special_tokens),
    "recipe": _recipe,
    "mergekit recipe": _yaml,
    "search of a file": _search,
    "adapter config": _adapter(adapters.mutate_config),
    "adapter weights": _adapter(adapters.mutate_weights),
}
"""Family to what prepares a case of it."""

MAY_NAME_ANY_MODEL = ("recipe", "mergekit recipe", "search of a file")
"""Families whose files may name models anywhere, so that reading these is right."""
