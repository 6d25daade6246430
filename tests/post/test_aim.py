"""AIM by hand, and multiplied in while the base is added."""

from __future__ import annotations

import pytest
import torch

from evomerge.contracts.method_cases import same_bits
from evomerge.errors import InputError
from evomerge.kernels import BLOCK, channel_factors
from evomerge.methods import Statistics, TensorSources
from evomerge.post import StepContext, load

STEP = load("aim")
SOURCES = TensorSources(torch.zeros(2, 2), [], {})


def given(*channels: float) -> Statistics:
    return {"base:channel_abs": (torch.tensor(channels),)}


def applied(
    statistics: Statistics, omega: float, exponent: float | None = None, delta: torch.Tensor | None = None
) -> torch.Tensor:
    delta = torch.tensor([[1.0, 2.0], [3.0, 4.0]]) if delta is None else delta
    options = STEP.resolve({} if exponent is None else {"exponent": "searched"})
    values = {"omega": omega} | ({} if exponent is None else {"log2_exponent": exponent})
    context = StepContext("model.layers.0.mlp.up_proj.weight", options=options, statistics=statistics)
    assert STEP.apply(context, SOURCES, delta, values) is None
    return delta


def test_the_example_by_hand() -> None:
    """Channels of 4 and 2: importance 1 and 1/2, factors 0.4 and 0.7."""
    torch.testing.assert_close(applied(given(4.0, 2.0), 0.4), torch.tensor([[0.4, 1.4], [1.2, 2.8]]))
    assert applied(given(4.0, 2.0), 0.0).tolist() == [[0.0, 1.0], [0.0, 2.0]]


def test_the_exponent() -> None:
    """Squared an importance of 1/2 is 1/4; its square root 0.707."""
    torch.testing.assert_close(applied(given(4.0, 2.0), 0.4, 1.0), torch.tensor([[0.4, 1.7], [1.2, 3.4]]))
    torch.testing.assert_close(applied(given(4.0, 2.0), 0.0, -1.0)[0, 1], torch.tensor(2 - 2**0.5))


def test_what_stays() -> None:
    whole = [[1.0, 2.0], [3.0, 4.0]]
    assert applied(given(4.0, 2.0), 1.0).tolist() == whole
    assert STEP.identity({"omega": 1.0}, {})
    assert applied({"base:channel_abs": (None,)}, 0.0).tolist() == whole
    assert applied(given(0.0, 0.0), 0.0).tolist() == whole, "the base never uses any"


def test_norms_and_matrices_stored_the_other_way_round() -> None:
    norm = applied(given(1.0, 2.0, 4.0), 0.0, delta=torch.ones(3))
    assert norm.tolist() == [0.75, 0.5, 0.0]
    turned = applied({"base:channel_abs": (torch.tensor([[4.0], [2.0]]),)}, 0.4)
    torch.testing.assert_close(turned, torch.tensor([[0.4, 0.8], [2.1, 2.8]]))


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"'channel_abs' .* has shape \(3,\); expected \(2,\) or \(2, 1\)"):
        applied(given(1.0, 2.0, 3.0), 0.5)
    with pytest.raises(InputError, match="step aim needs statistic 'channel_abs' of the base on shared texts"):
        applied({}, 0.5)


@pytest.mark.parametrize("shape", [(1,), (5, 7), (7, 5), (3, 2, 5), (700, 613)])
def test_factors_spread_over_any_part_of_a_tensor(shape: tuple[int, ...]) -> None:
    numel = torch.Size(shape).numel()
    shapes = [(shape[-1],), *([(shape[0], 1)] if len(shape) == 2 else [])]
    for own in shapes:
        factors = torch.rand(own, generator=torch.Generator().manual_seed(0))
        whole = factors.expand(shape).reshape(-1)
        for span in (
            slice(0, numel),
            slice(numel // 3, numel // 3 + 1),
            slice(numel // 3, numel),
            slice(0, min(BLOCK, numel)),
        ):
            found = channel_factors(factors, span, shape)
            assert same_bits(found.expand(span.stop - span.start), whole[span])
