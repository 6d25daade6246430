"""What declarations check, and the shortest way to write a method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from evomerge import methods
from evomerge.contracts.method_cases import random_values, variants
from evomerge.errors import InputError
from evomerge.methods import TensorContext
from evomerge.recipe import CheckpointRef, Coefficient, Group, ParameterGroups, Recipe

GROUPS = ParameterGroups((Group("embedding", ("embedding",), frozen=True), Group("rest")))


def recipe(method: str = "ties", n_models: int = 2, base: str | None = "base", **coefficients: Any) -> Recipe:
    usual = {"weight": np.full((2, n_models), 0.5), "density": np.full((2, n_models), 0.5), "lambda": np.ones(2)}
    return Recipe(
        method=method,
        options={},
        sources=tuple(CheckpointRef(f"expert_{i}") for i in range(n_models)),
        base=CheckpointRef(base) if base else None,
        groups=GROUPS,
        coefficients={name: np.asarray(value) for name, value in (usual | coefficients).items() if value is not None},
    )


def problems(given: Recipe) -> str:
    return "\n".join(methods.load(given.method).problems(given))


def test_a_good_recipe_has_no_problems() -> None:
    assert problems(recipe()) == ""
    assert problems(recipe("linear", 1, None, density=None, **{"lambda": None})) == ""


def test_rows_of_frozen_groups_are_not_looked_at() -> None:
    assert problems(recipe(density=[[7.0, 7.0], [0.5, 0.5]])) == ""


def test_all_problems_come_at_once() -> None:
    found = problems(
        recipe(
            base=None, density=[[1, 1], [0.0, 1.5]], weight=None, wieght=np.ones((2, 2)), **{"lambda": np.ones((2, 2))}
        )
    )
    for part in (
        "set base",
        "no coefficient 'wieght'; did you mean 'weight'",
        "no values for coefficient 'weight'",
        "'density' goes down to 0, below 1e-06",
        "'density' goes up to 1.5, above 1",
        "'lambda' has shape (2, 2); expected one value per group",
    ):
        assert part in found


def test_proportions_need_something_to_be_proportional_to() -> None:
    assert "sums to zero" in problems(recipe(weight=np.zeros((2, 2))))
    assert problems(recipe(weight=[[1, 1], [2.0, -3.0]])) == ""  # what agrees is divided by its own weights
    averaged = recipe("linear", 2, None, weight=[[1, 1], [2.0, -1.0]], density=None, **{"lambda": None})
    assert "below 0" in problems(averaged)


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_models_is_checked(count: int) -> None:
    given = recipe("slerp", count, None, weight=None, density=None, **{"lambda": None, "t": np.ones(2)})
    assert f"merges 2 models; the recipe names {count}" in problems(given)


def test_options_of_a_recipe_are_checked_first() -> None:
    given = Recipe("ties", {"tie": "positve"}, (CheckpointRef("a"),), CheckpointRef("b"), GROUPS)
    assert problems(given) == (
        "method ties: option tie is 'positve'; it is one of positive, majority, majority_or_minus, drop; "
        "did you mean 'positive'?"
    )


@pytest.mark.parametrize(
    ("option", "good", "bad", "expected"),
    [
        (methods.Option(0.5, None, float, ""), [1, 0.25], [True, "x", None, float("nan")], "a number"),
        (methods.Option(3, None, int, ""), [4], [True, 0.5], "a whole number"),
        (methods.Option(3, None, int, "", low=1, high=10**7), [1], [0], "a whole number from 1 to 10000000"),
        (methods.Option(0.5, None, float, "", high=0), [-1], [0.5], "a number of at most 0"),
        (methods.Option(True, None, bool, ""), [False], [0, "no"], "true or false"),
        (methods.Option("", None, str, ""), ["a"], [0, None], "a text"),
    ],
)
def test_options_have_types(option: methods.Option, good: list[Any], bad: list[Any], expected: str) -> None:
    assert [option.problem("x", value) for value in good] == [None] * len(good)
    assert [option.problem("x", value) for value in bad] == [
        f"option x is {value!r}; expected {expected}" for value in bad
    ]
    assert option.accepted() == expected


def test_a_plain_function_of_whole_tensors_is_a_method() -> None:
    def largest(
        context: methods.TensorContext,
        base: torch.Tensor | None,
        models: Sequence[torch.Tensor],
        coefficients: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> torch.Tensor:
        """MagMax: per element, the delta of largest magnitude."""
        assert base is not None
        deltas = torch.stack([model - base for model in models])
        chosen = deltas.abs().argmax(dim=0, keepdim=True)
        return base + coefficients["lambda"] * deltas.gather(0, chosen)[0]

    magmax = methods.MergeMethod(
        name="magmax",
        summary="largest delta of each element",
        paper="Marczak et al. 2024, MagMax, https://arxiv.org/abs/2407.06322",
        merge=methods.whole_tensor(largest),
        coefficients=lambda options: (Coefficient("lambda", 0, 1, 1, per_model=False),),
    )
    base, models = (
        torch.zeros(3).bfloat16(),
        [torch.tensor([1.0, -3, 2]).bfloat16(), torch.tensor([2.0, 1, -1]).bfloat16()],
    )
    options = magmax.resolve({})
    context = methods.TensorContext("x")
    out = torch.nn.Parameter(torch.empty(3))
    magmax.merge(context, magmax.sources(context, base, models, options), {"lambda": 0.5}, out)
    assert out.tolist() == [1.0, -1.5, 1.0]
    assert magmax.starts(2, options) == {}
    assert magmax.mergekit(options) is None
    with pytest.raises(InputError, match="has no option 'scale'"):
        magmax.resolve({"scale": 1})
    # Float32 copies of base and models, the result, and five intermediates.
    assert magmax.working_bytes((10, 10), 3, {}) == 4 * 100 * (3 + 1 + 5)
    assert methods.load("ties").working_bytes((10, 10), 3, {}) == 0
    assert replace(magmax, scratch_bytes=lambda shape, n_inputs, options: 7).working_bytes((2,), 3, {}) == 4 * 2 * 9 + 7


def test_a_function_of_whole_tensors_returns_a_whole_tensor() -> None:
    merge = methods.whole_tensor(lambda context, base, models, coefficients, options: models[0].mean(0))
    sources = methods.TensorSources(None, [torch.ones(3, 2)], {})
    with pytest.raises(ValueError, match=r"tensor 'x' of shape \[3, 2\], it returned \[2\]"):
        merge(methods.TensorContext("x"), sources, {}, torch.empty(3, 2))


def test_what_is_prepared_has_a_size() -> None:
    ties = methods.load("ties")
    with pytest.raises(ValueError, match="prepared_bytes"):
        replace(ties, prepared_bytes=None)
    with pytest.raises(ValueError, match="prepared_bytes"):
        replace(ties, prepare=None)


def test_sums_are_what_the_method_merges() -> None:
    """Of every method that says that its result is a weighted sum, under all its options."""
    generator = torch.Generator().manual_seed(0)
    base, *models = (torch.randn(5, 7, generator=generator) for _ in range(4))
    told = [method for method in map(methods.load, methods.names()) if method.sums is not None]
    assert {method.name for method in told} >= {"linear", "task_arithmetic"}
    for method in told:
        for options in variants(method):
            values = random_values(method, options, 3) | {"weight": (0.3, 0.0, 0.9)}
            sources = method.sources(TensorContext("x"), base, models, options)
            merged = torch.empty(5, 7)
            method.merge(TensorContext("x"), sources, values, merged)
            of_base, of_models = method.sums("x", values, options)
            wanted = sum((own * model for own, model in zip(of_models, models, strict=True)), math.fsum(of_base) * base)
            torch.testing.assert_close(merged, wanted)


@pytest.mark.parametrize("name", ["emr", "consensus"])
def test_the_order_of_models_counts_where_an_option_is_the_number_of_one(name: str) -> None:
    method = methods.load(name)
    assert method.symmetric_under({})
    assert not method.symmetric_under({"task": 0})
    assert not methods.load("slerp").symmetric_under({})
