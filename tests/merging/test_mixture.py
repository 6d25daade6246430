"""Mixtures built of dense models and condensed again: they load, and answer as they have to."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, Merger
from evomerge.merging.mixture import BuiltMixture, CondensedMixture, Grouping, copy_recipe, one_by_one, write_source
from evomerge.recipe import CheckpointRef
from tests.building import perturbed, rewrite, tiny, tiny_dense

MIXTURES = {"llama": "mixtral", "mistral": "mixtral", "qwen2": "qwen2_moe", "qwen3": "qwen3_moe"}
IDS = torch.tensor([[1, 5, 9, 30, 77, 4]])


def merger_of(folder: Path, *more: Path) -> tuple[Merger, Checkpoints, CheckpointRef]:
    refs = [CheckpointRef(str(path)) for path in (folder, *more)]
    checkpoints = Checkpoints.open_all(refs)
    return Merger(checkpoints), checkpoints, refs[0]


def built(out: Path, base: Path, experts: list[Path], gates: torch.Tensor, per_token: int = 2) -> Path:
    merger, checkpoints, ref = merger_of(base, *experts)
    recipe = copy_recipe(ref, checkpoints[ref])
    sources = [(path.name, checkpoints[CheckpointRef(str(path))]) for path in experts]
    mixture = BuiltMixture(merger.as_source(recipe), sources, gates, per_token)
    return write_source(mixture, merger.outputs(recipe), recipe, out, max_shard_bytes=10**9)


def condensed(out: Path, model: Path, grouping: Grouping) -> Path:
    merger, checkpoints, ref = merger_of(model)
    recipe = copy_recipe(ref, checkpoints[ref])
    layers = {f"model.layers.{number}.": grouping for number in range(2)}
    smaller = CondensedMixture(merger.as_source(recipe), layers)
    return write_source(smaller, merger.outputs(recipe), recipe, out, max_shard_bytes=10**9)


def logits(folder: Path, kind: str | None = None) -> torch.Tensor:
    """Of a folder that has exactly the weights of its model."""
    model, said = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(said.values())
    assert kind is None or model.config.model_type == kind
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS).logits
    return found


@pytest.mark.parametrize(("kind", "mixture"), MIXTURES.items())
def test_copies_of_one_expert_answer_as_it_does(tmp_path: Path, kind: str, mixture: str) -> None:
    """Whatever the routers say; and so does what is left when they are merged again."""
    base = tiny_dense(kind, tmp_path / "base")
    gates = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(1))
    out = built(tmp_path / "out", base, [base] * 3, gates)
    wanted = logits(base)
    torch.testing.assert_close(logits(out, mixture), wanted, rtol=0, atol=2e-6)
    pair = Grouping(((0, 2), (1,)), (0.25, 1.0, 0.75))
    torch.testing.assert_close(logits(condensed(tmp_path / "pair", out, pair), mixture), wanted, rtol=0, atol=2e-6)
    one = condensed(tmp_path / "one", out, Grouping(((0, 1, 2),), (0.5, 0.3, 0.2)))
    left = mixture if mixture == "qwen2_moe" else {"mixtral": "mistral", "qwen3_moe": "qwen3"}[mixture]
    torch.testing.assert_close(logits(one, left), wanted, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("mixture", "left", "changes"), [("mixtral", "mistral", {}), ("qwen3_moe", "qwen3", {"norm_topk_prob": True})]
)
def test_one_expert_is_left_of_a_mixture_that_was_born_one(
    tmp_path: Path, mixture: str, left: str, changes: dict[str, bool]
) -> None:
    """Its config says what no dense model's does: the width of a Mixtral's heads follows from other fields."""
    model = tiny(mixture, tmp_path / "model", 0, **changes)

    def copy(tensors: dict[str, torch.Tensor]) -> None:
        for name in tensors:
            if ".experts." in name:
                tensors[name] = tensors[re.sub(r"experts\.\d+", "experts.0", name)].clone()

    rewrite(model, copy)
    one = condensed(tmp_path / "one", model, Grouping(((0, 1, 2),), (0.5, 0.3, 0.2)))
    torch.testing.assert_close(logits(one, left), logits(model, mixture), rtol=0, atol=2e-6)


def test_routers_choose_experts_whose_blocks_are_copies(tmp_path: Path) -> None:
    base = tiny_dense("llama", tmp_path / "base")
    other = perturbed(base, tmp_path / "other", 1)
    rows = torch.zeros(2, 16)
    out = built(tmp_path / "out", base, [base, other], rows, 1)
    assert torch.equal(logits(out), logits(base))  # of equal experts the first
    tensors = Checkpoints.open_all([CheckpointRef(str(out))]).reference
    theirs = Checkpoints.open_all([CheckpointRef(str(other))]).reference
    for own, dense_name in (("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")):
        name = f"model.layers.1.block_sparse_moe.experts.1.{own}.weight"
        assert torch.equal(tensors.tensor(name), theirs.tensor(f"model.layers.1.mlp.{dense_name}.weight"))


def test_groups_are_weighted_means(tmp_path: Path) -> None:
    model = tiny("mixtral", tmp_path / "m", 0)
    out = condensed(tmp_path / "out", model, Grouping(((1,), (2, 0)), (0.25, 1.0, 0.75)))
    before, after = (Checkpoints.open_all([CheckpointRef(str(path))]).reference for path in (model, out))
    layer = "model.layers.0.block_sparse_moe."
    for end in ("w1", "w2", "w3"):
        first, second, third = (before.tensor(f"{layer}experts.{i}.{end}.weight") for i in range(3))
        assert torch.equal(after.tensor(f"{layer}experts.0.{end}.weight"), second)
        torch.testing.assert_close(after.tensor(f"{layer}experts.1.{end}.weight"), 0.25 * first + 0.75 * third)
    rows = before.tensor(f"{layer}gate.weight")
    wanted = torch.stack([rows[1], 0.25 * rows[0] + 0.75 * rows[2]])
    torch.testing.assert_close(after.tensor(f"{layer}gate.weight"), wanted)
    assert logits(out).isfinite().all()


@pytest.mark.parametrize("kind", ["mixtral", "qwen2_moe", "qwen3_moe"])
def test_stacked_experts_are_the_same_experts(tmp_path: Path, kind: str) -> None:
    """As transformers saves them where it is told to keep the form that they have in memory."""
    plain = tiny(kind, tmp_path / "plain", 0)
    stacked = Path(shutil.copytree(plain, tmp_path / "stacked"))
    transformers.AutoModelForCausalLM.from_pretrained(plain).save_pretrained(stacked, save_original_format=False)
    source, other = open_source(plain), open_source(stacked)
    assert any(name.endswith("experts.gate_up_proj") for name in other.specs)
    assert one_by_one(source) is source
    found = one_by_one(other)
    assert found.specs.keys() == source.specs.keys()
    assert all(torch.equal(found.tensor(name), source.tensor(name)) for name in source.specs)


def test_what_makes_no_mixture_is_told_at_once(tmp_path: Path) -> None:
    base, narrow = tiny_dense("llama", tmp_path / "base"), tiny("llama", tmp_path / "narrow", 0, intermediate_size=24)
    with pytest.raises(InputError) as caught:
        built(tmp_path / "out", base, [base, narrow], torch.zeros(2, 7), 3)
    count, shape, gates = caught.value.problems
    assert count == "per_token: expected 1 to 2, the number of experts, got 3"
    assert shape.startswith("narrow: expected a tensor 'model.layers.0.mlp.down_proj.weight' of shape (16, 32), there")
    assert gates.startswith("gates: expected shape (2, 16) or (2, 2, 16), got (2, 7)")
    biased = tiny("llama", tmp_path / "biased", 0, attention_bias=True)
    with pytest.raises(InputError, match="attention_bias=True, for which a model of type mixtral has no place"):
        built(tmp_path / "out", biased, [biased] * 2, torch.zeros(2, 16))
    phi = tiny("phi3", tmp_path / "phi", 0)
    with pytest.raises(InputError, match="of type 'phi3'; mixtures are built of dense models of type llama"):
        built(tmp_path / "out", phi, [phi] * 2, torch.zeros(2, 16))
    with pytest.raises(InputError, match="of type 'llama'; experts are merged in models of type mixtral"):
        condensed(tmp_path / "out", base, Grouping(((0, 1),), (0.5, 0.5)))
    mixtral = tiny("mixtral", tmp_path / "m", 0)
    with pytest.raises(InputError, match="expected each of 3 experts in one group"):
        condensed(tmp_path / "out", mixtral, Grouping(((0, 1),), (0.5, 0.5)))
    assert not (tmp_path / "out").exists()
