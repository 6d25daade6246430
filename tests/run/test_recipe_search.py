"""Searches that start from a recipe: its numbers are the genes, everything else is the recipe's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evomerge
from evomerge.config import compose
from evomerge.recipe import Recipe
from evomerge.run.assemble import assemble
from evomerge.store import RunStore
from tests.run.family import Family, answers, records

SMALL: dict[str, Any] = {
    "models": None, "base": None, "method": None, "tasks": "[first]", "searcher": "cmaes", "searcher__population": 5,
    "evaluations": 3,
}  # fmt: skip


def ties(family: Family) -> dict[str, Any]:
    """A recipe with a frozen group, whose numbers differ between groups."""
    one, two, base = (str(family.folder / name) for name in ("one", "two", "base"))
    groups = [{"label": "ends", "kinds": ["embedding", "head"], "frozen": True}, {"label": "mlp", "kinds": ["mlp"]}]
    return {
        "method": "ties", "options": {"normalise": "none"}, "sources": [one, two], "base": base,
        "groups": {"groups": [*groups, {"label": "rest"}]},
        "coefficients": {
            "weight": [[0, 0], [1.7, 0.4], [0.3, 0.6]], "density": [[1, 1], [0.5, 0.5], [0.3, 0.9]],
            "lambda": [1, 1, 0.7],
        },
        "out_dtype": "float32", "seed": 5,
    }  # fmt: skip


def written(folder: Path, recipe: dict[str, Any]) -> Path:
    path = folder / "own.json"
    path.write_text(json.dumps(recipe))
    return path


@pytest.fixture(scope="module")
def searched(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be read only; its recipe lies beside it."""
    folder = tmp_path_factory.mktemp("searched")
    path = written(folder, ties(family))
    assert family.search(folder / "run", recipe=path, **SMALL) == 0
    return folder / "run"


def test_the_depth_that_says_nothing_is_written_as_it_always_was(family: Family, searched: Path) -> None:
    """Runs that began when one set per layer was the default are gone on with, by commands that name it too."""
    assert RunStore.read(searched).manifest["identity"]["genome"]["settings"]["depth"] == "layer"
    words = family.words(searched, recipe=searched.parent / "own.json", genome="layer", **SMALL)
    assert compose.search(words).genome.depth == "layer"


def test_the_reference_is_the_base(family: Family, searched: Path) -> None:
    """Whose config and tokenizer candidates get, although the experts are named before it."""
    words = family.words("run", recipe=searched.parent / "own.json", **SMALL)
    found = assemble(compose.search(words)).checkpoints
    assert found.reference.path == family.folder / "base"


def test_the_recipe_is_the_first_candidate_and_the_others_differ_in_its_numbers_alone(
    family: Family, searched: Path
) -> None:
    search = [record for record in records(searched) if record["split"] == "search"]
    assert [record["name"] for record in search[:4]] == ["base", "expert:one", "expert:two", "uniform"]
    candidates = [record["recipe"] for record in search if record["name"] is None]
    given = Recipe.from_json(ties(family))
    own = Recipe.from_json(candidates[0])
    assert {name: values.tolist() for name, values in own.coefficients.items()} == {
        name: values.tolist() for name, values in given.coefficients.items()
    }
    numbers = [json.dumps(recipe.pop("coefficients")) for recipe in candidates]
    assert len(set(numbers)) == len(candidates) == 3
    assert candidates[0] == candidates[1] == candidates[2]
    assert (candidates[0]["seed"], candidates[0]["out_dtype"], own.groups) == (5, "float32", given.groups)
    manifest = RunStore.read(searched).manifest
    assert manifest["starts"] == ["recipe"]
    assert manifest["genome"]["n_var"] == len(manifest["genome"]["labels"]) == 10


def test_a_step_of_the_whole_model_has_one_gene(family: Family, tmp_path: Path) -> None:
    own = ties(family)
    own["post"] = [
        {
            "name": "lines",
            "options": {"alpha_from": "value"},
            "coefficients": {"alpha": [1, 0.8, 0.8], "beta": [0, 0.4, 0.4]},
        }
    ]
    words = family.words(tmp_path / "run", recipe=written(tmp_path, own), **SMALL)
    found = assemble(compose.search(words)).spec
    assert found.labels[-2:] == ("lines.alpha", "lines.beta")
    drawn = found.decode(np.full(found.n_var, 0.25))
    for values in drawn.post[0].coefficients.values():
        assert len(set(values[1:])) == 1, "one for all groups that are merged"


def test_it_goes_on_where_it_was_and_its_members_are_exported(family: Family, searched: Path, tmp_path: Path) -> None:
    """The same recipe with a larger budget goes on; another one in its folder is refused."""
    path = searched.parent / "own.json"
    before = answers(searched)
    run = evomerge.search(
        **{word.split("=", 1)[0]: _plain(word) for word in family.words(searched, **{**SMALL, "evaluations": 4})},
        recipe=path,
    )
    after = answers(searched)
    assert before.items() <= after.items()
    assert sum(e.name is None for e in run.evaluations("search")) == 4
    exported = run.export(run.front[0].id, tmp_path / "merged")
    assert exported.difference <= exported.tolerance
    other = ties(family)
    other["coefficients"]["lambda"] = [1, 1, 0.6]
    words = family.words(searched, recipe=written(tmp_path, other), **SMALL)
    assert "genome" in _refusal(words)


def test_what_contradicts_the_recipe_is_refused_at_once(
    family: Family, tmp_path: Path, problems_of: Callable[..., str]
) -> None:
    path = written(tmp_path, ties(family))
    changes = {
        **SMALL, "method": "slerp", "models": f"[{family.folder / 'one'}]", "base": family.folder / "two",
        "genome": "blocks", "genome__frozen": "[mlp]", "method_options": "{normalise: count}",
        "model__out_dtype": "float16", "layer_pattern": r"'h\.(\d+)'",
    }  # fmt: skip
    printed = problems_of(["check", *family.words(tmp_path / "run", recipe=path, **changes)])
    for key in (
        "method: slerp", "models: ", "base: ", "genome.depth: ", "genome.frozen: ", "method_options.normalise: count",
        "model.out_dtype: float16", "layer_pattern: ",
    ):  # fmt: skip
        assert f"  - {key}" in printed
    words = family.words(tmp_path / "run", **{**SMALL, "models": None}, recipe=tmp_path / "none.json")
    assert "recipe: there is no file" in problems_of(["search", *words])
    lost = written(tmp_path, {**ties(family), "sources": [str(family.folder / "one"), str(family.folder / "gone")]})
    printed = problems_of(["check", *family.words(tmp_path / "run", **{**SMALL, "models": None}, recipe=lost)])
    assert f"  - recipe: {lost}: there is no folder {family.folder / 'gone'}" in printed
    assert printed.count("gone") == 1
    endless = tmp_path / "endless.yml"
    with endless.open("wb") as file:
        file.truncate(1 << 40)
    assert "expected at most" in problems_of(["check", f"recipe={endless}"])
    assert "genome.searched: marks" in problems_of(["check", *family.words(tmp_path, genome__searched="[weight]")])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_layers_and_inner_recipes_stay_and_their_weights_are_searched(family: Family, tmp_path: Path) -> None:
    """Three layers of models of two, one of which is a merge itself: the merge of both is searched."""
    one, two, base = (str(family.folder / name) for name in ("one", "two", "base"))
    inner = {"method": "linear", "sources": [two, base], "groups": {"groups": [{"label": "all"}]}}
    stack = {
        "method": "linear", "sources": [one, {"recipe": {**inner, "coefficients": {"weight": [[0.5, 0.5]]}}}],
        "groups": {"groups": [{"label": "all"}]}, "coefficients": {"weight": [[0.7, 0.6]]},
        "layers": [{"inputs": [[0, 0], [1, 0]]}, {"inputs": [[0, 1], [1, 1]]}, {"inputs": [[0, 1], [0, 0]]}],
    }  # fmt: skip
    run = tmp_path / "run"
    assert family.search(run, recipe=written(tmp_path, stack), **{**SMALL, "evaluations": 2}) == 0
    found = [record for record in records(run) if record["split"] == "search"]
    assert [record["error"] for record in found] == [None] * len(found)
    names = [record["name"] for record in found]
    assert names == ["expert:one", "expert:two", "expert:base", "uniform", None, None], "no base: no scales"
    recipes = [record["recipe"] for record in found[-2:]]
    assert [len(recipe["layers"]) for recipe in recipes] == [3, 3]
    inside = [recipe["sources"][1]["recipe"]["coefficients"]["weight"] for recipe in recipes]
    assert inside == [[[0.5, 0.5]]] * 2
    weights = [recipe["coefficients"]["weight"][0] for recipe in recipes]
    assert weights[0] == [0.7, 0.6] != weights[1]
    assert sum(weights[1]) == pytest.approx(1.3)


def _plain(word: str) -> Any:
    value = word.split("=", 1)[1]
    return value[1:-1].split(",") if value.startswith("[") else int(value) if value.isdigit() else value


def _refusal(words: list[str]) -> str:
    from evomerge.config import compose
    from evomerge.errors import InputError
    from evomerge.run import search

    with pytest.raises(InputError) as error:
        search.search(search.prepare(compose.search(words)))
    return "\n".join(error.value.problems)
