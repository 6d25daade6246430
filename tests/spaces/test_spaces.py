"""The study of search spaces: what its shortcuts lean on."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.run import environment
from experiments.spaces.families import EXPERTS, MEMBERS, pair
from experiments.spaces.landscape import Landscape, random_of
from experiments.spaces.searching import Windows, candidates, returned
from experiments.spaces.subsets import subsets
from experiments.spaces.ways import WAYS
from experiments.spaces.ways_page import write

FEW = 24


def test_subsets_are_different_and_of_all_sizes() -> None:
    found = subsets(24)
    assert len(set(found)) == 24
    assert {len(subset) for subset in found} == {2, 3, 4, 5}
    assert {name for subset in found for name in subset} == set(EXPERTS)
    assert subsets(10) == found[:10]


def test_every_expert_has_a_skill_and_a_language_of_its_own() -> None:
    lessons = [member.course.lessons for member in MEMBERS if member.parent]
    assert len({(lesson.skill, lesson.language) for (lesson,) in lessons}) == len(lessons) == 6


def test_a_way_with_a_prior_is_compared_with_the_same_without_and_with_nsga2(tmp_path: Path) -> None:
    scores = {"merge, nsga2": 0.80, "layers, nsga2": 0.79, "layers, gp": 0.77, "layers, gp with the prior": 0.75}
    searches = [
        {"way": way, "seed": seed, "genes": 4, "different": 60, "failed": 0, "returned": score, "hypervolume": score}
        for way, score in scores.items()
        for seed in range(3)
    ]
    write(searches, list(WAYS), tmp_path)
    page = (tmp_path / "ways.md").read_text()
    assert "| layers, gp with the prior | layers, gp | 3 | -2.0 [-2.0, -2.0] |" in page
    assert "| layers, gp with the prior | layers, nsga2 | 3 | -4.0 [-4.0, -4.0] |" in page
    assert "| merge, gp with the prior |" not in page, "which was not run"


@pytest.mark.slow
@pytest.mark.parametrize("searcher", ["cmaes", "nsga2"])
def test_a_smaller_budget_is_the_beginning_of_the_same_search(searcher: str, tmp_path: Path) -> None:
    """And what it returns is scored on items that nothing was chosen by."""
    environment.prepare(offline=True)
    landscape = Landscape(pair(), tmp_path / "run")
    space, random = landscape.space("linear"), random_of("test", searcher)
    search, selection = landscape.window("search", 6, random), landscape.window("selection", 6, random)
    fresh = landscape.window("test", 8)
    assert not {id for ids in (*search, *selection) for id in ids} & {id for ids in fresh for id in ids}
    more, scores = candidates(landscape, space, searcher, FEW, 3, search)
    fewer, _ = candidates(landscape, space, searcher, FEW // 2, 3, search)
    assert [recipe.digest for recipe in fewer] == [recipe.digest for recipe in more[: FEW // 2]]
    found = returned(landscape, more, scores, Windows(search, selection, fresh))
    assert found["returned"] == landscape.scores(more[found["row"]], "test", fresh).mean()
    assert 0.0 <= found["hypervolume"] <= 1.0
    assert found["claimed"] == scores.mean(axis=1).max()
