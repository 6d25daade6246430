"""LiNeS, Wang et al. 2025."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from evomerge import post
from evomerge.kernels import BLOCK
from evomerge.methods import TensorContext, TensorSources
from evomerge.post import StepContext

STEP = post.load("lines")
BASE = torch.zeros(2)
# Their sum is (3, -1), of 1-norm 4, so the mean delta's is 2.
SOURCES = TensorSources(BASE, [torch.tensor([1.0, 1.0]), torch.tensor([2.0, -2.0])], {})
VALUE, NORM = {"alpha_from": "value"}, {"alpha_from": "norm"}


def scaled(
    layer: int | None, options: dict[str, str], values: dict[str, float], measured: float | None = None
) -> float:
    delta = torch.ones(2)
    STEP.apply(StepContext("x", layer, "mlp", 5, options, measured=measured), SOURCES, delta, values)
    return float(delta[0])


def test_the_line_by_hand() -> None:
    """Five layers, alpha 0.2 and beta 0.4: 0.2, 0.3, 0.4, 0.5, 0.6, and alpha outside of them."""
    values = {"alpha": 0.2, "beta": 0.4}
    assert [scaled(layer, VALUE, values) for layer in range(5)] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
    assert scaled(None, VALUE, values) == pytest.approx(0.2)


def test_alpha_from_the_norms_by_hand() -> None:
    """The mean delta has the norm 2; a merged delta of norm 8 gives 1/4, and so does one half of it in two tensors."""
    survey = STEP.survey
    measure = STEP.measure
    assert survey is not None
    assert measure is not None
    assert survey([(TensorContext("x"), SOURCES)], VALUE) is None
    lengths = survey([(TensorContext("x"), SOURCES), (TensorContext("y"), SOURCES)], NORM)
    assert lengths == 4.0
    context = StepContext("x")
    assert measure([(context, SOURCES, torch.tensor([-6.0, 2.0]))], 2.0, NORM) == 0.25
    assert measure([(context, SOURCES, torch.tensor([[x]])) for x in (12.0, 4.0)], lengths, NORM) == 0.25
    assert scaled(4, NORM, {"beta": 0.5}, measured=0.25) == 0.75


def test_a_merged_delta_of_zeros_has_no_length() -> None:
    assert STEP.measure is not None
    assert STEP.measure([(StepContext("x"), SOURCES, torch.zeros(2))], 2.0, NORM) == 1.0


def test_a_model_of_one_layer_or_none_is_scaled_by_alpha() -> None:
    for layers in (0, 1):
        delta = torch.ones(2)
        context = StepContext("x", None if layers == 0 else 0, "mlp", layers, VALUE)
        STEP.apply(context, SOURCES, delta, {"alpha": 0.5, "beta": 9.0})
        assert delta.tolist() == [0.5, 0.5]


def test_only_given_values_can_be_the_identity() -> None:
    assert STEP.identity({"alpha": 1.0, "beta": 0.0}, VALUE)
    assert not STEP.identity({"alpha": 1.0, "beta": math.ulp(0.0)}, VALUE)
    assert not STEP.identity({"beta": 0.0}, NORM)
    assert STEP.measures(NORM)
    assert not STEP.measures(VALUE)


def test_norms_are_taken_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a whole tensor's size is made, and blocks add up to the whole."""
    models = [torch.randn(2 * BLOCK + 5, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    sources = TensorSources(torch.zeros(2 * BLOCK + 5), models, {})
    made: list[int] = []
    zeros = torch.zeros

    def counted(shape: torch.Size, **known: Any) -> torch.Tensor:
        made.append(shape.numel())
        return zeros(shape, **known)

    monkeypatch.setattr(torch, "zeros", counted)
    assert STEP.survey is not None
    assert STEP.measure is not None
    survey = STEP.survey([(TensorContext("x"), sources)], NORM)
    total = float((models[0] + models[1]).double().abs().sum())
    assert survey == pytest.approx(total / 2)
    alpha = STEP.measure([(StepContext("x"), sources, models[0])], survey, NORM)
    assert alpha == pytest.approx(survey / float(models[0].double().abs().sum()))
    assert made
    assert max(made) <= BLOCK
