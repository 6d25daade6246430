"""The page about models before a search: numbers worked out by hand, a verdict, and names that cannot break it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.cli.main import main
from evomerge.recipe import CheckpointRef
from evomerge.run.configs.verbs import CompareConfig
from evomerge.run.likeness import compare
from tests.adapters import lora
from tests.run.family import Family


def moved(base: Path, to: Path, change: float, tensor: str = "model.norm.weight") -> Path:
    """A copy of a model whose one tensor was moved: its even elements by ``change``, its odd ones by one."""
    shutil.copytree(base, to)
    weights = load_file(to / "model.safetensors")
    moving = torch.ones(weights[tensor].numel())
    moving[::2] = change
    weights[tensor] = (weights[tensor].float() + moving.view_as(weights[tensor])).to(weights[tensor].dtype)
    save_file(weights, to / "model.safetensors", {"format": "pt"})
    return to


def test_lengths_directions_and_signs_are_those_worked_out_by_hand(family: Family, tmp_path: Path) -> None:
    """Deltas (2, 1, 2, 1, ...) and (-1, 1, -1, 1, ...): half the signs agree, the cosine is -1/sqrt(10)."""
    base = family.folder / "base"
    one, two = moved(base, tmp_path / "one", 2.0), moved(base, tmp_path / "<b>two", -1.0)
    models = tuple(CheckpointRef(str(path)) for path in (one, two))
    found = compare(CompareConfig(models, CheckpointRef(str(base)), str(tmp_path / "page.html"), offline=True))
    assert not found.problems
    norm = found.sums[None, "norm"].likeness()
    size = load_file(base / "model.safetensors")["model.norm.weight"].float()
    lengths = [(square * size.numel()) ** 0.5 / float(size.norm()) for square in (2.5, 1.0)]
    assert norm.relative == pytest.approx(lengths, rel=1e-3)
    assert norm.cosine[0, 1] == pytest.approx(-1 / 10**0.5, abs=1e-3)
    assert norm.agreement[0, 1] == 0.5
    kinship = found.sums[None, "norm"].kinship()
    assert kinship.correlation[0, 1] == pytest.approx(-1, abs=1e-3), "off their means they are opposite"
    assert kinship.distance[0, 1] == pytest.approx((4.5 * size.numel()) ** 0.5, rel=1e-3)
    assert norm.changed.tolist() == [1.0, 1.0]
    whole = found.likeness()
    assert whole.cosine[0, 1] == pytest.approx(norm.cosine[0, 1]), "nothing else was changed"
    assert whole.changed[0] < 0.1
    page = (tmp_path / "page.html").read_text()
    assert "These models can be merged." in page
    assert "pull in opposite directions" in page
    assert "&lt;b&gt;two" in page
    assert "<b>two" not in page


def test_models_that_cannot_be_merged_are_a_finding(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fits is compared all the same; folders that are not there are bad input."""
    odd = tmp_path / "odd"
    shutil.copytree(family.folder / "one", odd)
    weights = load_file(odd / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(3)
    save_file(weights, odd / "model.safetensors", {"format": "pt"})
    words = [f"base={family.folder / 'base'}", f"out={tmp_path / 'page.html'}"]
    assert main(["compare", f"models=[{family.folder / 'two'},{odd}]", *words]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("These models cannot be merged as they are: ")
    page = (tmp_path / "page.html").read_text()
    assert "model.norm.weight" in page.partition("Not compared")[2]
    assert "src=" not in page
    (tmp_path / "page.html").unlink()
    assert main(["compare", f"models=[{tmp_path / 'nowhere'},{odd}]", *words]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_adapters_name_their_base_and_the_page_may_lie_in_a_new_folder(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapters = [str(lora(family.folder / "base", tmp_path / name, seed)) for seed, name in enumerate(("a", "b"))]
    page = tmp_path / "new" / "folder" / "page.html"
    assert main(["compare", f"models=[{','.join(adapters)}]", f"out={page}"]) == 0
    assert "These models can be merged." in page.read_text()
    words = [f"models=[{family.folder / 'one'}]", "out=/dev/null"]
    assert main(["compare", *words]) == 2
    printed = capsys.readouterr().err
    assert "base: missing" in printed
    assert "out: /dev/null is neither a file nor a folder" in printed
