"""``evomerge layers``: layers that do little, on a model whose layers are known; statistics are collected once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.run.structure.layers import compare_layers
from tests.building import rewrite, tiny_llama


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A model whose second layer of three adds nothing, and texts."""
    folder = tmp_path_factory.mktemp("idle")
    model = tiny_llama(folder / "m", 0, layers=3)
    idle = [f"model.layers.1.{name}.weight" for name in ("self_attn.o_proj", "mlp.down_proj")]
    rewrite(model, lambda tensors: [tensors[name].zero_() for name in idle])
    (folder / "t.jsonl").write_text('{"text": "one and two"}\n{"text": "a rose is a rose"}\n')
    return [f"model={model}", f"calibration=[{folder / 't.jsonl'}]", f"statistics.folder={folder / 'kept'}"]


def test_a_layer_that_adds_nothing_has_no_influence(words: list[str], tmp_path: Path) -> None:
    found = compare_layers(compose.layers([*words, f"statistics.folder={tmp_path}"]))
    assert abs(found.influence[1]) < 1e-6
    assert (found.influence[[0, 2]] > 1e-4).all()
    np.testing.assert_allclose(found.cka[0, 1], 1.0, rtol=1e-6)
    assert found.tokens > 8


def test_a_second_time_nothing_is_read(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers", *words, f"out={tmp_path / 'i.yaml'}"]) == 0
    first = capsys.readouterr()
    assert "collecting block_influence and layer_cka of m on 2 texts: " in first.err
    assert " of memory, 1 pass, about " in first.err
    written = json.loads((tmp_path / "i.yaml").read_text())
    assert len(written) == 3
    assert abs(written[1]) < 1e-5
    assert main(["layers", *words]) == 0
    second = capsys.readouterr()
    assert second.err == ""
    assert second.out == first.out
    assert main(["statistics", "list", words[2]]) == 0
    listed = capsys.readouterr().out
    assert "block_influence" in listed
    assert "layer_cka" in listed
