"""The fit of DAM's coefficients."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.merging import LiveModel
from evomerge.statistics import Keyed, StatisticsFolder, fill_fitted, fitted_keys
from evomerge.statistics._fits.dam import DamFit, fit
from evomerge.statistics._fits.mofo import Mofo
from evomerge.statistics._fits.settings import DamSettings, Terms
from evomerge.statistics._fits.state import Kept
from tests.apart import Apart
from tests.building import perturbed, tiny, tiny_llama
from tests.statistics.conftest import calibration
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


def test_a_model_that_computes_in_bfloat16_has_about_the_same_gradient(family: Path) -> None:
    sources = [open_source(family / name) for name in "AB"]
    half = DamFit(LiveModel.load(family / "A", dtype=torch.bfloat16), sources)
    full = model(family / "A", family / "B")
    name = "model.layers.1.mlp.up_proj.weight"
    for expert in range(2):
        rough, exact = (one.gradient(one.uniform(), TEXTS, Terms())[1][expert][name] for one in (half, full))
        assert rough.dtype == torch.float32
        assert torch.cosine_similarity(rough, exact, dim=0) > 0.95


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
    slopes = [torch.tensor([0.1, -0.3, 0.2, 0.0]), torch.tensor([0.5])]
    Mofo.of(values, rate=0.1, share=0.5, decay=0.0, largest=1.0).step(values, slopes)
    assert values[0].ne(0).tolist() == [False, True, True, False]
    assert values[1].item() == pytest.approx(-0.1, rel=1e-3)  # of one value one moves


SETTINGS = DamSettings(epochs=3, rate=1e-2)
# Fits until the fourth of six steps, and is killed there: an epoch has ended before.
FITTER = """
import os, signal, sys
from pathlib import Path
from tests.statistics.test_dam import SETTINGS, filled

def say(text):
    if text.startswith("step 4 "):
        os.kill(os.getpid(), signal.SIGKILL)

filled(Path(sys.argv[1]), Path(sys.argv[2]), say)
"""


def filled(models: Path, path: Path, say: Callable[[str], None]) -> list[Keyed]:
    texts = [calibration(6, 5, seed=1), calibration(7, seed=2)]
    keyed = list(fitted_keys(["A", "B"], texts, settings=SETTINGS))
    sources, live = [open_source(models / name) for name in ("A", "B")], LiveModel.load(models / "A")
    fill_fitted(StatisticsFolder(path), live, sources, texts, keyed, say)
    return keyed


def test_a_killed_fit_goes_on_and_ends_the_same(family: Path, tmp_path: Path, apart: Apart) -> None:
    told: list[str] = []
    whole = filled(family, tmp_path / "whole", told.append)
    assert len(told) == 6
    assert apart.start(FITTER, str(family), str(tmp_path / "cut")).wait() == -signal.SIGKILL
    cut = StatisticsFolder(tmp_path / "cut")
    assert set(cut.keys()) == set(cut.missing(one.key for one in whole)) == {one.key for one in whole}
    [kept] = (tmp_path / "cut").rglob("fit.safetensors")
    told.clear()
    filled(family, tmp_path / "cut", told.append)
    assert [text.split(":")[0] for text in told] == [f"step {number} of 6" for number in (5, 6)]
    assert not kept.exists()
    for one in whole:
        for name in ("lm_head.weight", "model.layers.1.mlp.up_proj.weight"):
            first, second = (StatisticsFolder(tmp_path / own).tensor(one.key, name) for own in ("whole", "cut"))
            assert first is not None
            assert second is not None
            assert torch.equal(first, second)


def test_what_is_kept_of_another_fit_is_not_taken(tmp_path: Path) -> None:
    Kept(tmp_path, {"of": "one"}).keep([torch.ones(2)], 5, end=True)
    given = torch.zeros(2)
    assert Kept(tmp_path, {"of": "other"}).restore([given]) == 0
    assert Kept(tmp_path, {"of": "one"}).restore([torch.zeros(3)]) == 0
    assert not given.any()
    assert Kept(tmp_path, {"of": "one"}).restore([given]) == 5
    assert given.tolist() == [1.0, 1.0]


def test_settings_that_look_at_no_text_are_refused() -> None:
    with pytest.raises(InputError, match=r"dam: divergence, squares and entropy are all 0"):
        fitted_keys(["A"], [calibration(5)], settings=DamSettings(terms=Terms(divergence=0.0)))
    plain = fitted_keys(["A"], [calibration(5)])[0].key
    assert plain == fitted_keys(["A"], [calibration(5)], settings=DamSettings())[0].key
    assert plain != fitted_keys(["A"], [calibration(5)], settings=DamSettings(epochs=2))[0].key
