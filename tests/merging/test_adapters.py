"""Recipes of adapters merge as recipes of the models that the adapters make would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evomerge import methods
from evomerge.checkpoints import CheckpointSource, open_source, write_shards
from evomerge.merging import Checkpoints, LiveModel, Merger, WeightCache, footprint, merge_to_folder
from evomerge.methods import TensorContext
from evomerge.recipe import AdapterRef, CheckpointRef, OutputLayer, PostStep, Recipe
from tests.adapters import lora
from tests.merging.conftest import Family, by_layer, make_recipe


@pytest.fixture
def adapted(family: Callable[..., Family], tmp_path: Path) -> tuple[Path, list[Path], list[Path]]:
    """A base, adapters on it of different ranks and targets, and the whole models that they make, in float32."""
    base = family("llama", torch.float32)[0]
    adapters = [
        lora(base, tmp_path / "first", 1),
        lora(base, tmp_path / "second", 2, rank=3, targets=("q_proj", "gate_proj", "lm_head"), use_rslora=True),
    ]
    return base, adapters, [written(base, adapter, tmp_path / f"{adapter.name}-whole") for adapter in adapters]


def written(base: Path, adapter: Path, folder: Path) -> Path:
    """The merged copy that nobody needs."""
    source: CheckpointSource = Checkpoints.open_all([on(base, adapter)]).by_ref[on(base, adapter)]
    folder.mkdir()
    write_shards(folder, source.specs, ((name, source.tensor(name)) for name in source.specs), max_shard_bytes=10**9)
    for path in base.glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def on(base: Path, adapter: Path) -> AdapterRef:
    return AdapterRef(str(adapter), CheckpointRef(str(base)))


def with_adapters(recipe: Recipe, base: Path, adapters: list[Path]) -> Recipe:
    return replace(recipe, sources=tuple(on(base, adapter) for adapter in adapters))


@pytest.mark.parametrize("method", ["task_arithmetic", "ties"])
def test_steps_after_the_merge_see_whole_models(adapted: tuple[Path, list[Path], list[Path]], method: str) -> None:
    """With the same merger before and after recipes without steps, where thin matrices are added up."""
    base, adapters, models = adapted
    lines = PostStep("lines", {"alpha_from": "norm"}, {"beta": np.full(3, 0.5)})
    plain = make_recipe(method, models, base, out_dtype="float32")
    stepped = replace(plain, post=(lines,))
    again, merger = (Merger(Checkpoints.open(recipe)) for recipe in (plain, with_adapters(plain, base, adapters)))
    for whole in (plain, stepped, plain, stepped):
        for name, tensor in merger.stream(with_adapters(whole, base, adapters)):
            torch.testing.assert_close(tensor, again.tensor(whole, name), rtol=0, atol=2e-6, msg=name)


@pytest.mark.parametrize("method", ["ties", "task_arithmetic", "linear", "slerp", "della", "knots"])
def test_as_the_whole_models(adapted: tuple[Path, list[Path], list[Path]], method: str) -> None:
    base, adapters, models = adapted
    whole = make_recipe(method, models, None if method == "slerp" else base, out_dtype="float32")
    if method == "della":  # masks belong to the source by its place here, as no fingerprint is known
        assert whole.sources[0].fingerprint is None
    recipe = with_adapters(whole, base, adapters)
    merger, again = Merger(Checkpoints.open(recipe)), Merger(Checkpoints.open(whole))
    for name, tensor in merger.stream(recipe):
        torch.testing.assert_close(tensor, again.tensor(whole, name), rtol=0, atol=2e-6, msg=name)


def test_the_basis_that_adapters_share_is_thin(adapted: tuple[Path, list[Path], list[Path]]) -> None:
    """Both adapters, of ranks 4 and 3, change the first; nobody changes the second; the third is the first one's."""
    base, adapters, _ = adapted
    recipe = with_adapters(make_recipe("knots", [base, base], base), base, adapters)
    sources = [Checkpoints.open(recipe)[ref] for ref in (recipe.base, *recipe.sources) if ref is not None]
    found = []
    for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj"):
        start, *models = (source.tensor(f"model.layers.0.{part}.weight") for source in sources)
        found.append(methods.load("knots").sources(TensorContext(part), start, models, recipe.options).prepared)
    assert [len(prepared.get("basis", ())) for prepared in found] == [7, 0, 4]


def test_into_a_model_and_a_folder(adapted: tuple[Path, list[Path], list[Path]], tmp_path: Path) -> None:
    """Among whole models, inside another recipe, and as read back from a file."""
    base, adapters, models = adapted
    inner = with_adapters(make_recipe("ties", models, base, out_dtype="float32"), base, adapters)
    recipe = replace(
        make_recipe("task_arithmetic", models, base, out_dtype="bfloat16"),
        sources=(inner, on(base, adapters[0])),
    )
    assert recipe.references == (CheckpointRef(str(base)), *(on(base, adapter) for adapter in adapters))
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe
    live, merger = LiveModel.load(base), Merger(Checkpoints.open(recipe))
    live.install(merger, recipe)
    folder = merge_to_folder(recipe, tmp_path / "out")
    exported = open_source(folder)
    assert all(exported.tensor(name).float().equal(live.model.state_dict()[name]) for name in exported.specs)
    assert not list(folder.glob("adapter_*"))


def test_memory_for_one_tensor_of_each(adapted: tuple[Path, list[Path], list[Path]]) -> None:
    base, adapters, models = adapted
    recipe = with_adapters(make_recipe("ties", models, base), base, adapters)
    found = footprint(Checkpoints.open(recipe), recipe, model_dtype="bfloat16")
    weights = sum(spec.nbytes for spec in open_source(base).specs.values())
    files = sum((adapter / "adapter_model.safetensors").stat().st_size for adapter in adapters)
    assert weights < found.mapped < weights + files
    assert found.working == 259 * 16 * 4  # the head, of which only one adapter has a delta


def test_sums_are_one_product_whatever_the_threads(adapted: tuple[Path, list[Path], list[Path]]) -> None:
    """No adapter's tensor is made on the way, and the bytes do not depend on threads."""
    base, adapters, models = adapted
    recipe = with_adapters(make_recipe("task_arithmetic", models, base), base, adapters)
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints)
    outputs = merger.outputs(recipe).tensors
    sums = {name: tensor.sum for name, tensor in outputs.items() if tensor.sum is not None}
    changed = frozenset().union(*(checkpoints.by_ref[ref].changed for ref in recipe.sources))
    assert sums.keys() == changed
    assert all(entry.in_place for parts in sums.values() for entry in parts.reads)
    assert [len(parts.reads) for parts in sums.values()] == [1] * len(sums)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = {name: merger.tensor(recipe, name) for name in sums}
        torch.set_num_threads(2)
        assert all(tensor.equal(merger.tensor(recipe, name)) for name, tensor in one.items())
    finally:
        torch.set_num_threads(threads)
    nothing = make_recipe("task_arithmetic", models, base, coefficients={"weight": torch.zeros(3, 2)})
    nothing = replace(with_adapters(nothing, base, adapters), out_dtype="float32")
    source = open_source(base)
    assert all(merger.tensor(nothing, name).equal(source.tensor(name)) for name in sums)
    for budget in (0, 10**9):  # as on a GPU, where weights are streamed, or stay
        streamed = Merger(checkpoints, weights=WeightCache(torch.device("cpu"), budget=budget))
        for _ in range(2):
            assert all(tensor.equal(streamed.tensor(recipe, name)) for name, tensor in one.items())
    predicted = footprint(checkpoints, recipe, model_dtype="bfloat16").working
    assert predicted == 3 * (259 + 16) * 4  # the thin matrices of the head, of which one adapter has a delta


def test_layers_of_adapters_are_stored_as_the_base_is(family: Callable[..., Family], tmp_path: Path) -> None:
    """Not in float32, which what is computed of them is in."""
    base = family("llama", torch.bfloat16)[0]
    adapter = on(base, lora(base, tmp_path / "adapter", 1))
    layers = tuple(OutputLayer(((source, layer),)) for source, layer in ((0, 0), (1, 1), (0, 1)))
    recipe = make_recipe("linear", [base, base], groups=by_layer(3), coefficients={"weight": torch.ones(4, 2)})
    recipe = replace(recipe, sources=(adapter, CheckpointRef(str(base))), layers=layers)
    merger = Merger(Checkpoints.open(recipe))
    assert {tensor.spec.dtype for tensor in merger.outputs(recipe).merged.values()} == {torch.bfloat16}
    name = "model.layers.2.mlp.up_proj.weight"
    wanted = merger.checkpoints[adapter].tensor(name.replace("2", "1"))
    assert merger.tensor(recipe, name).equal(wanted.to(torch.bfloat16))
