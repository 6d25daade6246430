"""Layers that do little and layers that are alike, worked by hand and on a model whose layers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from evomerge.cli.main import main
from evomerge.statistics._layers.similarity import block_cosines, layer_similarity, linear_cka
from tests.building import rewrite, tiny_llama


def test_influence_is_how_far_states_turn() -> None:
    states = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [0.0, -5.0]]])
    assert block_cosines(states).tolist() == [0.0, 1.0]


def test_cka_knows_no_rotation_and_no_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    first, other = torch.randn(2, 50, 4, generator=generator)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0]
    found = linear_cka(torch.stack([first, 3 * first @ turn + 1, other]))
    np.testing.assert_allclose(found[:2, :2], 1.0, atol=1e-6)
    assert (found[2, :2] < 0.5).all()
    np.testing.assert_allclose(found, found.T)


def test_a_layer_that_adds_nothing_has_no_influence(tmp_path: Path) -> None:
    model = tiny_llama(tmp_path / "m", 0, layers=3, dtype=torch.float32)
    last = ("self_attn.o_proj", "mlp.down_proj")
    idle = [f"model.layers.1.{name}.weight" for name in last]
    rewrite(model, lambda tensors: [tensors[name].zero_() for name in idle])
    found = layer_similarity(model, [(5, 9, 30, 77), (4, 8)])
    assert found.tokens == 6
    assert abs(found.influence[1]) < 1e-9
    assert (found.influence[[0, 2]] > 1e-4).all()
    np.testing.assert_allclose(found.cka[0, 1], 1.0)
    (tmp_path / "t.jsonl").write_text(json.dumps({"text": "one and two"}) + "\n")
    words = [f"model={model}", f"calibration=[{tmp_path / 't.jsonl'}]", f"out={tmp_path / 'i.yaml'}"]
    assert main(["layers", *words]) == 0
    written = json.loads((tmp_path / "i.yaml").read_text())
    assert len(written) == 3
    assert abs(written[1]) < 1e-6
