"""Methods and steps that read statistics, in the merge loop: the arrays that they get, and what a merge depends on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evomerge import post
from evomerge.contracts.method_cases import same_bits
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger, PreparedSettings, merge_to_folder
from evomerge.recipe import CheckpointRef, OutputLayer, PostStep, Recipe, Tokenizer
from tests.building import tiny, tiny_tokenizer
from tests.merging.conftest import Family, make_recipe

# A method that adds up what the experts' statistics say, and what the base's says on the texts of each.
METHOD = """
import torch
from evomerge.methods import MergeMethod, Need
from evomerge.recipe import Coefficient

calls = []

def prepare(context, base, models, options, statistics):
    calls.append(context.name)
    own = [torch.zeros(()) if s is None else s for s in statistics["fisher"]]
    of_base = [torch.zeros(()) if s is None else s for s in statistics["base:fisher"]]
    return {"own": torch.stack([(a + b).expand(base.shape) for a, b in zip(own, of_base)])}

def merge(context, sources, coefficients, out):
    weighted = [w * own for w, own in zip(coefficients["weight"], sources.prepared["own"])]
    out.copy_(sources.base.float() + sum(weighted))

METHOD = MergeMethod(
    name="told", summary="adds statistics", paper="none", merge=merge,
    coefficients=lambda options: (Coefficient("weight", 0.0, 1.5, 1.0),),
    prepare=prepare, prepared_bytes=lambda shape, models, options: 4 * models * torch.Size(shape).numel(),
    needs=lambda options: (Need("fisher"), Need("fisher", of="base")),
)
"""
STEP = """
from evomerge.methods import Need
from evomerge.post import PostProcess

def apply(context, sources, delta, values):
    (channels,) = context.statistics["base:channel_abs"]
    if channels is not None:
        delta.mul_(channels)

STEP = PostProcess(
    name="told_step", summary="scales by a statistic", paper="none", apply=apply,
    needs=lambda options: (Need("channel_abs", of="base", texts="shared"),),
)
"""
KEYS = tuple(f"{digit}" * 64 for digit in "abcd")  # of the experts, and of the base on the texts of each
SHARED = "e" * 64


@dataclass
class Collected:
    """Statistics in memory: of the shape of the tensor, filled with a number of each key; ``rows`` of embeddings."""

    shapes: dict[str, tuple[int, ...]]
    numbers: dict[str, float]
    rows: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def missing(self, keys: Iterable[str]) -> tuple[str, ...]:
        return tuple(key for key in keys if key not in self.numbers)

    def tensor(self, key: str, name: str) -> torch.Tensor | None:
        self.asked.append((key, name))
        if "norm" in name:
            return None
        shape = self.shapes[name]
        if key in self.rows and ("embed" in name or "lm_head" in name):
            shape = (self.rows[key], *shape[1:])
        return torch.full(shape, self.numbers[key])

    def transposed(self, key: str, name: str) -> bool:
        return False

    def release(self) -> None:
        pass


@pytest.fixture
def models(family: Callable[..., Family], own_methods: Path, tmp_path: Path) -> Iterator[Family]:
    (own_methods / "told.py").write_text(METHOD)
    (tmp_path / "post").mkdir()
    (tmp_path / "post" / "told_step.py").write_text(STEP)
    post.__path__.append(str(tmp_path / "post"))
    yield family(dtype=torch.float32)
    post.__path__.remove(str(tmp_path / "post"))
    sys.modules.pop("evomerge.post.told_step", None)


def recipe_of(models: Family, **fields: object) -> Recipe:
    base, one, two = models
    return make_recipe("told", [one, two], base, out_dtype="float32", **{"statistics": KEYS, **fields})


def collected(recipe: Recipe, *numbers: float) -> Collected:
    specs = Checkpoints.open(recipe).reference.specs
    return Collected({name: tuple(spec.shape) for name, spec in specs.items()}, dict(zip(KEYS, numbers, strict=False)))


def merged(recipe: Recipe, source: Collected, **settings: object) -> dict[str, torch.Tensor]:
    merger = Merger(Checkpoints.open(recipe), statistics=source, **settings)  # type: ignore[arg-type]
    return {name: tensor.clone() for name, tensor in merger.stream(recipe)}


def test_each_model_gets_the_arrays_of_its_own_key(models: Family) -> None:
    recipe = recipe_of(models, coefficients={"weight": [[1.0, 10.0]] * 3})
    source = collected(recipe, 1.0, 2.0, 4.0, 8.0)
    base = Checkpoints.open(recipe).reference
    found = merged(recipe, source)
    for name, tensor in found.items():
        added = 0.0 if "norm" in name else (1.0 + 4.0) + 10.0 * (2.0 + 8.0)
        assert torch.equal(tensor, base.tensor(name) + added), name
    assert all(len({name for _, name in source.asked[i : i + 4]}) == 1 for i in range(0, len(source.asked), 4))
    assert [key for key, _ in source.asked[:4]] == list(KEYS), "one tensor at a time, in the order of the keys"


def test_layers_take_the_arrays_of_the_layers_they_are_merged_from(models: Family) -> None:
    layers = (OutputLayer(((1, 1), (1, 0)), base=0), OutputLayer(((0, 0), (1, 1)), base=1))
    recipe = recipe_of(models, layers=layers)
    source = collected(recipe, 1.0, 2.0, 4.0, 8.0)
    merged(recipe, source)
    up = "model.layers.{}.mlp.up_proj.weight"
    pairs = [(key, name) for key, name in source.asked if name.endswith("mlp.up_proj.weight")]
    first = [(KEYS[1], up.format(1)), (KEYS[1], up.format(0)), (KEYS[3], up.format(0)), (KEYS[3], up.format(0))]
    second = [(KEYS[0], up.format(0)), (KEYS[1], up.format(1)), (KEYS[2], up.format(1)), (KEYS[3], up.format(1))]
    assert pairs == first + second


def test_other_statistics_are_another_merge(models: Family, tmp_path: Path) -> None:
    """Neither what was prepared, here or on disk, nor what lies in a live model is taken for another's."""
    plain, kept = recipe_of(models), PreparedSettings(str(tmp_path / "kept"))
    base, *sources = (replace(ref, fingerprint=ref.label) for ref in plain.named())
    recipe = replace(plain, base=base, sources=tuple(sources))
    others = replace(recipe, statistics=KEYS[::-1])
    source, checkpoints = collected(recipe, 1.0, 2.0, 4.0, 8.0), Checkpoints.open(recipe)
    merger, live = Merger(checkpoints, statistics=source, prepared=kept), LiveModel.load(models[0])
    live.install(merger, recipe)
    mine = live.checksum()
    assert live.install(merger, recipe) == ()
    assert live.install(merger, others)
    assert live.checksum() != mine
    source.asked.clear()
    again = Merger(checkpoints, statistics=source, prepared=kept)
    live.install(again, others)
    assert source.asked == [], "what was prepared lies on disk"
    live.install(again, recipe)
    assert source.asked
    assert live.checksum() == mine


def test_nothing_is_read_for_a_candidate_once_it_is_prepared(models: Family) -> None:
    recipe = recipe_of(models)
    source = collected(recipe, 1.0, 2.0, 4.0, 8.0)
    merger = Merger(Checkpoints.open(recipe), statistics=source)
    list(merger.stream(recipe))
    source.asked.clear()
    list(merger.stream(replace(recipe, coefficients={"weight": np.zeros((3, 2))})))
    assert source.asked == []


def test_without_room_for_prepared_arrays_the_merge_is_the_same(models: Family) -> None:
    recipe = recipe_of(models)
    source = collected(recipe, 1.0, 2.0, 4.0, 8.0)
    wide, narrow = merged(recipe, source), merged(recipe, source, prepared=PreparedSettings(memory=0))
    assert all(same_bits(tensor, narrow[name]) for name, tensor in wide.items())


def test_steps_get_theirs_after_the_methods_own(models: Family, tmp_path: Path) -> None:
    recipe = recipe_of(models, post=(PostStep("told_step"),), statistics=(*KEYS, SHARED))
    source = collected(recipe, 1.0, 1.0, 1.0, 1.0)
    source.numbers[SHARED] = 0.5
    plain = merged(replace(recipe, post=(), statistics=KEYS), source)
    base = Checkpoints.open(recipe).reference
    found = merged(recipe, source)
    for name, tensor in found.items():
        own = base.tensor(name)
        assert (tensor - (own + 0.5 * (plain[name] - own))).abs().max() < 1e-6, name
    # A method that reads nothing may have a step that does.
    linear = make_recipe(
        "linear", list(models[1:]), models[0], post=(PostStep("told_step"),), statistics=(SHARED,), out_dtype="float32"
    )
    source.numbers[SHARED] = 0.0
    nothing = merged(linear, source)
    assert all("norm" in name or torch.equal(nothing[name], base.tensor(name)) for name in nothing)
    out = merge_to_folder(linear, tmp_path / "out", merger=Merger(Checkpoints.open(linear), statistics=source))
    assert all(torch.equal(nothing[name], Checkpoints.open_all([CheckpointRef(str(out))]).reference.tensor(name))
               for name in nothing)  # fmt: skip


def test_recipes_inside_read_theirs(models: Family) -> None:
    base, one, _ = models
    inner = recipe_of(models)
    outer = Recipe(
        "linear", {"normalise": "none"}, (inner, CheckpointRef(str(one))), CheckpointRef(str(base)),
        inner.groups, {"weight": np.array([[1.0, 0.0]] * 3)}, out_dtype="float32",
    )  # fmt: skip
    source = collected(inner, 1.0, 2.0, 4.0, 8.0)
    found, wanted = merged(outer, source), merged(inner, source)
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    del source.numbers[KEYS[2]]
    with pytest.raises(InputError, match=f"fisher of base on the texts of one .{KEYS[2]}. is not here"):
        merged(outer, source)


def test_what_is_missing_is_named_before_the_first_tensor(models: Family, tmp_path: Path) -> None:
    recipe = recipe_of(models)
    source = collected(recipe, 1.0, 2.0)
    with pytest.raises(InputError) as caught:
        merge_to_folder(recipe, tmp_path / "out", merger=Merger(Checkpoints.open(recipe), statistics=source))
    assert [problem.split(" is not here")[0] for problem in caught.value.problems] == [
        f"statistics: fisher of base on the texts of one ({KEYS[2]})",
        f"statistics: fisher of base on the texts of two ({KEYS[3]})",
    ]
    assert "evomerge statistics collect" in str(caught.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"fisher of one on the texts of one"):
        list(Merger(Checkpoints.open(recipe)).stream(recipe))
    with pytest.raises(
        InputError, match=r"names 0; expected 4 \(fisher of every source, fisher of the base on .*told reads"
    ):
        list(Merger(Checkpoints.open(recipe), statistics=source).stream(replace(recipe, statistics=())))
    with pytest.raises(InputError, match=r"names 3; expected 4 .*told reads"):
        Merger(Checkpoints.open(recipe)).plan(replace(recipe, statistics=KEYS[:3]))


def test_rows_of_statistics_are_those_of_the_weights(models: Family, tmp_path: Path) -> None:
    """Where an expert has more tokens, common rows are merged; where tokens are matched, rows have no statistics."""
    base, one, _ = models
    wide = tiny("llama", tmp_path / "wide", 5, vocab_size=264)
    tiny_tokenizer(wide, extra=("<x>", "<y>"))
    recipe = make_recipe("told", [one, wide], base, statistics=KEYS, out_dtype="float32")
    source = collected(recipe, 1.0, 2.0, 4.0, 8.0)
    source.rows[KEYS[1]] = 264
    head = merged(recipe, source)["lm_head.weight"]
    assert head.shape == Checkpoints.open(recipe).reference.specs["lm_head.weight"].shape
    by_token = replace(recipe, tokenizer=Tokenizer("union"))
    assert "lm_head.weight" in merged(by_token, source)


@dataclass
class _Turned:
    """Gram matrices of one matrix that is stored as (inputs, outputs)."""

    grams: dict[str, torch.Tensor]
    name: str

    def missing(self, keys: Iterable[str]) -> tuple[str, ...]:
        return tuple(key for key in keys if key not in self.grams)

    def tensor(self, key: str, name: str) -> torch.Tensor | None:
        return self.grams[key] if name == self.name else None

    def transposed(self, key: str, name: str) -> bool:
        return name == self.name

    def release(self) -> None:
        pass


def test_of_matrices_stored_the_other_way_round_gram_matrices_are_their_diagonals(models: Family) -> None:
    _, one, two = models
    recipe = make_recipe("regmean", [one, two], None, out_dtype="float32", statistics=KEYS[:2])
    checkpoints, square = Checkpoints.open(recipe), "model.layers.0.self_attn.o_proj.weight"
    width = checkpoints.reference.specs[square].shape[0]
    noise = torch.randn(2, 3 * width, width, generator=torch.Generator().manual_seed(0))
    grams = dict(zip(KEYS[:2], (own.t() @ own for own in noise), strict=True))
    merged = Merger(checkpoints, statistics=_Turned(grams, square)).tensor(recipe, square)
    factors = torch.stack([own.diagonal() for own in grams.values()])[:, :, None]
    shares = torch.tensor(recipe.coefficients["weight"][recipe.groups.index(square)]).float()[:, None, None] * factors
    tensors = torch.stack([checkpoints[source].tensor(square) for source in recipe.sources]).float()
    torch.testing.assert_close(merged, (shares * tensors).sum(0) / shares.sum(0))
