"""The fused kernels equal the torch form bit for bit; a NaN equals a NaN, whatever its payload.

Where there is no CUDA GPU, Triton's interpreter runs them, block by block and slowly: on small tensors alone.
"""

from __future__ import annotations

import os
import sys

import pytest
import torch

from evomerge.kernels import (
    NOTHING,
    BernoulliMask,
    Mask,
    Mixture,
    Part,
    RankWindow,
    Threshold,
    Window,
    is_finite,
    reference,
)
from evomerge.kernels.fused import launch, library
from tests.kernels.draws import DTYPES, Draw, Moved, assert_same_bits, edges, seeds

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cpu":
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("Triton was imported before it was told to interpret", allow_module_level=True)
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton")
fused = pytest.importorskip("evomerge.kernels.fused.bindings")

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # of the interpreter's numpy
MOST = 200_000 if DEVICE.type == "cuda" else 3000


def assert_same(mixture: Mixture, dtype: torch.dtype) -> None:
    """Both forms write the same, and see the same."""
    mixture = Moved(DEVICE)(mixture)
    got, wanted = (torch.full(mixture.like.shape, torch.nan, dtype=dtype, device=DEVICE) for _ in range(2))
    seen, seen_there = fused.mix(mixture, got), reference.mix(mixture, wanted)
    assert_same_bits(got, wanted)
    assert seen.tied == seen_there.tied
    assert bool(seen.finite) == is_finite(wanted)


@seeds(0, 250)
def test_mixtures(draw: Draw) -> None:
    mixture, dtype = draw.mixture(), draw.random.choice(DTYPES)
    if 0 < draw.numel <= MOST and library.takes_mixture(mixture):
        assert_same(mixture, dtype)
        if mixture.elect and mixture.parts:
            counting = Moved(DEVICE)(Mixture(mixture.base, mixture.parts, elect=True, tie=None))
            assert fused.net_sign(counting) == reference.net_sign(counting)


@seeds(3000, 150)
def test_pcb_merges(draw: Draw) -> None:
    base, dtype, scale = draw.tensor(), draw.random.choice(DTYPES), draw.number()
    base, terms = Moved(DEVICE)((base, draw.terms(base)))
    if 0 < draw.numel <= MOST:
        got, wanted = (torch.full(base.shape, torch.nan, dtype=dtype, device=DEVICE) for _ in range(2))
        finite = fused.pcb_merge(base, terms, scale, got)
        reference.pcb_merge(base, terms, scale, wanted)
        assert_same_bits(got, wanted)
        assert bool(finite) == is_finite(wanted)


@pytest.mark.parametrize("end", [0, 1, 1000, 1024, 1025, 2999, 3000, 1 << 40])
def test_launches_of_a_part_know_where_they_are(end: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties by index, noise and ranks go on where the launch before ended."""
    monkeypatch.setattr(launch, "SPAN", 1024)
    base, model = torch.zeros(3000), torch.ones(3000)
    ranks = torch.arange(3000).to(torch.uint16)
    least = Threshold(0x3F800000, end)  # of which all elements are equal
    masks: list[Mask] = [
        Window(least),
        Window(Threshold(0, 3000), least),
        BernoulliMask(5, 0.5),
        BernoulliMask(5, 0.1, 1e-4, ranks, True),
        RankWindow(ranks, 1000, 1030),
    ]
    for mask in masks:
        assert_same(Mixture(base, [Part(model, 1.0, mask=mask)]), torch.float32)
    assert_same(Mixture(base, [Part(model, 1.0, mask=Window(NOTHING))]), torch.float32)


@pytest.mark.parametrize("out", DTYPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_sixteen_bit_number_is_read_and_written(dtype: torch.dtype, out: torch.dtype) -> None:
    words = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16)
    numbers = words.view(dtype) if dtype.itemsize == 2 else words.view(torch.bfloat16).float()
    assert_same(Mixture(None, [Part(numbers, 1.0)]), out)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rounding_at_every_edge_between_two_numbers(dtype: torch.dtype) -> None:
    """Numbers halfway between neighbours of 16 bits, and their float32 neighbours."""
    assert_same(Mixture(None, [Part(edges(), 1.0)]), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_one_broken_element_is_found(dtype: torch.dtype, broken: float) -> None:
    tensor = torch.full((2500,), torch.finfo(dtype).max, dtype=dtype, device=DEVICE)
    assert bool(fused.finite_flag(tensor))
    for place in (0, 1025, 2499):
        tensor[place] = broken
        assert not bool(fused.finite_flag(tensor))
        tensor[place] = -0.0


def test_the_trial_on_which_it_depends_whether_they_are_used() -> None:
    assert library.trial(DEVICE)


def test_what_has_no_meaning_is_refused() -> None:
    base, model = torch.zeros(4, device=DEVICE), torch.ones(8, device=DEVICE)
    with pytest.raises(ValueError, match="contiguous memory"):
        fused.mix(Mixture(base, [Part(model[::2], 1.0)]), torch.empty(4, device=DEVICE))
    mask = RankWindow(torch.zeros(4, dtype=torch.int64, device=DEVICE), 0, 1)
    with pytest.raises(ValueError, match="ranks as uint16"):
        fused.mix(Mixture(base, [Part(model[:4], 1.0, mask=mask)]), torch.empty(4, device=DEVICE))
