"""Pushes by hand: an expert whose singular vectors are the axes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from evomerge.errors import InputError
from evomerge.methods import TensorSources
from evomerge.methods._shared.spectral.decomposition import short_side
from evomerge.post import StepContext, load, svd_push

EXPERT = torch.diag(torch.tensor([3.0, 1.0, 2.0]))


def pushed(
    merged: torch.Tensor, size: float, kind: str = "mlp", expert: torch.Tensor = EXPERT, **options: object
) -> torch.Tensor:
    """A merged delta after the step; the second model stays at the base."""
    step, base = load("svd_push"), torch.full(expert.shape, 10.0)
    context, after = StepContext("weight", kind=kind, options=step.resolve(options)), merged.clone()
    assert step.apply(context, TensorSources(base, [base + expert, base], {}), after, {"size": size}) is None
    return after


def drawn(key: int, model: int = 0, name: str = "weight#0") -> np.ndarray:
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng([key, model, place]).random(3)


def test_every_direction_of_the_expert_is_extrapolated_by_a_draw_of_its_own() -> None:
    """Directions by singular value: the first axis, the third, the second. U(0, 0.1) is size 0.1 times U(0, 1)."""
    u = drawn(17)
    wanted = 1.0 + torch.diag(torch.tensor([0.1 * u[0] * 3.0, 0.1 * u[2] * 1.0, 0.1 * u[1] * 2.0], dtype=torch.float32))
    torch.testing.assert_close(pushed(torch.ones(3, 3), 0.1, draws="17:1"), wanted)


def test_draws_add_up_by_their_weights_and_forgotten_ones_by_their_mean() -> None:
    merged = torch.zeros(3, 3)
    u = 1.0 * drawn(5) + 0.5 * drawn(7) + 0.25 * 0.5
    wanted = torch.diag(torch.tensor([0.2 * u[0] * 3.0, 0.2 * u[2] * 1.0, 0.2 * u[1] * 2.0], dtype=torch.float32))
    torch.testing.assert_close(pushed(merged, 0.2, draws="5:1,7:0.5,mean:0.25"), wanted)
    torch.testing.assert_close(pushed(merged, 0.2, draws="mean:2"), 0.2 * EXPERT)
    torch.testing.assert_close(pushed(merged, 0.2, draws="mean:-1e-02,mean:-0.99"), -0.1 * EXPERT)


def test_norms_and_vectors_stay_and_so_does_all_where_the_expert_is_the_base() -> None:
    merged = torch.ones(3, 3)
    assert torch.equal(pushed(merged, 0.1, kind="norm"), merged)
    assert torch.equal(pushed(merged, 0.1, model=1), merged)
    assert torch.equal(pushed(torch.ones(3), 0.1, expert=torch.arange(3.0)), torch.ones(3))


def test_what_cannot_be_read_is_refused() -> None:
    step = load("svd_push")
    for draws in ("", "17", "17:--1", "a:1", "1:1,", "mean"):
        with pytest.raises(InputError, match=r"expected keys with weights, such as 17:1,mean:0\.5"):
            step.coefficients(step.resolve({"draws": draws}))
    with pytest.raises(InputError, match="option model is 2, but there are 2 models"):
        pushed(torch.ones(3, 3), 0.1, model=2)


def test_vectors_are_those_of_a_decomposition_whatever_the_longer_side() -> None:
    """Beside U diag(u s) V^T of torch's own decomposition, of tall and of wide matrices, and of one of low rank."""
    generator = torch.Generator().manual_seed(0)
    low = torch.randn(5, 2, generator=generator) @ torch.randn(2, 4, generator=generator)
    for expert in (torch.randn(7, 3, generator=generator), torch.randn(3, 7, generator=generator), low):
        left, values, right = torch.linalg.svd(expert, full_matrices=False)
        place = int.from_bytes(hashlib.sha256(b"weight#0").digest()[:8], "big")
        u = torch.from_numpy(np.random.default_rng([17, 0, place]).random(min(expert.shape))).float()
        wanted = left @ torch.diag(0.1 * u * values) @ right
        found = pushed(torch.zeros(expert.shape), 0.1, expert=expert, draws="17:1")
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_an_experts_directions_are_kept_whatever_the_draws() -> None:
    step = load("svd_push")
    survey, base, deltas = step.survey([], step.resolve({})), torch.zeros(3, 3), list[torch.Tensor]()
    for draws in ("17:1", "18:1", "17:1"):
        context = StepContext("weight", kind="mlp", options=step.resolve({"draws": draws}), survey=survey)
        deltas.append(torch.ones(3, 3))
        step.apply(context, TensorSources(base, [EXPERT, base], {}), deltas[-1], {"size": 0.1})
    assert torch.equal(survey.get("weight#0", lambda: torch.zeros(0)), short_side(EXPERT))
    assert torch.equal(deltas[0], deltas[2])
    assert not torch.equal(deltas[0], deltas[1])
    assert step.kept_bytes([(3, 7), (5,), (6, 2)], {}) == 4 * (9 + 4)
    small = svd_push.Directions(room=30)
    assert small.get("a", lambda: torch.zeros(2, 2)) is small.get("a", lambda: torch.ones(2, 2))
    assert small.get("b", lambda: torch.zeros(3, 3)) is not small.get("b", lambda: torch.zeros(3, 3)), "no room"
