"""Coefficients that are fitted by gradient: those of models on a GPU are about those of models on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.checkpoints import open_source
from evomerge.merging import LiveModel
from evomerge.statistics._fits.dam import DamFit
from evomerge.statistics._fits.settings import Terms
from tests.merging.conftest import Family
from tests.transforms.working import sequences


def test_dams_gradient_is_that_of_the_cpu(family: Callable[..., Family]) -> None:
    """Its coefficients are on the CPU, whatever its weights are on."""
    _, *experts = family("llama", torch.float32)
    texts = [sequences(2, 1), sequences(2, 2)]
    found = []
    for device in ("cpu", "cuda"):
        fit = DamFit(LiveModel.load(experts[0], device=torch.device(device)), [open_source(one) for one in experts[:2]])
        found.append(fit.gradient(fit.uniform(), texts, Terms()))
    (loss, slopes), (other, others) = found
    assert abs(loss - other) <= 1e-4 * abs(loss)
    for own, there in zip(slopes, others, strict=True):
        for name, slope in own.items():
            torch.testing.assert_close(there[name], slope, rtol=1e-3, atol=1e-6)
