"""How far genes move a merge, worked by hand, and searches whose prior it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evomerge import methods
from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.genome import GenomeSettings, GenomeSpec, build
from evomerge.recipe import CheckpointRef, ParameterGroups, Recipe
from evomerge.run.assemble import assemble
from evomerge.run.recipes.reach import reach_of, relative_reach
from evomerge.store import RunStore, candidates
from tests.run.family import Family

NAMES = [f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(2)]


def space(method: str, models: int) -> GenomeSpec:
    loaded = methods.load(method)
    options = loaded.resolve({})
    experts = tuple(CheckpointRef(f"expert_{number}") for number in range(models))
    template = Recipe(method, options, experts, CheckpointRef("base"), ParameterGroups(()))
    return build(GenomeSettings(depth="layer"), loaded.coefficients(options), template, NAMES)


def test_a_gene_moves_the_merge_by_its_range_times_the_length_of_the_delta() -> None:
    """Deltas of lengths 1 and 2 in the first layer, 3 and 6 in the second; the median of these is 2.5."""
    spec = space("task_arithmetic", 2)
    assert [label.split()[0] for label in spec.labels] == ["weight[expert_0]", "weight[expert_1]"] * 2
    products = np.array([[[1.0, 0.5], [0.5, 4.0]], [[9.0, -3.0], [-3.0, 36.0]]])
    assert relative_reach(spec, products).tolist() == [0.4, 0.8, 1.2, 2.4]


def test_shares_move_it_from_one_expert_towards_the_other() -> None:
    """With proportions of two experts the gene goes from one to the other, and what counts is how far these differ.

    Squared distances are 1 + 4 - 2 * 0.5 = 4 and 9 + 36 + 2 * 3 = 51, whatever the base: added to both deltas it goes.
    """
    spec = space("linear", 2)
    assert spec.n_var == 2
    products = np.array([[[1.0, 0.5], [0.5, 4.0]], [[9.0, -3.0], [-3.0, 36.0]]])
    wanted = np.sqrt([4.0, 51.0]) / np.mean(np.sqrt([4.0, 51.0]))
    assert relative_reach(spec, products) == pytest.approx(wanted, abs=1e-5)
    moved = products + np.array([5.0])[:, None, None] + np.array([[1.0, 2.0]]) + np.array([[1.0], [2.0]])
    assert relative_reach(spec, moved) == pytest.approx(wanted, abs=1e-5)


def test_models_that_do_not_differ_have_no_prior() -> None:
    assert relative_reach(space("task_arithmetic", 2), np.zeros((2, 2, 2))).tolist() == [1.0] * 4


@pytest.fixture
def words(family: Family) -> list[str]:
    changes = {"run_dir": None, "evaluations": 8, "items_per_task": 4, "searcher.population": 5, "confirm.finalists": 0}
    return family.words("left out", **changes)


def test_it_is_read_from_the_models_of_a_search(words: list[str]) -> None:
    assembly = assemble(compose.search([*words, "genome=layer"]))
    reach = reach_of(assembly.config, assembly.spec, assembly.checkpoints)
    assert reach is not None
    found = reach()
    assert found.shape == (assembly.spec.n_var,)
    assert (found > 0.0).all()
    assert found.tobytes() == reach().tobytes()


def test_a_search_with_it_goes_on_where_it_stopped(words: list[str], tmp_path: Path) -> None:
    """Cut in the middle of a batch, and gone on with: what one search in one piece proposes."""
    pytest.importorskip("optuna")
    chosen = [*words, "searcher=gp", "searcher.options={startup: 5, prior: deltas}", "genome=layer"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["search", *chosen, f"run_dir={whole}"]) == 0
    assert main(["search", *chosen, f"run_dir={parts}", "evaluations=6"]) == 0
    assert main(["search", *chosen, f"run_dir={parts}"]) == 0
    found = [[one.digest for one in candidates(RunStore.read(run))] for run in (whole, parts)]
    assert found[0] == found[1]
    assert len(found[0]) == 8
