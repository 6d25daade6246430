"""EMR-Merging, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evomerge.config import checks
from evomerge.errors import InputError
from evomerge.methods import TensorContext, TensorSources, emr, load
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from tests.methods.one_tensor import merge

BASE = torch.full((5,), 10.0)
DELTAS = [torch.tensor([1.0, -3.0, 2.0, 0.5, 0.0]), torch.tensor([2.0, 1.0, -2.0, 0.0, -1.0])]
MODELS = [BASE + delta for delta in DELTAS]
# Sums 3, -2, 0, .5, -1: the third is zero, so minus is elected there.
ELECTED = torch.tensor([2.0, -3.0, -2.0, 0.5, -1.0])


def test_signs_are_elected_and_the_largest_that_agrees_is_taken() -> None:
    assert torch.equal(merge(("emr", ()), MODELS, BASE, {"weight": (1.0, 1.0), "lambda": 1.0}) - BASE, ELECTED)
    assert torch.equal(merge(("emr", ()), MODELS, BASE, {"weight": (1.0, 1.0), "lambda": 0.5}) - BASE, ELECTED / 2)


def test_weights_count_before_the_election() -> None:
    # Deltas [1, -3, 2, .5, 0] and [.5, .25, -.5, 0, -.25].
    merged = merge(("emr", ()), MODELS, BASE, {"weight": (1.0, 0.25), "lambda": 1.0}) - BASE
    assert merged.tolist() == [1.0, -3.0, 2.0, 0.5, -0.25]


def test_the_model_for_one_task() -> None:
    # The first agrees at elements 0, 1 and 3: magnitudes 6.5 of its own, 5.5 of the elected ones.
    merged = merge(("emr", (("task", 0),)), MODELS, BASE, {"lambda": 1.0}) - BASE
    torch.testing.assert_close(merged, torch.tensor([2.0, -3.0, 0.0, 0.5, 0.0]) * 6.5 / 5.5)
    # The second at 0, 2 and 4: 6 of its own, 5 of the elected ones.
    merged = merge(("emr", (("task", 1),)), MODELS, BASE, {"lambda": 1.0}) - BASE
    torch.testing.assert_close(merged, torch.tensor([2.0, 0.0, -2.0, 0.0, -1.0]) * 6 / 5)


def test_every_tensor_counts_the_same_in_the_scale() -> None:
    """A second tensor of one element, on which both agree, and an empty one, which says nothing."""
    small, none = torch.tensor([1.0]), torch.empty(0)
    tensors = [
        (TensorContext("large"), TensorSources(BASE, MODELS, {})),
        (TensorContext("small"), TensorSources(small, [small + 1, small + 3], {})),
        (TensorContext("none"), TensorSources(none, [none, none], {})),
    ]
    assert emr.rescaler(tensors, 0) == pytest.approx((6.5 / 5 + 1) / (5.5 / 5 + 3))
    assert emr.rescaler(tensors, 1) == pytest.approx((6 / 5 + 3) / (5 / 5 + 3))


def test_a_task_that_agrees_with_nothing_is_the_base() -> None:
    merged = merge(("emr", (("task", 1),)), [BASE + 3, BASE - 1], BASE, {"lambda": 1.0})
    assert torch.equal(merged, BASE)


def test_copies_and_the_models_of_their_tasks() -> None:
    for variant, values in (
        (("emr", ()), {"weight": (1.0, 1.0), "lambda": 1.0}),
        (("emr", (("task", 1),)), {"lambda": 1.0}),
    ):
        torch.testing.assert_close(merge(variant, [MODELS[0]] * 2, BASE, values), MODELS[0])


def test_a_task_that_is_not_there_is_refused_before_any_merge(tmp_path: Path) -> None:
    for options, problem in (({"task": 2}, "option task is 2, but there are 2 models"), ({"task": 1}, None)):
        refs = tuple(CheckpointRef(str(tmp_path / name)) for name in ("a", "b", "c"))
        groups, values = ParameterGroups((Group("all"),)), {"lambda": np.ones(1)}
        found = load("emr").problems(Recipe("emr", options, refs[:2], refs[2], groups, values))
        assert [problem in text for text in found] == ([] if problem is None else [True])
        told = checks.method({"method": "emr", "method_options": options, "models": ["a", "b"], "base": "c"})
        assert [problem in text for text in told] == ([] if problem is None else [True])


def test_a_task_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"option task is 2, but tensor '.*' is merged from 2 models.*at most 1"):
        merge(("emr", (("task", 2),)), MODELS, BASE, {"lambda": 1.0})
    with pytest.raises(InputError, match="option task is -1"):
        load("emr").resolve({"task": -1})


def test_coefficients_and_starts_of_a_task() -> None:
    method = load("emr")
    options = method.resolve({"task": 0})
    assert [(c.name, c.searched) for c in method.coefficients(options)] == [("lambda", True)]
    assert method.starts(2, options) == {"neutral": {"lambda": 1.0}}


def test_what_is_not_finite_stays_visible_in_the_model_of_another_task() -> None:
    broken = MODELS[1].clone()
    broken[1] = torch.nan
    merged = merge(("emr", (("task", 0),)), [MODELS[0], broken], BASE, {"lambda": 1.0})
    assert merged[1].isnan()
