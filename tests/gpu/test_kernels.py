"""Fused kernels on a GPU: they are taken, give the bits of the torch form, and copy nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge import methods
from evomerge.kernels import (
    BernoulliMask,
    Delta,
    Mixture,
    Part,
    RankWindow,
    Selection,
    Threshold,
    Window,
    dispatch,
    fused,
    in_use,
    is_finite,
    mix,
    net_sign,
    pcb_merge,
    torch_only,
)
from evomerge.merging import Checkpoints, LiveModel, Merger, NonFinite
from evomerge.recipe import Recipe
from tests.gpu.test_merging import recipe_of
from tests.kernels.draws import DTYPES, Draw, Moved, assert_same_bits, seeds
from tests.merging.conftest import Family, make_recipe
from tests.merging.made_up import MadeUp

CUDA = torch.device("cuda")
# Methods that go by whole vectors, or whose candidates are torch's block by block.
OTHERS = (
    "arcee_fusion",
    "aswudi",
    "bitdelta",
    "consensus",
    "doge",
    "emr",
    "iwudi",
    "karcher",
    "magmax",
    "model_stock",
    "multislerp",
    "nearswap",
    "nuslerp",
    "optmerge",
    "ram",
    "ramplus_tl",
    "regmean",
    "sce",
    "slerp",
    "swudi",
    "widen",
    "wudi",
)
ELEMENTWISE = [name for name in methods.names() if name not in OTHERS]


def filled(numel: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Memory that is not contiguous, as a part of a larger parameter is not."""
    return torch.full((2, numel), torch.nan, dtype=dtype, device=CUDA).t()[:, 0]


@contextmanager
def events() -> Iterator[list[str]]:
    """The names of what the device was asked for meanwhile."""
    names: list[str] = []
    activities = [torch.profiler.ProfilerActivity.CUDA, torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profile:
        yield names
        torch.cuda.synchronize()
    names += [event.name for event in profile.events()]


def test_they_are_there() -> None:
    assert in_use("cuda").name == "fused", in_use("cuda").reason


def test_forms_by_device() -> None:
    here, there = torch.ones(3), torch.ones(3, device=CUDA)
    assert dispatch._form(there) is fused.kernels()
    assert dispatch._form(here) is not fused.kernels()
    assert dispatch._form(there.double()).__name__.endswith("reference")
    assert dispatch._form(there, here).__name__.endswith("reference")
    assert not dispatch._serves(there)
    with torch_only():
        assert dispatch._form(there).__name__.endswith("reference")
    unlike = Selection(Delta(there, there), Window(Threshold(0, 3)))
    mixture = Mixture(there, [Part(there, 1.0)], select=unlike)
    assert dispatch._form(there, mixture=mixture).__name__.endswith("reference")


@seeds(0, 60)
def test_mixtures(draw: Draw) -> None:
    mixture, dtype = Moved(CUDA)(draw.mixture()), draw.random.choice(DTYPES)
    got, wanted = filled(draw.numel, dtype), filled(draw.numel, dtype)
    seen = mix(mixture, got)
    with torch_only():
        seen_there = mix(mixture, wanted)
    assert_same_bits(got, wanted)
    assert seen.tied == seen_there.tied
    assert bool(seen.finite) == is_finite(wanted)
    if mixture.elect:
        counting = Mixture(mixture.base, mixture.parts, elect=True, tie=None)
        counted = net_sign(counting)
        with torch_only():
            assert counted == net_sign(counting)


@seeds(3000, 30)
def test_pcb_merges(draw: Draw) -> None:
    base, dtype, scale = draw.tensor(), draw.random.choice(DTYPES), draw.number()
    base, terms = Moved(CUDA)((base, draw.terms(base)))
    got, wanted = filled(draw.numel, dtype), filled(draw.numel, dtype)
    finite = pcb_merge(base, terms, scale, got)
    with torch_only():
        pcb_merge(base, terms, scale, wanted)
    assert_same_bits(got, wanted)
    assert bool(finite) == is_finite(wanted)


def test_one_launch_and_one_program_for_all_coefficients() -> None:
    base, *models = (torch.randn(1 << 16, device=CUDA).bfloat16() for _ in range(4))
    ranks = torch.arange(1 << 16).to(torch.uint16).to(CUDA)
    out = torch.empty_like(base)

    def mixture(number: int) -> Mixture:
        masks = [
            Window(Threshold(0x3C000000 + number, number), Threshold(0x3F000000 + 16 * number, 16 * number)),
            BernoulliMask(1 << number, 0.1 * number, 0.001 * number, ranks, True),
            RankWindow(ranks, number, 16 * number),
        ]
        parts = [Part(model, number, 1.0, 0.5, mask) for model, mask in zip(models, masks, strict=True)]
        return Mixture(base, parts, scale=float(number), elect=True, divide=True)

    mix(mixture(2), out)
    made = len(compiled())
    with events() as names:
        for number in range(1, 9):
            mix(mixture(number), out)
    assert names.count("mix_kernel") == 8
    assert not [name for name in names if "Memcpy" in name]
    assert len(compiled()) == made


def compiled() -> Any:
    from evomerge.kernels.fused.program.mixture import mix_kernel

    return mix_kernel.device_caches[torch.cuda.current_device()][0]


def test_elements_beyond_32_bits() -> None:
    """Noise, thresholds and ranks of more elements than 32 bits count."""
    numel = (1 << 32) + 5000
    base = torch.zeros(numel, dtype=torch.bfloat16, device=CUDA)
    model = torch.ones_like(base)
    ranks = (torch.arange(1 << 16).to(torch.int32) % 1000).to(torch.uint16).to(CUDA)
    ranks = ranks.view(torch.int16).repeat(numel // (1 << 16) + 1)[:numel].view(torch.uint16)
    masks = [
        Window(Threshold(0x3F800000, (1 << 32) + 77)),
        BernoulliMask(7, 0.5),
        BernoulliMask(7, 0.1, 0.0007, ranks, True),
        RankWindow(ranks, 10, 500),
    ]
    got, wanted = torch.empty_like(base), torch.empty_like(base)
    for mask in masks:
        mixture = Mixture(base, [Part(model, 1.0, mask=mask)])
        assert bool(mix(mixture, got).finite)
        with torch_only():
            mix(mixture, wanted)
        assert torch.equal(got, wanted), mask
    got[-1] = torch.inf
    assert not is_finite(got)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", methods.names())
def test_every_method_gives_the_bits_of_the_torch_form(method: str, dtype: str, family: Callable[..., Family]) -> None:
    folders = family("llama", torch.bfloat16)
    recipe = recipe_of(method, folders)
    checkpoints = Checkpoints.open(recipe)
    live, plain = (LiveModel.load(folders[0], dtype=dtype, device=CUDA) for _ in range(2))
    known = MadeUp(recipe, checkpoints)
    live.install(Merger(checkpoints, device=CUDA, statistics=known), recipe)
    with torch_only():
        plain.install(Merger(checkpoints, device=CUDA, statistics=known), recipe)
    for name, tensor in live.model.state_dict().items():
        assert torch.equal(tensor, plain.model.state_dict()[name]), name


def changed(recipe: Recipe) -> Recipe:
    """Another candidate of the same search."""
    return replace(recipe, coefficients={name: values * 0.9 for name, values in recipe.coefficients.items()})


def after_the_first(method: str, folders: Family) -> tuple[LiveModel, Merger, Recipe]:
    """A model on the device with a method's first candidate in it."""
    recipe = recipe_of(method, folders)
    live = LiveModel.load(folders[0], dtype="bfloat16", device=CUDA)
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints, device=CUDA, statistics=MadeUp(recipe, checkpoints))
    live.install(merger, recipe)
    return live, merger, recipe


@pytest.mark.parametrize("method", ELEMENTWISE)
def test_the_second_candidate_copies_nothing(method: str, family: Callable[..., Family]) -> None:
    live, merger, recipe = after_the_first(method, family("llama", torch.bfloat16))
    with events() as names:
        written = live.install(merger, changed(recipe))
    assert len(written) == len(live.places.keys())
    assert any(name in ("mix_kernel", "pcb_kernel") for name in names)
    assert not [name for name in names if "HtoD" in name]


@pytest.mark.parametrize("method", ["linear", "dare_ties", "della"])
def test_one_answer_is_waited_for_per_candidate(method: str, family: Callable[..., Family]) -> None:
    live, merger, recipe = after_the_first(method, family("llama", torch.bfloat16))
    with events() as names:
        live.install(merger, changed(recipe))
    assert len([name for name in names if "DtoH" in name]) == 1


def test_the_first_tensor_that_is_not_finite_is_named(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family("llama", torch.bfloat16)
    recipe = make_recipe("linear", [one, two], out_dtype="float16", options={"normalise": "none"})
    broken = replace(recipe, coefficients={name: values * 1e9 for name, values in recipe.coefficients.items()})
    checkpoints = Checkpoints.open(recipe)
    here, live = (LiveModel.load(base, dtype="float16", device=device) for device in ("cpu", CUDA))
    with pytest.raises(NonFinite) as expected:
        here.install(Merger(checkpoints), broken)
    merger = Merger(checkpoints, device=CUDA)
    for _ in range(2):
        with pytest.raises(NonFinite) as caught:
            live.install(merger, broken)
        assert caught.value.name == expected.value.name
    assert len(live.install(merger, recipe)) == len(live.places.keys())
