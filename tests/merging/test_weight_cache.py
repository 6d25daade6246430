"""Weights that stay on a device and weights that are streamed to it: the CPU stands in for the device here.

What runs is the code that a GPU would run, with copies in place of mapped files and no streams to wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger, WeightCache
from evomerge.merging.plan.inputs import Input
from evomerge.recipe import Recipe
from tests.merging.conftest import Family, make_recipe

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Noted(Input):
    """Notes when it is read."""

    notes: list[str] = field(default_factory=list)

    def read(self) -> torch.Tensor:
        self.notes.append(f"read {self.name}")
        return super().read()


def all_of(folder: Path, notes: list[str]) -> list[tuple[Noted, ...]]:
    checkpoint = open_source(folder)
    return [(Noted(checkpoint, name, torch.float32, notes=notes),) for name in checkpoint.specs]


def recipes(base: Path, one: Path, two: Path) -> list[Recipe]:
    """One pass, several passes (a survey that goes on asking), inputs that are rounded, and a frozen or copied rest."""
    return [
        make_recipe("task_arithmetic", [one, two], base),
        make_recipe("ties", [one, two], base, options={"scope": "global", "tie": "majority"}),
        make_recipe("task_arithmetic", [one, two], base, dtype="bfloat16"),
        make_recipe("linear", [two]),
    ]


@pytest.mark.parametrize("share", [0.0, 0.4, 10.0], ids=["all streamed", "some stay", "all stay"])
@pytest.mark.parametrize("model_type", ["llama", "mixtral"])
def test_candidates_are_the_same(family: Callable[..., Family], share: float, model_type: str) -> None:
    folders = family(model_type, torch.float32)
    wanted = recipes(*folders)
    checkpoints = Checkpoints.open(wanted[0])
    budget = int(share * sum(info.nbytes for info in checkpoints.reference.specs.values()))
    merger = Merger(checkpoints, weights=WeightCache(CPU, budget=budget))
    live, plain = LiveModel.load(folders[0]), LiveModel.load(folders[0])
    for recipe in (*wanted, *wanted[::-1]):
        live.install(merger, recipe)
        plain.install(Merger(checkpoints), recipe)
        assert live.checksum() == plain.checksum()
    before = {ref.source: checkpoint.fingerprint() for ref, checkpoint in checkpoints.by_ref.items()}
    assert before == {str(folder): open_source(folder).fingerprint() for folder in folders}


def test_one_group_ahead(family: Callable[..., Family]) -> None:
    """While one group is worked on the next one is on its way, and no more than that."""
    notes: list[str] = []
    groups = all_of(family()[0], notes)
    names = [group[0].name for group in groups]
    for name, _ in zip(names, WeightCache(CPU, budget=0).each(groups), strict=True):
        notes.append(f"work {name}")
    expected = [f"read {names[0]}"]
    for name, following in zip(names, [*names[1:], None], strict=True):
        expected += ([f"read {following}"] if following else []) + [f"work {name}"]
    assert notes == expected


def test_what_stays_is_read_once_and_stays_within_the_budget(family: Callable[..., Family]) -> None:
    notes: list[str] = []
    groups = all_of(family()[0], notes)
    sizes = {group[0].name: group[0].read().nbytes for group in groups}
    notes.clear()
    budget = sum(sizes.values()) // 2
    cache = WeightCache(CPU, budget=budget)
    first = [tensor.clone() for (tensor,) in cache.each(groups)]
    assert len(notes) == len(groups)
    notes.clear()
    again = [tensor.clone() for (tensor,) in cache.each(groups)]
    streamed = [note.removeprefix("read ") for note in notes]
    staying = sum(size for name, size in sizes.items() if name not in streamed)
    assert budget - max(sizes.values()) < staying <= budget
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))


def test_on_the_cpu_files_are_read_in_place(family: Callable[..., Family]) -> None:
    checkpoint = open_source(family()[0])
    name = "model.norm.weight"
    (found,) = next(WeightCache(CPU).each([(Input(checkpoint, name, torch.float32),)]))
    assert found.data_ptr() == checkpoint.tensor(name).data_ptr()


def test_passes_inside_passes_and_passes_left_early(family: Callable[..., Family]) -> None:
    groups = all_of(family()[0], [])
    cache = WeightCache(CPU, budget=0)
    expected = [group[0].read().clone() for group in groups]
    for outer, (tensor,) in zip(expected, cache.each(groups), strict=True):
        for inner, (other,) in zip(expected, cache.each(groups), strict=True):
            assert torch.equal(inner, other)
            if inner is expected[2]:
                break
        assert torch.equal(outer, tensor)
    assert len(cache._idle) <= 2, "buffers are used again"


def test_any_device(family: Callable[..., Family]) -> None:
    """Nothing but the device's own memory is asked for what arrives there."""
    groups = all_of(family()[0], [])
    arrived = [tensor for (tensor,) in WeightCache(torch.device("meta"), budget=0).each(groups)]
    assert {tensor.device.type for tensor in arrived} == {"meta"}
    assert [tuple(tensor.shape) for tensor in arrived] == [tuple(group[0].read().shape) for group in groups]


@pytest.mark.parametrize("budget", [None, 0])
def test_a_tensor_that_is_not_there(family: Callable[..., Family], budget: int | None) -> None:
    checkpoint = open_source(family()[0])
    with pytest.raises(InputError, match="has no tensor 'nothing'"):
        list(WeightCache(CPU, budget=budget).each([(Input(checkpoint, "nothing"),)]))


def test_arrays_share_the_room_and_give_it_back(family: Callable[..., Family]) -> None:
    (group, *_) = all_of(family()[0], [])
    nbytes = group[0].read().nbytes
    arrays = [torch.arange(50, dtype=torch.int32), torch.ones(50, dtype=torch.int32)]
    cache = WeightCache(CPU, budget=nbytes + 300)
    (tensor,) = next(cache.each([group]))
    assert cache.stays(group)
    first = cache.array("first", arrays[0])
    assert torch.equal(first, arrays[0])
    assert cache.array("first", arrays[0]) is first, "it stays"
    for _ in range(2):
        found = cache.array("second", arrays[1])
        assert torch.equal(found, arrays[1])
    assert cache.array("second", arrays[1]) is not found, "there is no room"
    cache.forget_arrays()
    assert torch.equal(cache.array("first", arrays[1]), arrays[1])
    assert cache.array("first", arrays[1]) is cache.array("first", arrays[1]), "there is room again"
    assert cache.stays(group)
    assert torch.equal(tensor, group[0].read())


@pytest.mark.parametrize("share", [0.0, 0.4, 10.0], ids=["no room", "some", "all stay"])
def test_prepared_arrays_beside_the_weights(family: Callable[..., Family], share: float) -> None:
    """Ranks of one method must not be taken for those of the next."""
    base, one, two = family()
    recipes = [
        make_recipe("della", [one, two], base),
        make_recipe("breadcrumbs", [two, one], base),
        make_recipe("della", [two], base),
    ]
    checkpoints = Checkpoints.open(recipes[0])
    budget = int(share * sum(info.nbytes for info in checkpoints.reference.specs.values()))
    cache = WeightCache(CPU, budget=budget)
    merger = Merger(checkpoints, weights=cache)
    live, plain = LiveModel.load(base), LiveModel.load(base)
    for recipe in (*recipes, *recipes):
        live.install(merger, recipe)
        plain.install(Merger(checkpoints), recipe)
        assert live.checksum() == plain.checksum()
        staying = sum(tensor.nbytes for kept in (cache._staying, cache._arrays) for tensor in kept.values())
        assert staying <= budget
    assert bool(cache._arrays) == (share == 10.0)
    assert bool(merger._commons[True].inputs) == bool(cache._staying)
