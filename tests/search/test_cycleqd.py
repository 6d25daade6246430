"""CycleQD by hand: who is a parent, what a child is, whose turn it is, and what becomes of ancestors' mutations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evomerge.analysis.diversity.grid import Grid
from evomerge.errors import InputError
from evomerge.post import load
from evomerge.recipe import Recipe
from evomerge.search.searchers import Observation, Problem, Proposal, Push, Pushes, SearcherSettings, make
from evomerge.search.searchers._shared.archives.pushes import forgotten, pushed
from evomerge.search.searchers._shared.initial_population import generator
from evomerge.search.searchers.cycleqd import appeal
from evomerge.store import RunStore
from tests.search.analytic import plan, space
from tests.search.sessions import search

GRID = Grid((0.0, 0.0), (1.0, 1.0), 10)
STARTS = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
SCORES = {"1.0": (0.9, 0.1), "1.1": (0.2, 0.8), "1.2": (0.55, 0.5)}


class Made:
    """Pushes whose recipes are kept, with what they were made of."""

    def __init__(self) -> None:
        self.calls: list[tuple[np.ndarray, tuple[Push, ...], float]] = []

    def __call__(self, x: np.ndarray, own: tuple[Push, ...], size: float) -> Recipe:
        self.calls.append((x, tuple(own), size))
        return pushed(space("model"), x, own, size)


def told(proposals: list[Proposal], scores: dict[str, tuple[float, float]]) -> list[Observation]:
    return [Observation(p.id, -np.array(scores[p.id]), np.zeros(1), None, np.array(scores[p.id])) for p in proposals]


def test_parents_are_drawn_by_the_product_of_their_places_in_quality_and_measures() -> None:
    """0.5 for the worst, 1.3 for the best of the archive; a column in which all are alike counts for nothing."""
    scores = np.array([[0.0, 10.0, 3.0], [1.0, 0.0, 3.0], [0.5, 5.0, 3.0]])
    product = np.array([0.5 * 1.3, 1.3 * 0.5, 0.9 * 0.9])
    assert appeal(scores) == pytest.approx(product / product.sum())
    assert appeal(np.ones((4, 2))) == pytest.approx([0.25] * 4)


def test_a_child_is_the_weighted_mean_of_two_elites_pushed_towards_the_expert_of_the_turn() -> None:
    """The first turn is the first objective's; weights are N(1, 0.01) over their sum; the key is the next draw."""
    made = Made()
    searcher = make("cycleqd", Problem(2, 2, 1, STARTS, GRID, pushes=Pushes(made, (1, 0))), SearcherSettings(5, 7))
    first = searcher.ask()
    assert [p.x.tolist() for p in first] == STARTS.tolist(), "the starts alone"
    searcher.tell(told(first, SCORES))
    random = generator(7, "cycleqd")
    child = searcher.ask(1)[0]
    elites = ["1.0", "1.1", "1.2"]  # each has a cell of its own over the second score, in the order of the tells
    pair = random.choice(3, 2, replace=False, p=appeal(np.array([SCORES[id] for id in elites])))
    weights = random.normal(1.0, 0.01, 2)
    key = int(random.integers(2**53))
    wanted = (weights[0] * STARTS[pair[0]] + weights[1] * STARTS[pair[1]]) / weights.sum()
    x, pushes, size = made.calls[0]
    assert np.allclose(x, wanted, atol=1e-12)
    assert pushes == (Push(1, key, 1.0),)
    assert size == 0.1
    assert child.parents == tuple(elites[place] for place in pair)
    (step,) = child.recipe.post
    assert (step.name, dict(step.options)) == ("svd_push", {"model": 1, "draws": f"{key}:1"})


def test_turns_go_round_and_mutations_are_inherited_with_their_parents_weights() -> None:
    made = Made()
    searcher = make("cycleqd", Problem(2, 2, 1, STARTS, GRID, pushes=Pushes(made, (1, 0))), SearcherSettings(5, 7))
    searcher.tell(told(searcher.ask(), SCORES))
    batch = searcher.ask()
    assert len(batch) == 5
    assert {pushes[0].expert for _, pushes, _ in made.calls} == {1}
    scores = {p.id: (0.99, 0.95 - 0.01 * place) for place, p in enumerate(batch)}
    searcher.tell(told(batch, scores))
    made.calls.clear()
    children = searcher.ask()
    assert {pushes[0].expert for _, pushes, _ in made.calls} == {0}, "the second objective's turn"
    inherited = [own for _, pushes, _ in made.calls for own in pushes[1:]]
    assert inherited
    assert all(own.expert == 1 and 0.45 < own.weight < 0.55 for own in inherited)
    searcher.tell(told(children, {p.id: (0.1, 0.1) for p in children}))
    made.calls.clear()
    searcher.ask()
    assert {pushes[0].expert for _, pushes, _ in made.calls} == {1}, "and the first one's again"


def test_of_many_ancestors_the_heaviest_draws_stay_and_of_the_others_the_mean() -> None:
    pushes = [
        Push(0, 5, 0.5),
        Push(1, 7, 0.25),
        Push(0, 5, 0.5),
        Push(0, 9, 0.125),
        Push(1, None, 1.0),
        Push(1, 3, 0.1),
    ]
    assert forgotten(pushes, 2) == (Push(0, 5, 1.0), Push(1, 7, 0.25), Push(0, None, 0.125), Push(1, None, 1.1))
    assert forgotten([Push(0, 5, -1.0), Push(0, 7, 0.5)], 1) == (Push(0, 5, -1.0), Push(0, None, 0.5))
    assert forgotten(pushes, 0) == (Push(0, None, 1.125), Push(1, None, 1.35))


def test_a_parent_of_negative_weight_hands_down_steps_that_can_be_made() -> None:
    """With the widest spread a weight below 0 comes once in some thousand draws."""
    whole = Made()
    same = whole(STARTS[0], (Push(0, 1, 1.0),), 0.1)

    def made(x: np.ndarray, own: tuple[Push, ...], size: float) -> Recipe:
        return whole(x, own, size) if any(push.weight < 0.0 for push in own) else same

    settings = SearcherSettings(4000, 7, {"spread": 0.3})
    searcher = make("cycleqd", Problem(2, 2, 1, STARTS, GRID, pushes=Pushes(made, (1, 0))), settings)
    searcher.tell(told(searcher.ask(), SCORES))
    batch = searcher.ask(2)
    searcher.tell(told(batch, {p.id: (0.99, 0.95 - 0.2 * place) for place, p in enumerate(batch)}))
    below = [child.recipe for child in searcher.ask(4000) if child.recipe is not same]
    assert below
    for recipe in below:
        for step in recipe.post:
            load(step.name).coefficients(step.options)


def test_without_a_base_the_way_out_is_told() -> None:
    with pytest.raises(
        InputError, match=r"method with a base, such as task_arithmetic, or searcher\.options\.mutation"
    ):
        make("cycleqd", Problem(2, 2, 1, STARTS, GRID), SearcherSettings())
    genes = SearcherSettings(options={"mutation": "genes"})
    assert make("cycleqd", Problem(2, 2, 1, STARTS, GRID), genes).ask()


def test_in_a_search_each_objective_is_pushed_towards_its_best_expert(tmp_path: Path) -> None:
    search(tmp_path, plan("cycleqd", evaluations=20, population=5))
    recipes = [
        Recipe.from_json(dict(e.recipe)) for e in RunStore.read(tmp_path).evaluations("search") if e.name is None
    ]
    steps = [step for recipe in recipes for step in recipe.post]
    assert steps
    assert {step.name for step in steps} == {"svd_push"}
    assert all(len(step.coefficients["size"]) == len(recipes[0].groups.groups) for step in steps)
