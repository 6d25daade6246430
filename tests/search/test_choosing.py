"""Searchers that choose among models, worked by hand: a model's value is given, and nothing is merged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from evomerge.analysis import Sums
from evomerge.contracts._searcher.cases import expert_pool
from evomerge.errors import InputError
from evomerge.recipe import Recipe, Source
from evomerge.search.searchers import ExpertPool, Observation, Problem, Searcher, SearcherSettings, make

POOL = expert_pool(3)


def searcher(name: str, pool: ExpertPool | None = POOL, **options: object) -> Searcher:
    return make(name, Problem(1, 1, 1, pool=pool), SearcherSettings(options=options))


def parts(source: Source, share: float = 1.0) -> dict[str, float]:
    """The share of each expert, recipes inside included."""
    if not isinstance(source, Recipe):
        return {source.label: share}
    found: dict[str, float] = {}
    for inner, own in zip(source.sources, source.coefficients["weight"][0], strict=True):
        for label, value in parts(inner, share * float(own)).items():
            found[label] = found.get(label, 0.0) + value
    return found


def shown(recipe: Recipe) -> dict[str, float]:
    return {label: round(value, 6) for label, value in sorted(parts(recipe).items())}


def play(one: Searcher, value: Callable[[dict[str, float]], float], asks: int) -> list[list[dict[str, float]]]:
    """What is proposed; values of what is kept are told again with those of the next batch, as they were."""
    asked, known = [], dict[str, Observation]()
    for _ in range(asks):
        proposals, kept = one.ask(), one.selection().kept
        asked.append([shown(p.recipe) for p in proposals if p.recipe is not None])
        told = [Observation(p.id, np.array([value(shown(p.recipe))]), np.zeros(1)) for p in proposals if p.recipe]
        one.tell([*told, *(known[id] for id in kept)])
        known |= {observation.id: observation for observation in told}
    return asked


def loss_of(loss: dict[tuple[str, ...], float]) -> Callable[[dict[str, float]], float]:
    return lambda recipe: loss[tuple(recipe)]


def test_a_greedy_soup_takes_in_whoever_does_no_harm() -> None:
    """The order is 1, 0, 2. With 0 the soup is as good, so it stays; with 2 it is worse, so 2 stays out."""
    values = {("0",): 0.5, ("1",): 0.4, ("2",): 0.6, ("0", "1"): 0.4, ("0", "1", "2"): 0.41}
    one = searcher("greedy_soup")
    asked = play(one, loss_of(values), 4)
    assert asked == [
        [{"0": 1.0}, {"1": 1.0}, {"2": 1.0}],
        [{"0": 0.5, "1": 0.5}],
        [{"0": 0.333333, "1": 0.333333, "2": 0.333333}],
        [],
    ]
    assert one.selection().kept == ("2.0",)


def test_a_soup_that_gets_worse_goes_on_without_the_expert() -> None:
    values = {("0",): 0.5, ("1",): 0.4, ("2",): 0.6, ("0", "1"): 0.45, ("1", "2"): 0.3}
    one = searcher("greedy_soup")
    assert play(one, loss_of(values), 3)[1:] == [[{"0": 0.5, "1": 0.5}], [{"1": 0.5, "2": 0.5}]]
    assert one.selection().kept == ("3.0",)


@pytest.mark.parametrize("form", ["experts", "chain"])
def test_model_glue_keeps_the_best_share_of_a_grid(form: str) -> None:
    """Loss is least at half of each of 0 and 1, then at a tenth of 2: the last share tried is not what counts."""

    def value(recipe: dict[str, float]) -> float:
        wanted = {"0": 0.45, "1": 0.45, "2": 0.1}
        return sum((recipe.get(label, 0.0) - share) ** 2 for label, share in wanted.items())

    asked = play(searcher("greedy_soup", grid=9, form=form), value, 3)
    assert asked[1] == [{"0": round(1 - step / 10, 6), "1": step / 10} for step in range(1, 10)]
    assert [recipe["2"] for recipe in asked[2]] == [step / 10 for step in range(1, 10)]
    assert asked[2][0] == {"0": 0.45, "1": 0.45, "2": 0.1}


def test_clusters_have_soups_of_their_own() -> None:
    """Of four experts 0 and 2, and 1 and 3, have alike weights."""
    pool = expert_pool(4)
    asked = play(searcher("greedy_soup", pool, clusters=0.95), lambda recipe: float(min(map(int, recipe))), 3)
    assert asked[1:] == [[{"0": 0.5, "2": 0.5}, {"1": 0.5, "3": 0.5}], []]


def test_a_method_of_two_models_makes_a_chain() -> None:
    """Each expert enters with the share that it would have side by side; without weights, with a half."""
    pool = expert_pool(3)
    asked = play(searcher("greedy_soup", replace(pool, most=2)), lambda recipe: -float(len(recipe)), 3)
    assert asked[2] == [{"0": 0.333333, "1": 0.333333, "2": 0.333333}]
    asked = play(searcher("greedy_soup", replace(pool, most=2, weighted=False)), lambda recipe: -float(len(recipe)), 3)
    assert asked[2] == [{"0": 0.25, "1": 0.25, "2": 0.5}]
    with pytest.raises(InputError, match="takes no weights"):
        searcher("greedy_soup", replace(pool, weighted=False), grid=9)


def related(*deltas: Sequence[float]) -> ExpertPool:
    """A pool of experts with these deltas."""
    matrix = np.array(deltas)
    count, numel = matrix.shape
    ones = np.ones((count, count))
    sums = Sums(numel, 1.0, matrix.sum(axis=1), matrix @ matrix.T, ones, ones)
    return replace(expert_pool(count), sums=lambda: sums)


def test_kinship_merges_pairs_of_the_best_and_explores() -> None:
    """Of four, 0 and 1 are the best two; the best is 0, and 3 is least of its kin: it points the other way."""
    pool = related((1, 0, 0), (0.9, 0.1, 0), (0.5, 0.5, 0), (-1, 0, 0.1))
    values = {("0",): 0.1, ("1",): 0.2, ("2",): 0.3, ("3",): 0.4, ("0", "1"): 0.05, ("0", "3"): 0.35}

    def value(recipe: dict[str, float]) -> float:
        return values.get(tuple(recipe), 1.0)

    one = searcher("kinship", pool, top=2)
    asked = play(one, value, 3)
    assert asked[1] == [{"0": 0.5, "1": 0.5}, {"0": 0.5, "3": 0.5}]
    # Now the best are (0, 1) and 0. The delta of (0, 1) is (0.95, 0.05, 0), so 3 is least of its kin too.
    assert asked[2] == [{"0": 0.75, "1": 0.25}, {"0": 0.25, "1": 0.25, "3": 0.5}]
    assert one.selection().kept == ("2.0", "3.0")
    assert play(searcher("kinship", pool, top=2, explore="never"), value, 2)[1] == [{"0": 0.5, "1": 0.5}]


def test_kinship_explores_when_gains_stall() -> None:
    """The pair of the best is no better than 0, so 0 is then merged with what is least of its kin."""
    pool = related((1, 0, 0), (0, 1, 0), (-1, 0, 0.1))
    values = {("0",): 0.1, ("1",): 0.2, ("2",): 0.3}
    one = searcher("kinship", pool, top=2, measure="cosine", explore="stalled")
    asked = play(one, lambda recipe: values.get(tuple(recipe), 1.0), 4)
    # Cosines with 0, without their signs: of (0, 1) 0.71, of 2 0.995; then of (0.75, 0.25) 0.95.
    assert asked[1:] == [[{"0": 0.5, "1": 0.5}], [{"0": 0.75, "1": 0.25}], [{"0": 0.875, "1": 0.125}]]


def test_kinship_needs_deltas_to_explore() -> None:
    bare = replace(POOL, sums=None)
    with pytest.raises(InputError, match=r"name it with base=, or write searcher\.options\.explore=never"):
        searcher("kinship", bare)
    assert searcher("kinship", bare, explore="never").ask()


@pytest.mark.parametrize("name", ["greedy_soup", "kinship"])
def test_without_models_to_choose_among_they_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="chooses among the models of a search: give models= and no recipe="):
        searcher(name, None)


def test_recipes_are_not_nested_too_deep() -> None:
    """Every generation's only gain is the child of the newest: at eight recipes inside each other it ends."""
    generations = play(searcher("kinship", top=2), lambda recipe: -float(recipe.get("0", 0.0)), 40)
    assert [] in generations
    pool = replace(expert_pool(12), most=2)
    chain = play(searcher("greedy_soup", pool), lambda recipe: -float(len(recipe)), 12)
    assert sum(map(bool, chain)) == 8  # the experts, then soups of two to eight
