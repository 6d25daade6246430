"""WUDI, by hand and step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evomerge.contracts.method_cases import CONTEXT
from tests.methods.one_tensor import merge


def wudi(deltas: list[torch.Tensor], lambda_: float = 1.0, **options: Any) -> torch.Tensor:
    """The merged delta."""
    base = torch.zeros_like(deltas[0])
    return merge(("wudi", tuple(options.items())), deltas, base, {"lambda": lambda_})


# |t - 1|^2 + |t - 3|^2: the gradient is 2 (2 t - 4), the start 4.
ONE, THREE = torch.tensor([[1.0]]), torch.tensor([[3.0]])


def test_gradient_descent_by_hand() -> None:
    by_hand = {"optimiser": "sgd", "learning_rate": 0.1, "momentum": 0.5}
    assert wudi([ONE, THREE], steps=0, **by_hand).item() == 4.0
    assert wudi([ONE, THREE], steps=1, **by_hand).item() == pytest.approx(4 - 0.1 * 8)
    assert wudi([ONE, THREE], steps=2, **by_hand).item() == pytest.approx(3.2 - 0.1 * (0.5 * 8 + 4.8))
    assert wudi([ONE, THREE], steps=1, start="mean", **by_hand).item() == pytest.approx(2.0)  # the optimum
    assert wudi([ONE, THREE], steps=1, start="zero", **by_hand).item() == pytest.approx(0.8)
    assert wudi([ONE, THREE], 0.5, steps=1, **by_hand).item() == pytest.approx(1.6)


def test_adam_by_hand() -> None:
    assert wudi([ONE, THREE], steps=1, learning_rate=0.01).item() == pytest.approx(3.99)
    # Gradients 8 and 7.96: both moments, corrected, are their weighted means.
    first, second = (0.1 * (0.9 * 8 + 7.96)) / (1 - 0.9**2), (0.001 * (0.999 * 8**2 + 7.96**2)) / (1 - 0.999**2)
    wanted = 3.99 - 0.01 * first / second**0.5
    assert wudi([ONE, THREE], steps=2, learning_rate=0.01).item() == pytest.approx(wanted, rel=1e-6)


def test_deltas_that_do_not_interfere_are_added_up() -> None:
    deltas = [torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 3.0], [0.0, -1.0]])]
    for optimiser in ("adam", "sgd"):
        torch.testing.assert_close(wudi(deltas, optimiser=optimiser, learning_rate=0.1), deltas[0] + deltas[1])
        torch.testing.assert_close(wudi(deltas[:1], optimiser=optimiser, learning_rate=0.1), deltas[0])


@pytest.mark.parametrize("shape", [(6, 4), (2, 9)])
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_it_is_the_descent_of_the_objective(shape: tuple[int, int], optimiser: str) -> None:
    """Where torch differentiates the objective as it is written; also where inputs outnumber all rows."""
    generator = torch.Generator().manual_seed(1)
    deltas = [torch.randn(shape, generator=generator) for _ in range(3)]
    point = torch.stack(deltas).double().sum(0).requires_grad_()
    steps: torch.optim.Optimizer = torch.optim.Adam([point], lr=0.01)
    if optimiser == "sgd":
        steps = torch.optim.SGD([point], lr=0.01, momentum=0.9)
    with torch.enable_grad():
        for _ in range(20):
            steps.zero_grad()
            loss = sum(
                ((point - d) @ d.t()).square().sum() / d.square().sum() for d in map(torch.Tensor.double, deltas)
            )
            assert isinstance(loss, torch.Tensor)
            loss.backward()  # type: ignore[no-untyped-call]
            steps.step()
    got = wudi(deltas, optimiser=optimiser, steps=20, learning_rate=0.01)
    torch.testing.assert_close(got, point.detach().float(), rtol=1e-5, atol=2e-5)
    assert CONTEXT.layer is not None  # of a layer, so that it is optimised
