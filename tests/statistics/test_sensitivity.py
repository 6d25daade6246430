"""Sensitivities of experts, by which Sens-Merging weighs them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from evomerge.checkpoints import open_source
from evomerge.merging import LiveModel
from evomerge.statistics import Calibration, Limits, Passage
from evomerge.statistics._fits.sensitivity import Sensitivities, measure
from tests.building import perturbed, tiny_llama
from tests.transforms.working import sequences


def test_the_colder_the_more_the_sensitive_count() -> None:
    found = Sensitivities(("0", "1"), np.array([[0.6, 0.8], [0.8, 0.6]]), np.array([0.75, 0.25]))
    warm, cold = found.shares(1.0), found.shares(0.05)
    assert np.allclose(warm.sum(axis=0), 1.0)
    assert warm[0] == pytest.approx([0.5622, 0.6106], abs=1e-4)
    assert (cold[0] > 0.99).all()


def measured(folders: list[Path], limits: Limits | None = None) -> Sensitivities:
    texts = [sequences(2, seed) for seed in range(len(folders))]
    own = [
        Calibration(tuple(Passage(np.array(ids, dtype=np.int32), np.arange(len(ids)) > 0) for ids in one), 12)
        for one in texts
    ]
    sources = [open_source(folder) for folder in folders]
    groups = {name: name.split(".")[2] if "layers" in name else "rest" for name in sources[0].specs}
    return measure(LiveModel.load(folders[0]), sources, own, groups, limits)


def test_what_is_measured_of_tiny_models(tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base", 0, dtype=torch.float32)
    folders = [perturbed(base, tmp_path / name, seed) for seed, name in enumerate("AB", 1)]
    found = measured(folders)
    assert set(found.groups) == {"rest", "0", "1"}
    assert np.allclose(np.linalg.norm(found.alpha, axis=1), 1.0)
    assert (found.alpha > 0).all()
    # Of two experts each is as far from the other as that is from it, but on other texts.
    assert found.tau.sum() == pytest.approx(1.0)
    assert found.tau == pytest.approx([0.5, 0.5], abs=0.1)
    again = measured(folders, Limits(memory=20_000))
    assert np.array_equal(again.alpha, found.alpha)


def test_experts_that_answer_alike_count_alike(tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base", 0, dtype=torch.float32)
    shutil.copytree(base, tmp_path / "copy")
    assert measured([base, tmp_path / "copy"]).tau == pytest.approx([0.5, 0.5])
