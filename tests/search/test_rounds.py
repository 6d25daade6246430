"""Searches in rounds: elites become the models of the next round, in one run with one stream of records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evomerge.evaluation import Ask, Evaluation
from evomerge.recipe import Recipe
from evomerge.search import Criteria
from evomerge.search.rounds.elites import NEAR, Elites, elites
from evomerge.store import RunStore
from tests.search.analytic import NORTH, SOUTH, baselines, in_rounds, plan
from tests.search.killing import CONSTRAINTS, Blow, process
from tests.search.sessions import memory, search
from tests.search.test_kill import is_recommended, records

SHARE = 11
NAMES = ("nsga2^3", "cmaes^3", "de+rotating^3")


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a killed process has written is there for others on any disk."""
    with memory(tmp_path_factory.mktemp("rounds")) as folder:
        yield folder


def depth(recipe: Recipe) -> int:
    return 1 + max((depth(own) for own in recipe.sources if isinstance(own, Recipe)), default=0)


def test_elites_are_the_models_of_the_next_round(tmp_path: Path) -> None:
    work = in_rounds(plan("nsga2", evaluations=40, depth="linear"), 3, SHARE, elites=3)
    result, _ = search(tmp_path, work)
    store = RunStore.read(tmp_path)
    found = [e for e in store.evaluations("search") if e.batch]
    assert (result.reason, result.evaluations) == ("evaluations", 40)
    sizes = Counter((e.batch + 1) // 2 for e in found)
    assert (sizes[1], sizes[2]) == (SHARE, SHARE), "two batches of each round, of which the second is cut"
    recipes = [Recipe.from_json(e.recipe) for e in found]
    assert [depth(recipe) for recipe in recipes[:SHARE]] == [1] * SHARE
    assert {depth(recipe) for recipe in recipes[SHARE : 2 * SHARE]} == {2}
    assert {depth(recipe) for recipe in recipes[2 * SHARE :]} <= {2, 3}, "the best of both rounds before"
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    begun = [event for event in events if event["event"] == "round"]
    assert [event["number"] for event in begun] == [2, 3]
    for event, first in zip(begun, (SHARE, 2 * SHARE), strict=True):
        sources = recipes[first].sources
        assert [one.digest[:12] for one in sources if isinstance(one, Recipe)] == event["elites"]
        assert {recipe.sources for recipe in recipes[first : first + SHARE]} == {sources}
        assert {one.digest for one in sources} <= {e.digest for e in found[:first]}
    assert {e.parents[0][:2] for e in found[3 * SHARE :] if e.parents} == {"3:"}, "names are those of one round alone"
    members = {member.digest for member in result.front}
    criteria = Criteria(work.objectives, (), {})
    best = [e for e in found if not any(_dominates(criteria, other, e) for other in found)]
    assert members == {e.digest for e in best}, "the front is that of all rounds"


def _dominates(criteria: Criteria, one: Evaluation, other: Evaluation) -> bool:
    ours, theirs = criteria.minimised(one), criteria.minimised(other)
    return bool((ours <= theirs).all() and (ours < theirs).any())


def test_a_round_that_was_not_logged_before_a_kill_is_logged_by_the_next_session(tmp_path: Path) -> None:
    work, log = in_rounds(plan("random", evaluations=25), 2, SHARE), tmp_path / "events.jsonl"

    def rounds() -> list[int]:
        events = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        return [event["number"] for event in events if event["event"] == "round"]

    search(tmp_path, work)
    assert rounds() == [2]
    log.write_text(
        "".join(line + "\n" for line in log.read_text().splitlines() if '"round"' not in line) + "12\ntorn\n"
    )
    assert rounds() == []
    for _ in range(2):
        search(tmp_path, work)
        assert rounds() == [2]


@pytest.mark.parametrize("name", NAMES)
def test_a_search_killed_in_any_round_ends_as_an_undisturbed_one(name: str, tmp_path: Path) -> None:
    """In the second round, between the second and the third, in the third, and in the confirmation."""
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert process(whole, name, 30) == 0
    blows = [Blow("record:search", 4 + SHARE + 2, 0.5), Blow("record:search", SHARE - 2, 1.0)]
    blows += [Blow("responses:search", 5, 0.5), Blow("record:test", 2, 1.0)]
    for blow in blows:
        assert process(torn, name, 30, blow) == -9, f"{blow} never struck"
    assert process(torn, name, 30) == 0
    assert records(torn) == records(whole)
    log = torn / "records" / "main.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert process(torn, name, 30) == 0
    assert records(torn) == records(whole)


@pytest.mark.parametrize("name", NAMES)
def test_an_extended_search_is_one_that_had_the_budget_from_the_start(name: str, tmp_path: Path) -> None:
    """Budgets that end in the first round, at its end, in the second and in the last."""
    assert process(tmp_path / "once", name, 34) == 0
    for evaluations in (7, SHARE, 19, 34):
        assert process(tmp_path / "often", name, evaluations) == 0
    once, often = (
        [row for row in records(tmp_path / folder) if row["split"] == "search" and not is_recommended(row)]
        for folder in ("once", "often")
    )
    assert often == once


def test_patience_counts_in_the_last_round_so_a_run_goes_on_with_more_of_it(tmp_path: Path) -> None:
    """Random candidates of two weights that none of many improves."""
    patient = in_rounds(plan("random", evaluations=400, population=5, depth="linear"), 2, 60)
    hasty = replace(patient, budgets=replace(patient.budgets, patience=1))
    result, _ = search(tmp_path / "often", hasty)
    found = [Recipe.from_json(e.recipe) for e in RunStore.read(tmp_path / "often").evaluations("search") if e.batch]
    assert result.reason == "patience"
    assert sum(depth(recipe) == 1 for recipe in found if len(recipe.sources) > 1) == 60, "patience has not cut it"
    assert result.evaluations < 400
    more, _ = search(tmp_path / "often", patient)
    once, _ = search(tmp_path / "once", patient)
    assert (more.reason, more.evaluations) == (once.reason, once.evaluations) == ("evaluations", 400)
    assert {one.digest for one in more.front} == {one.digest for one in once.front}


def scored(place: int, north: float, south: float) -> Evaluation:
    metrics = {"north.acc": north, "south.loss": south}
    return Evaluation(f"{place:064x}", baselines()["base"].to_json(), Ask("search", 1, place), metrics=metrics)


def test_elites_are_the_best_that_are_not_nearly_the_same() -> None:
    values = [0.5, 0.9, 0.89, 0.7, 0.8]
    genomes = [np.array([0.1, 0.1]), np.array([0.5, 0.5]), np.array([0.5, 0.5 + NEAR]), np.array([1.0, 0.0])]
    genomes.append(np.array([0.0, 1.0]))
    candidates = [scored(place, value, 0.0) for place, value in enumerate(values)]

    def genes(candidate: Evaluation) -> tuple[int, NDArray[np.float64]]:
        return 0, genomes[candidate.index]

    chosen = elites(Criteria((NORTH,), (), {}), candidates, 3, genes)
    assert [e.index for e in chosen] == [1, 4, 3], "the third is the second but for a little"
    apart = elites(Criteria((NORTH,), (), {}), candidates, 3, lambda e: (e.index, genomes[0]))
    assert [e.index for e in apart] == [1, 2, 4], "genes of two rounds are not compared"
    assert [e.index for e in elites(Criteria((NORTH,), (), {}), candidates, 9, genes)] == [1, 4, 3, 0]


def test_a_round_that_needs_more_elites_gets_infeasible_ones_and_then_near_ones() -> None:
    """Of 41 candidates the best 40 lie within `NEAR` of each other, and the constraint is met by the first 40."""
    candidates = [scored(place, 0.9 - place / 1000, 0.0 if place < 40 else 0.9) for place in range(41)]
    criteria = Criteria((NORTH,), (), {})

    def genes(candidate: Evaluation) -> tuple[int, NDArray[np.float64]]:
        return 0, np.array([candidate.index / 1000 if candidate.index < 40 else 1.0])

    assert [e.index for e in elites(criteria, candidates, 4, genes)] == [0, 40], "beyond the first 32, too"
    bound = Criteria((NORTH,), CONSTRAINTS[1:], {})
    assert [bound.feasible(e) for e in candidates] == [True] * 40 + [False]
    assert [e.index for e in elites(bound, candidates, 4, genes)] == [0]
    assert [e.index for e in elites(bound, candidates, 4, genes, 2)] == [0, 40]
    assert [e.index for e in elites(bound, candidates, 4, genes, 3)] == [0, 40, 1]
    same = [replace(candidates[0], digest=str(place)) for place in range(3)]
    assert len(elites(bound, same, 4, genes, 2)) == 1, "one model twice is no merge"


def test_an_elite_that_is_merged_alone_is_the_elite_itself() -> None:
    """Two rounds of two candidates; the first of the second round merges the best of the first one and nothing else."""
    genome = in_rounds(plan("random", depth="linear"), 2, 11).genome
    points = [np.full(genome.n_var, value) for value in (0.2, 0.8, 1.0, 0.5)]
    made = [scored(place, value, 0.0) for place, value in enumerate((0.9, 0.3, 0.9, 0.5))]
    made = [replace(e, recipe=genome.decode(x).to_json()) for e, x in zip(made, points, strict=True)]
    made = [replace(e, ask=replace(e.ask, batch=1 + place // 2)) for place, e in enumerate(made)]
    criteria, chooser = Criteria((NORTH,), (), {}), Elites()
    chooser.over(1, genome)
    chosen = chooser.choose(criteria, made[:2], 2, 2)
    assert [e.index for e in chosen] == [0, 1]
    chooser.enter(chosen, {0: points[2]})
    chooser.over(2, genome)
    assert [e.index for e in chooser.choose(criteria, made, 3, 2)] == [0, 3, 1]


def test_a_search_ends_where_a_round_has_too_few_elites(tmp_path: Path) -> None:
    """As often as it is gone on with, and with the confirmation of what was found."""
    work = replace(in_rounds(plan("random", depth="linear"), 2, 11, elites=12), fewest_elites=12)
    for _ in range(2):
        result, _ = search(tmp_path, work)
        assert (result.reason, result.evaluations) == ("exhausted", 11)
        assert result.confirmed


def test_elites_of_several_objectives_are_of_the_front_and_begin_with_its_knee() -> None:
    values = [(0.9, 0.9), (0.8, 0.2), (0.1, 0.1), (0.1, 0.9), (0.7, 0.3)]
    candidates = [scored(place, *pair) for place, pair in enumerate(values)]
    criteria = Criteria((NORTH, SOUTH), (), {})
    chosen = elites(criteria, candidates, 3, lambda e: (0, np.array([float(e.index)])))
    assert [e.index for e in chosen] == [1, 0, 2]
    assert [e.index for e in elites(criteria, candidates, 1, lambda e: (0, np.zeros(1)))] == [1]


def test_where_none_is_feasible_elites_miss_by_least() -> None:
    candidates = [scored(place, 0.5, south) for place, south in enumerate((0.9, 0.5, 0.7))]
    criteria = Criteria((NORTH, SOUTH), CONSTRAINTS[1:], {})
    chosen = elites(criteria, candidates, 2, lambda e: (0, np.array([float(e.index)])))
    assert {e.index for e in chosen} == {1, 2}
    assert elites(criteria, [], 2, lambda e: (0, np.zeros(1))) == []
