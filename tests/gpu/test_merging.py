"""Merging on a GPU gives what merging on the CPU gives, whatever of the weights stays there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evomerge import methods
from evomerge.merging import Checkpoints, LiveModel, Merger, WeightCache, merge_to_folder
from evomerge.recipe import AdapterRef, CheckpointRef, Recipe
from tests.adapters import lora
from tests.building import perturbed, tiny_llama
from tests.merging.conftest import Family, make_recipe
from tests.merging.made_up import MadeUp, with_keys

CUDA = torch.device("cuda")


def recipe_of(method: str, folders: Family) -> Recipe:
    """A recipe of two models, or of as many as the method takes, with other numbers for every layer."""
    declared = methods.load(method)
    base, *experts = folders
    return with_keys(make_recipe(method, experts[: declared.models[1]], base if declared.base == "required" else None))


# Hundreds of steps in float32, each of which divides by how large gradients were.
DESCENTS = ("doge", "wudi")


def installed(recipe: Recipe, device: torch.device, dtype: str) -> dict[str, torch.Tensor]:
    """The weights of the recipe's candidate, brought back to the CPU."""
    checkpoints = Checkpoints.open(recipe)
    live = LiveModel.load(checkpoints.reference.path, dtype=dtype, device=device)
    live.install(Merger(checkpoints, device=device, statistics=MadeUp(recipe, checkpoints)), recipe)
    assert all(tensor.device.type == device.type for tensor in live.model.state_dict().values())
    return {name: tensor.cpu() for name, tensor in live.model.state_dict().items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", methods.names())
def test_every_method_merges_as_on_the_cpu(method: str, dtype: str, family: Callable[..., Family]) -> None:
    """Masks and choices are the same, so that elements differ by the rounding of sums, exp and tanh at most."""
    recipe = recipe_of(method, family("llama", torch.bfloat16))
    here = installed(recipe, torch.device("cpu"), dtype)
    there = installed(recipe, CUDA, dtype)
    rounding, least = 1e-5 if dtype == "float32" else 2**-7, 1e-4 if method in DESCENTS else 1e-6
    for name, tensor in here.items():
        torch.testing.assert_close(
            there[name], tensor, rtol=rounding, atol=least, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("share", [0.0, 0.4, 10.0], ids=["all streamed", "some stay", "all stay"])
@pytest.mark.parametrize("model_type", ["llama", "mixtral"])
def test_streamed_or_kept_the_candidates_are_the_same(
    model_type: str, share: float, family: Callable[..., Family]
) -> None:
    folders = family(model_type, torch.float32)
    wanted = [recipe_of(method, folders) for method in ("task_arithmetic", "ties", "dare_ties", "sce")]
    checkpoints = Checkpoints.open(wanted[0])
    budget = int(share * sum(info.nbytes for info in checkpoints.reference.specs.values()))
    merger = Merger(checkpoints, device=CUDA, weights=WeightCache(CUDA, budget=budget))
    live, plain = (LiveModel.load(folders[0], device=CUDA) for _ in range(2))
    for recipe in (*wanted, *wanted[::-1]):
        live.install(merger, recipe)
        plain.forget()
        plain.install(Merger(checkpoints, device=CUDA), recipe)
        assert live.checksum() == plain.checksum()


def test_streaming_large_tensors_beside_a_busy_device(tmp_path: Path) -> None:
    """Buffers are filled again while the device still computes: a copy that came too early would show in the sums."""
    base = tiny_llama(tmp_path / "base", 0, layers=4, hidden=1024)
    folders = (base, perturbed(base, tmp_path / "one", 1), perturbed(base, tmp_path / "two", 2))
    recipe = make_recipe("ties", list(folders[1:]), base, groups=None)
    checkpoints = Checkpoints.open(recipe)
    expected = LiveModel.load(base, device=CUDA)
    expected.install(Merger(checkpoints, device=CUDA, weights=WeightCache(CUDA)), recipe)
    live = LiveModel.load(base, device=CUDA)
    merger = Merger(checkpoints, device=CUDA, weights=WeightCache(CUDA, budget=0))
    heavy = torch.ones(8192, 8192, device=CUDA)
    for _ in range(5):
        for _ in range(4):
            heavy = (heavy @ heavy).clamp_(0, 1)
        live.forget()
        live.install(merger, recipe)
        assert live.checksum() == expected.checksum()


def test_a_folder_merged_on_the_device_is_the_candidate_installed_there(
    family: Callable[..., Family], tmp_path: Path
) -> None:
    folders = family("qwen2", torch.bfloat16)
    recipe = recipe_of("dare_ties", folders)
    out = merge_to_folder(recipe, tmp_path / "out", merger=Merger(Checkpoints.open(recipe), device="cuda"))
    live = LiveModel.load(folders[0], dtype="bfloat16", device=CUDA)
    live.install(Merger(Checkpoints.open(recipe), device=CUDA), recipe)
    assert LiveModel.load(tmp_path / "out", dtype="bfloat16", device=CUDA).checksum() == live.checksum(), out


def test_adapters_merge_as_on_the_cpu(family: Callable[..., Family], tmp_path: Path) -> None:
    """By one product where the method adds up, and as whole tensors, which are made on the CPU, where it does not."""
    base = family("llama", torch.bfloat16)[0]
    on = CheckpointRef(str(base))
    adapters = tuple(AdapterRef(str(lora(base, tmp_path / str(seed), seed)), on) for seed in range(3))
    for method in ("task_arithmetic", "ties"):
        recipe = replace(make_recipe(method, [base] * 3, base), sources=adapters)
        here, there = (installed(recipe, torch.device(device), "float32") for device in ("cpu", "cuda"))
        for name, tensor in here.items():
            torch.testing.assert_close(there[name], tensor, rtol=2**-7, atol=1e-6)
