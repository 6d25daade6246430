"""NearSwap, by hand."""

from __future__ import annotations

import torch

from evomerge.contracts.method_cases import same_bits
from tests.methods.one_tensor import merge

ABSOLUTE = ("nearswap", (("unit", "absolute"),))
RMS = ("nearswap", (("unit", "rms"),))
BASE, MODEL = torch.tensor([1.0, 1.0, 1.0, 1.0]), torch.tensor([1.125, 0.75, 2.0, -1.0])


def swapped(base: torch.Tensor, model: torch.Tensor, t: float, variant: object = ABSOLUTE) -> torch.Tensor:
    return merge(variant, [model], base, {"t": t})  # type: ignore[arg-type]


def test_what_is_near_is_swapped_and_what_is_far_moves_by_the_threshold() -> None:
    # Differences of 1/8, 1/4, 1 and 2 with a threshold of 1/4.
    assert swapped(BASE, MODEL, 0.25).tolist() == [1.125, 0.75, 1.25, 0.75]


def test_the_threshold_in_root_mean_squares() -> None:
    base, model = torch.zeros(4), torch.tensor([1.0, 1.0, 1.0, 5.0])  # the root of 28 / 4 is 2.6458
    torch.testing.assert_close(swapped(base, model, 1.0, RMS), torch.tensor([1.0, 1.0, 1.0, 7**0.5]))


def test_ends() -> None:
    """Below every difference nothing moves, above all of them everything is the model's, bit by bit."""
    base, model = torch.tensor([-0.0, 0.3, 2.0]), torch.tensor([-0.0, 0.1, -5.0])
    for variant in (ABSOLUTE, RMS):
        assert same_bits(swapped(base, model, 0.0, variant), base)
        assert same_bits(swapped(base, model, 100.0, variant), model)


def test_equal_tensors_and_zeros_stay() -> None:
    for tensor in (torch.zeros(3), torch.tensor(-0.0), torch.zeros(0), torch.randn(2, 3, 4)):
        for variant in (ABSOLUTE, RMS):
            assert same_bits(swapped(tensor, tensor.clone(), 0.5, variant), tensor)
