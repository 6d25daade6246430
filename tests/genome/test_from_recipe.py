"""The search space that an existing recipe gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from evomerge.errors import InputError
from evomerge.genome import GenomeSettings, GenomeSpec, NotExpressible, from_recipe
from evomerge.recipe import Coefficient, Group, Number, ParameterGroups, Recipe, numbers_of
from tests.genome.spaces import BASE, DENSITY, LAMBDA, SHARE, WEIGHT, A, B

GROUPS = ParameterGroups(
    (Group("embedding", kinds=("embedding",), frozen=True), Group("layers 0-1", layers=(0, 2)), Group("rest"))
)
TENSORS = {"a": 1, "b": 2}  # of the groups that are merged


def recipe(**coefficients: Any) -> Recipe:
    return Recipe("ties", {}, (A, B), BASE, GROUPS, {name: np.array(v) for name, v in coefficients.items()})


def space(
    of: Recipe, declared: Sequence[Coefficient], numbers: Sequence[Number] | None = None, **settings: Any
) -> GenomeSpec:
    given = tuple(numbers_of(of)) if numbers is None else numbers
    return from_recipe(GenomeSettings(**settings), declared, of, given, TENSORS, {1: 2, 2: 2})


FREE = recipe(
    weight=[[9, 9], [1.7, 0.4], [0.3, -0.6]], density=[[1, 1], [0.5, 0.05], [0.3, 0.9]], **{"lambda": [1] * 3}
)


def test_every_number_of_a_group_that_is_merged_is_a_gene() -> None:
    """Bounds hold the recipe's own values; the recipe itself comes back to the last bit; genomes are one to one."""
    found = space(FREE, (WEIGHT, DENSITY, LAMBDA))
    assert found.labels[:3] == ("weight[a] layers 0-1", "weight[b] layers 0-1", "weight[a] rest")
    assert found.n_var == 8, "of the frozen group nothing, and no lambda, which is left neutral"
    own = found.encode(FREE)
    assert found.decode(own) == FREE
    low, high = (found.decode(np.full(8, end)).coefficients for end in (0.0, 1.0))
    assert (low["weight"][1:].min(), high["weight"][1:].max()) == (-0.6, 1.7)
    assert low["density"][1:].min() == 0.05
    assert found.template.groups == GROUPS
    x = np.random.default_rng(0).uniform(0.01, 0.99, (2, 8))
    assert found.encode(found.decode(x[0])) == pytest.approx(x[0], abs=1e-9)
    assert found.decode(x[0]) != found.decode(x[1])
    with pytest.raises(NotExpressible, match="lambda of rest is not searched"):
        found.encode(recipe(**{**FREE.coefficients, "lambda": [1, 1, 2]}))


def test_a_number_away_from_neutral_is_searched_whatever_the_method_says() -> None:
    assert "lambda rest" in space(recipe(**{"lambda": [1, 1, 0.8]}), (LAMBDA,)).labels


WHOLE = Coefficient("lines.alpha", 0.0, 1.5, 1.0, per_model=False, whole=True)


def test_what_is_one_for_the_whole_model_is_one_gene() -> None:
    """JSON names a value for each group all the same; those of frozen groups are left as they are."""
    own = recipe(weight=[[9, 9], [1, 2], [1, 2]], **{"lines.alpha": [0.3, 0.7, 0.7]})
    found = space(own, (WEIGHT, WHOLE))
    assert found.labels[-1] == "lines.alpha"
    assert found.n_var == 5, "weights of two groups, and one alpha"
    assert found.decode(found.encode(own)) == own
    for end, value in ((0.0, 0.0), (1.0, 1.5)):
        alpha = found.decode(np.array([0.5, 0.5, 0.5, 0.5, end])).coefficients["lines.alpha"]
        assert alpha.tolist() == [0.3, value, value]
    (only,) = space(own, (WEIGHT, WHOLE), searched=("lines.alpha",)).labels
    assert only == "lines.alpha"
    with pytest.raises(InputError, match=r"'lines.alpha@rest', but lines.alpha is one for the whole model; leave out"):
        space(own, (WEIGHT, WHOLE), searched=("lines.alpha@rest",))


def test_groups_whose_file_gives_the_whole_model_several_values_keep_them_apart() -> None:
    """The recipe itself is where the search starts, so it has to be in the space."""
    own = recipe(weight=[[9, 9], [1, 2], [1, 2]], **{"lines.alpha": [1.0, 0.7, 0.4]})
    found = space(own, (WHOLE,))
    assert found.labels == ("lines.alpha layers 0-1", "lines.alpha rest")
    assert found.decode(found.encode(own)) == own


def test_marks_choose_coefficients_and_groups() -> None:
    declared = (WEIGHT, DENSITY, LAMBDA)
    found = space(FREE, declared, searched=("weight@layers*", "lambda"))
    assert found.labels == ("weight[a] layers 0-1", "weight[b] layers 0-1", "lambda layers 0-1", "lambda rest")
    assert found.decode(found.encode(FREE)) == FREE
    with pytest.raises(InputError) as error:
        space(FREE, declared, searched=("wieght", "density@layer9"), bounds={"t": [0, 1]})
    assert [problem.partition(";")[0] for problem in error.value.problems] == [
        "genome.bounds names the coefficient 't'",
        "genome.searched names the coefficient 'wieght'",
        "genome.searched names 'layer9', which matches no group of the recipe",
    ]
    with pytest.raises(InputError, match=r"the recipe has values from -0\.6 to 1\.7, where the search starts"):
        space(FREE, declared, bounds={"weight": [0, 1]})
    with pytest.raises(InputError, match="nothing to search"):
        space(FREE, declared, searched=("weight@embedding",))


def test_proportions_keep_the_sum_that_the_recipe_has() -> None:
    own = recipe(weight=[[1, 1], [0.7, 0.6], [2, 0]])
    found = space(own, (SHARE,))
    assert found.labels == ("weight[a] layers 0-1", "weight[a] rest")
    assert found.decode(found.encode(own)) == own
    drawn = found.decode([0.3, 0.8]).coefficients["weight"]
    assert drawn[1:].sum(axis=1) == pytest.approx([1.3, 2.0])
    assert found.encode(found.decode([0.3, 0.8])) == pytest.approx([0.3, 0.8])


def number(label: str, shares: dict[tuple[int, ...], float]) -> Number:
    return Number(label, "weight", shares)


def test_a_number_that_the_file_gives_once_is_one_gene() -> None:
    """A scalar over all groups, and two anchors that all values in between follow from."""
    own = recipe(weight=[[0.4, 1.0], [0.4, 0.75], [0.4, 0.5]])
    both = [number("scalar", {(row, 0): 1.0 for row in range(3)})]
    both += [number("first", {(0, 1): 1.0, (1, 1): 0.5}), number("last", {(1, 1): 0.5, (2, 1): 1.0})]
    found = space(own, (WEIGHT,), both)
    assert found.labels == ("scalar", "first", "last")
    assert found.decode(found.encode(own)) == own
    middle = found.decode([0.5, 0.0, 1.0]).coefficients["weight"]
    assert middle[1:].tolist() == [[0.5, 0.5], [0.5, 1.5]]
    proportions = space(own, (SHARE,), both)
    assert proportions.n_var == 3, "numbers that enter unlike are no proportions"
    assert proportions.decode(proportions.encode(own)) == own
    alike = [
        number(f"{n}{slot}", {(1, slot): 1 - end, (2, slot): end}) for slot in (0, 1) for n, end in (("f", 0), ("l", 1))
    ]
    assert space(own, (SHARE,), alike).labels == ("f0", "l0")
    with pytest.raises(InputError, match="nothing to search"):
        space(own, (SHARE,), [number("all", {(row, slot): 1.0 for row in (1, 2) for slot in (0, 1)})])
