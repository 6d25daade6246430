"""Transformations of tiny models: what they keep, what they find, what they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from evomerge import transforms
from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.merging import LiveModel
from evomerge.statistics import write
from evomerge.transforms._shared.units import permuted
from tests.building import perturbed, rewrite, tiny, tiny_llama
from tests.transforms.working import made, sequences, work

DOWN, QUERY = "model.layers.0.mlp.down_proj.weight", "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, two experts, and the first expert with neurons and heads in another order."""
    folder = tmp_path_factory.mktemp("family")
    base = tiny_llama(folder / "base", 0, dtype=torch.float32)
    perturbed(base, folder / "A", 1, 0.05)
    perturbed(base, folder / "B", 2, 0.05)
    shutil.copytree(folder / "A", folder / "shuffled")
    rewrite(folder / "shuffled", _shuffle)
    return folder


def _shuffle(tensors: dict[str, torch.Tensor]) -> None:
    for layer in (0, 1):
        mlp, attention = f"model.layers.{layer}.mlp.", f"model.layers.{layer}.self_attn."
        width = tensors[f"{mlp}up_proj.weight"].shape[0]
        neurons = torch.randperm(width, generator=torch.Generator().manual_seed(layer))
        for part, axis in (("gate_proj", 0), ("up_proj", 0), ("down_proj", 1)):
            name = f"{mlp}{part}.weight"
            tensors[name] = permuted(tensors[name], axis, neurons, width).contiguous()
        for part, axis, order in (
            ("q_proj", 0, [3, 2, 0, 1]),
            ("o_proj", 1, [3, 2, 0, 1]),
            ("k_proj", 0, [1, 0]),
            ("v_proj", 0, [1, 0]),
        ):
            name = f"{attention}{part}.weight"
            tensors[name] = permuted(tensors[name], axis, torch.tensor(order), len(order)).contiguous()


def logits(reference: Path, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    live = LiveModel.load(reference)
    write(live, tensors)
    with torch.no_grad():
        return live.model(input_ids=torch.tensor(sequences(2, 9))).logits


@pytest.mark.parametrize("kind", transforms.names())
def test_every_transform_says_what_it_is(kind: str) -> None:
    declared = transforms.load(kind)
    assert declared.summary.endswith(".")
    assert "http" in declared.paper
    assert declared.resolve({}).keys() == declared.options.keys()


def test_shuffled_neurons_and_heads_are_put_back(family: Path) -> None:
    (found,) = made("align", [family / "A", family / "shuffled"], family / "base")
    assert found.label == "shuffled"
    original = open_source(family / "A")
    for name in (DOWN, QUERY, QUERY.replace("q_proj", "k_proj"), QUERY.replace("q_proj", "o_proj")):
        assert torch.equal(found.changed[name], original.tensor(name))
    assert "2 MLPs and 2 attention modules" in found.notes[0]


def test_without_a_base_the_first_model_is_the_order(family: Path) -> None:
    (found,) = made("align", [family / "shuffled", family / "A"], None)
    assert found.label == "A"
    assert torch.equal(found.changed[DOWN], open_source(family / "shuffled").tensor(DOWN))


def test_experts_of_one_base_are_aligned_already(family: Path) -> None:
    said: list[str] = []
    given = work("align", [family / "A", family / "B"], family / "base")
    given = type(given)(**{**vars(given), "say": said.append})
    assert list(transforms.load("align").make(given)) == []
    assert [line.split(" is in the order of base already")[0] for line in said] == ["A", "B"]


def test_neurons_with_biases_are_aligned_under_other_names(tmp_path: Path) -> None:
    base = tiny("gpt_neox", tmp_path / "base", 0)
    shutil.copytree(base, tmp_path / "moved")
    up, down = (f"gpt_neox.layers.0.mlp.{part}" for part in ("dense_h_to_4h", "dense_4h_to_h"))

    def turn(tensors: dict[str, torch.Tensor]) -> None:
        for name, axis in ((f"{up}.weight", 0), (f"{up}.bias", 0), (f"{down}.weight", 1)):
            tensors[name] = tensors[name].flip(axis).contiguous()

    rewrite(tmp_path / "moved", turn)
    (found,) = made("align", [tmp_path / "moved"], base)
    for name, tensor in found.changed.items():
        assert torch.equal(tensor, open_source(base).tensor(name))
    assert found.changed.keys() == {f"{up}.weight", f"{up}.bias", f"{down}.weight"}


def test_models_without_known_parts_are_refused(tmp_path: Path) -> None:
    base = tiny("gpt2", tmp_path / "base", 0)
    perturbed(base, tmp_path / "A", 1)
    with pytest.raises(InputError, match="gate_proj, up_proj and down_proj"):
        made("align", [tmp_path / "A"], base)


@pytest.mark.parametrize("kind", ["regmean_plusplus", "mats", "pleas"])
def test_copies_of_one_expert_give_that_expert(family: Path, kind: str, tmp_path: Path) -> None:
    shutil.copytree(family / "A", tmp_path / "copy")
    (found,) = made(kind, [family / "A", tmp_path / "copy"], None)
    expert = open_source(family / "A")
    assert found.changed.keys() == {name for name in expert.specs if name not in expert.aliases}
    for name, tensor in found.changed.items():
        assert torch.allclose(tensor, expert.tensor(name), atol=1e-5), name


@pytest.mark.parametrize("kind", ["regmean_plusplus", "mats", "pleas"])
def test_merged_models_are_not_the_mean_and_answer_about_as_their_experts_do(family: Path, kind: str) -> None:
    given = work(kind, [family / "A", family / "B"], family / "base", texts=8)
    (found,) = transforms.load(kind).make(given)
    experts = [{name: e.tensor(name) for name in e.specs} for e in given.experts]
    wanted = [logits(family / "base", expert) for expert in experts]
    mean = {name: (experts[0][name] + experts[1][name]) / 2 for name in experts[0]}
    away = [
        sum(float((logits(family / "base", tensors) - one).square().mean()) for one in wanted)
        for tensors in (dict(found.changed), mean)
    ]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in found.changed.values())
    assert away[0] < 3 * away[1]
    assert not torch.allclose(found.changed[DOWN], mean[DOWN], atol=1e-4)


def test_what_regmean_plusplus_leaves_to_the_base(family: Path) -> None:
    folders = [family / "A", family / "B"]
    (kept,) = made("regmean_plusplus", folders, family / "base")
    assert not {"model.norm.weight", "lm_head.weight"} & kept.changed.keys()
    (mean,) = made("regmean_plusplus", folders, family / "base", {"rest": "mean"})
    experts = [open_source(folder) for folder in folders]
    expected = sum(expert.tensor("lm_head.weight") for expert in experts) / 2
    assert torch.allclose(mean.changed["lm_head.weight"], expected)


def test_wider_mlps_of_a_partial_merge(family: Path) -> None:
    (found,) = made("pleas", [family / "A", family / "B"], None, {"ratio": 0.25})
    width = open_source(family / "A").config["intermediate_size"]
    assert found.config == {"intermediate_size": width + width // 4}
    assert found.changed[DOWN].shape[1] == width + width // 4
    assert "cannot be merged with its experts" in found.notes[-1]


def test_less_memory_means_more_passes_and_the_same_matrices(family: Path) -> None:
    folders = [family / "A", family / "B"]
    (whole,) = made("pleas", folders, None)
    (pieces,) = made("pleas", folders, None, {"memory": 1})
    assert all(torch.equal(whole.changed[name], pieces.changed[name]) for name in whole.changed)


def test_task_arithmetic_needs_a_base(family: Path) -> None:
    with pytest.raises(InputError, match="set base="):
        made("mats", [family / "A", family / "B"], None, {"start": "task_arithmetic"})
