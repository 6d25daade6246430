"""The fit of DAM's coefficients."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import open_source
from evomerge.merging import LiveModel
from evomerge.statistics._fits.dam import DamFit, DamSettings, fit
from evomerge.statistics._fits.dam_terms import Terms
from evomerge.statistics._fits.mofo import Mofo
from tests.building import perturbed, tiny, tiny_llama
from tests.transforms.working import sequences

TEXTS = [sequences(4, 1), sequences(2, 2)]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family")
    base = tiny_llama(folder / "base", 0, dtype=torch.float32)
    perturbed(base, folder / "A", 1, 0.2)
    perturbed(base, folder / "B", 2, 0.2)
    return folder


def model(*folders: Path) -> DamFit:
    return DamFit(LiveModel.load(folders[0]), [open_source(folder) for folder in folders])


def total(fitted: DamFit, columns: list[dict[str, torch.Tensor]]) -> float:
    return fitted.gradient(columns, TEXTS, Terms())[0]


def test_the_gradient_is_that_of_the_loss(family: Path) -> None:
    fitted = model(family / "A", family / "B")
    columns = fitted.uniform()
    name, moved = "model.layers.1.mlp.up_proj.weight", 1e-2
    _, slopes = fitted.gradient(columns, TEXTS, Terms())
    ends = []
    for step in (moved, -moved):
        columns[1][name][3] += step
        ends.append(total(fitted, columns))
        columns[1][name][3] -= step
    assert (ends[0] - ends[1]) / (2 * moved) == pytest.approx(float(slopes[1][name][3]), rel=0.05, abs=1e-6)


def test_fitted_coefficients_are_better_than_the_mean_and_the_same_again(family: Path) -> None:
    fitted = model(family / "A", family / "B")
    settings = DamSettings(epochs=5, rate=1e-2, terms=Terms(similarity=0.0))
    found = fit(fitted, TEXTS, settings)
    assert total(fitted, found) < total(fitted, fitted.uniform())
    again = fit(model(family / "A", family / "B"), TEXTS, settings)
    assert all(torch.equal(one[name], two[name]) for one, two in zip(found, again, strict=True) for name in one)
    assert found[0]["lm_head.weight"].shape == (16,)


def test_of_copies_of_one_expert_only_the_sum_counts(family: Path, tmp_path: Path) -> None:
    shutil.copytree(family / "A", tmp_path / "copy")
    fitted = model(family / "A", tmp_path / "copy")
    loss, _ = fitted.gradient(fitted.uniform(), TEXTS, Terms(similarity=0.0))
    assert loss == pytest.approx(0.0, abs=1e-6)


def test_a_head_that_is_the_embedding_has_no_coefficients(tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base", 0, tied=True, dtype=torch.float32)
    perturbed(base, tmp_path / "A", 1)
    names = model(base, tmp_path / "A").names
    assert len(names) == 14
    assert "model.embed_tokens.weight" not in names


def test_matrices_that_lie_transposed_have_coefficients_of_their_inputs(tmp_path: Path) -> None:
    base = tiny("gpt2", tmp_path / "base", 0)
    perturbed(base, tmp_path / "A", 1)
    found = fit(model(base, tmp_path / "A"), [sequences(1, 1), sequences(1, 2)])
    assert found[0]["h.0.mlp.c_proj.weight" if "h.0.mlp.c_proj.weight" in found[0] else
                    "transformer.h.0.mlp.c_proj.weight"].shape == (64,)  # fmt: skip


def test_an_optimiser_moves_the_largest_momenta_alone() -> None:
    values = [torch.zeros(4), torch.zeros(1)]
    Mofo(rate=0.1, share=0.5, decay=0.0).step(values, [torch.tensor([0.1, -0.3, 0.2, 0.0]), torch.tensor([0.5])])
    assert values[0].ne(0).tolist() == [False, True, True, False]
    assert values[1].item() == pytest.approx(-0.1, rel=1e-3)  # of one value one moves
