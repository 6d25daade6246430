"""Scalars, empty tensors, integers, and the few float32 tensors of a model that is stored in a narrow type."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from evomerge import methods
from evomerge.merging import Checkpoints, Merger, merge_to_folder
from evomerge.recipe import Group, ParameterGroups
from tests.building import perturbed, rewrite, tiny
from tests.merging.conftest import Family, make_recipe
from tests.merging.stacks import weights

MIXER = "model.layers.0.mixer."
ODD = {
    MIXER + "A_log": torch.linspace(7.9, 8.1, 16),
    MIXER + "D": torch.ones(4, dtype=torch.bfloat16),
    MIXER + "conv1d.weight": torch.linspace(-1, 1, 24).reshape(6, 1, 4).bfloat16(),
    MIXER + "scale": torch.tensor(1.5),
    MIXER + "one": torch.ones(1, dtype=torch.bfloat16),
    MIXER + "empty": torch.zeros(0, 4, dtype=torch.bfloat16),
    MIXER + "ids": torch.arange(5),
    MIXER + "flag": torch.tensor(True),
}
ALL = ParameterGroups((Group("all"),))
MERGES_TWO = ("linear", "slerp", "task_arithmetic", "ties", "dare_ties", "della", "breadcrumbs", "sce", "pcb")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Family:
    folder = tmp_path_factory.mktemp("odd")
    base = tiny("llama", folder / "base", 0, dtype=torch.bfloat16)
    rewrite(base, lambda tensors: tensors.update({name: tensor.clone() for name, tensor in ODD.items()}))
    return base, perturbed(base, folder / "one", 1), perturbed(base, folder / "two", 2)


def test_by_hand(odd: Family, tmp_path: Path) -> None:
    base, one, two = map(weights, odd)
    values = {"weight": [[0.25, 0.5]], "lambda": [1.0]}
    recipe = make_recipe("task_arithmetic", odd[1:], odd[0], groups=ALL, coefficients=values)
    merged = weights(merge_to_folder(recipe, tmp_path / "out"))
    for name, tensor in ODD.items():
        assert merged[name].dtype == tensor.dtype, "float32 as in the base, whatever most others are"
        if not tensor.is_floating_point():
            assert torch.equal(merged[name], tensor)
            continue
        start = base[name].double()
        wanted = start + 0.25 * (one[name].double() - start) + 0.5 * (two[name].double() - start)
        close = {"atol": 1e-6, "rtol": 1e-6} if tensor.dtype == torch.float32 else {"atol": 2e-2, "rtol": 1e-2}
        torch.testing.assert_close(merged[name].double(), wanted, **close)
    assert merged["model.norm.weight"].dtype == torch.bfloat16
    other = make_recipe("task_arithmetic", odd[1:], odd[0], groups=ALL, coefficients=values, out_dtype="float16")
    told = dict(Merger(Checkpoints.open(other)).stream(other, names=[MIXER + "A_log"]))
    assert told[MIXER + "A_log"].dtype == torch.float16, "of all tensors, where another type is asked for"


@pytest.mark.parametrize("method", MERGES_TWO)
def test_every_method_merges_them(odd: Family, method: str) -> None:
    base = None if methods.load(method).base == "none" else odd[0]
    recipe = make_recipe(method, odd[1:], base, groups=ALL)
    merged = dict(Merger(Checkpoints.open(recipe)).stream(recipe, names=list(ODD)))
    for name, tensor in ODD.items():
        assert (merged[name].dtype, merged[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.isfinite(merged[name].float()).all()
