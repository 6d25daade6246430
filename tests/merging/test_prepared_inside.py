"""Methods of recipes inside of recipes prepare once for all candidates, within the limits that hold for all."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import open_source, read_header
from evomerge.lease import Lease
from evomerge.merging import Checkpoints, Merger, PreparedSettings, footprint
from evomerge.merging.plan import RecipeSource
from evomerge.recipe import CheckpointRef, Recipe
from tests.apart import Apart
from tests.merging.conftest import Family, make_recipe
from tests.merging.test_prepared_store import CHILD, METHOD


@dataclass
class Inside:
    """Recipes with a method inside that writes its calls down, by a letter for each option."""

    outer: Recipe
    inner: Recipe
    checkpoints: Checkpoints
    code: Path
    folder: Path

    def calls(self) -> Counter[str]:
        """How often each tensor was prepared since this was last asked."""
        file = self.code / "calls.txt"
        names = file.read_text().split() if file.exists() else []
        file.unlink(missing_ok=True)
        return Counter(names)

    def merger(self, **limits: int) -> Merger:
        return Merger(self.checkpoints, prepared=PreparedSettings(str(self.folder), **limits))

    def once(self, times: int = 1) -> Counter[str]:
        return Counter(dict.fromkeys(self.checkpoints.merged_names, times))

    def candidates(self, outer: Recipe | None = None) -> Iterator[Recipe]:
        """Three recipes that differ in outer coefficients alone."""
        outer = outer or self.outer
        for scale in (1.0, 0.75, 0.5):
            yield replace(outer, coefficients={name: own * scale for name, own in outer.coefficients.items()})

    def bounds(self) -> dict[str, int]:
        """Bytes that the method prepares for each tensor."""
        specs = self.checkpoints.reference.specs
        return {name: 4 * specs[name].numel + 2 for name in self.checkpoints.merged_names}

    def stored(self) -> int:
        """Bytes of arrays on disk, of whatever method."""
        return sum(info.nbytes for part in self.folder.rglob("part-*") for info in read_header(part).values())

    def parts(self) -> list[Path]:
        return sorted(self.folder.glob("*/part-*.safetensors"))


def merged(merger: Merger, recipe: Recipe) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in merger.stream(recipe)}


def scaled(recipe: Recipe, factor: float) -> Recipe:
    return replace(recipe, coefficients={name: own * factor for name, own in recipe.coefficients.items()})


@pytest.fixture
def inside(family: Callable[..., Family], tmp_path: Path, own_methods: Path) -> Inside:
    return one_inside(family(), tmp_path / "prepared", own_methods)


def one_inside(family: Family, folder: Path, own_methods: Path) -> Inside:
    """A merge of an expert with a merge."""
    (own_methods / "written_down.py").write_text(METHOD, encoding="utf-8")
    base, one, two = family
    inner = make_recipe("written_down", [one, two], base)
    known = {ref: replace(ref, fingerprint=open_source(ref.source).fingerprint()) for ref in inner.models}
    assert isinstance(inner.base, CheckpointRef)
    own = replace(inner.base, fingerprint=open_source(base).fingerprint())
    inner = replace(inner, base=own, sources=tuple(known.values()))
    plain = make_recipe("task_arithmetic", [one, two], base)
    outer = replace(plain, base=inner.base, sources=(inner, inner.sources[1]))
    return Inside(outer, inner, Checkpoints.open(outer), own_methods, folder)


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("outer", ["task_arithmetic", "ties", "tsvm", "linear"])
def test_once_for_all_candidates(inside: Inside, outer: str) -> None:
    """Whatever the outer method prepares or surveys, and with baselines in between."""
    options = {"scope": "global"} if outer == "ties" else {}
    like = make_recipe(outer, [Path("a"), Path("b")], Path("c"), options=options)
    base = None if outer == "linear" else inside.outer.base
    recipe = replace(like, base=base, sources=inside.outer.sources)
    baseline = replace(make_recipe("linear", [Path("a")]), sources=(inside.inner,))
    merger = inside.merger()
    merged(merger, baseline)
    assert inside.calls() == inside.once()
    for candidate in inside.candidates(recipe):
        merged(merger, candidate)
        merged(merger, baseline)
        assert inside.calls() == Counter()


def test_a_recipe_inside_is_merged_once_for_candidates_that_share_it(inside: Inside) -> None:
    """From the second one on, on disk and in memory, and where there is room for a part of it alone."""
    expected = [merged(Merger(inside.checkpoints), candidate) for candidate in inside.candidates()]
    names = inside.checkpoints.merged_names
    stored = sum(inside.checkpoints.reference.specs[name].nbytes for name in names)
    room = stored + sum(inside.bounds().values())
    for limits, least, most in (
        ({}, len(names), len(names)),
        ({"disk": 0}, len(names), len(names)),
        ({"disk": room - stored // 2, "memory": 0}, 1, len(names) - 1),
        ({"disk": 0, "memory": 0}, 0, 0),
    ):
        merger = inside.merger(**limits)
        found = [merged(merger, candidate) for candidate in inside.candidates()]
        assert all(map(same, found, expected))
        (source,) = [one for one in merger.outputs(inside.outer).sources if isinstance(one, RecipeSource)]
        assert least <= sum(map(source.in_place, names)) <= most
        assert inside.stored() <= limits.get("disk", room)
        shutil.rmtree(inside.folder, ignore_errors=True)
    other = replace(inside.outer, sources=(scaled(inside.inner, 0.5), inside.inner.sources[1]))
    merger = inside.merger()
    for recipe in (inside.outer, other, inside.outer):
        merged(merger, recipe)
    (source,) = [one for one in merger.outputs(inside.outer).sources if isinstance(one, RecipeSource)]
    assert not any(map(source.in_place, names)), "of candidates that each have another inside nothing is kept"


@pytest.mark.parametrize("goes_on", [False, True])
def test_models_that_only_other_recipes_need_are_forgotten(inside: Inside, goes_on: bool) -> None:
    """Their files too, also where another process has left them; a model inside of the one at hand stays."""
    names = inside.checkpoints.merged_names
    stored = sum(inside.checkpoints.reference.specs[name].nbytes for name in names)
    two = inside.inner.sources[1]
    inner = replace(inside.outer, sources=(inside.inner.sources[0], two))  # a method that prepares nothing
    merger = inside.merger()
    for factor in (1.0, 0.5):
        for candidate in inside.candidates(replace(inside.outer, sources=(scaled(inner, factor), two))):
            merged(merger, candidate)
        assert inside.stored() == stored
        merger = inside.merger() if goes_on else merger
    middle = replace(inside.outer, sources=(scaled(inner, 0.5), two))
    for candidate in inside.candidates(replace(inside.outer, sources=(middle, two))):
        found = merged(merger, candidate)
        assert same(found, merged(Merger(inside.checkpoints), candidate))
    assert inside.stored() == 2 * stored


@pytest.mark.parametrize("limits", [{"memory": 0}, {"disk": 0}])
def test_models_make_room_for_those_that_are_made_of_them(inside: Inside, limits: dict[str, int]) -> None:
    """As in a later round of a search, where there is room for one model."""
    names = inside.checkpoints.merged_names
    stored = sum(inside.checkpoints.reference.specs[name].nbytes for name in names)
    two = inside.inner.sources[1]
    inner = replace(inside.outer, sources=(inside.inner.sources[0], two))  # a method that prepares nothing
    middle = replace(inside.outer, sources=(inner, two))
    merger = inside.merger(**{"disk": stored, "memory": stored, **limits})
    for recipe in (replace(inside.outer, sources=(inner, two)), replace(inside.outer, sources=(middle, two))):
        found = [merged(merger, candidate) for candidate in inside.candidates(recipe)]
        assert all(map(same, found, [merged(Merger(inside.checkpoints), one) for one in inside.candidates(recipe)]))
        (source,) = [one for one in merger.outputs(recipe).sources if isinstance(one, RecipeSource)]
        assert all(map(source.in_place, names))
        assert inside.stored() == (0 if "disk" in limits else stored)


def test_at_any_depth(inside: Inside) -> None:
    """What is prepared for the middle of three takes the innermost model, and that is prepared once too."""
    middle = replace(inside.inner, sources=(inside.inner, inside.inner.sources[1]))
    recipe = replace(inside.outer, sources=(middle, inside.outer.sources[1]))
    merger = inside.merger()
    for candidate in inside.candidates(recipe):
        merged(merger, candidate)
    assert inside.calls() == inside.once(2), "once inside, and once in the middle"


def test_inner_recipes_that_differ_in_coefficients_share_it(inside: Inside) -> None:
    merger = inside.merger()
    both = replace(inside.outer, sources=(inside.inner, scaled(inside.inner, 0.5)))
    nothing = Merger(inside.checkpoints, prepared=PreparedSettings(disk=0, memory=0))
    expected = merged(nothing, both)
    inside.calls()
    assert same(merged(merger, both), expected)
    merged(merger, replace(both, sources=(scaled(inside.inner, 0.25), inside.inner)))
    assert inside.calls() == inside.once()


@pytest.mark.parametrize("method", ["consensus", "swudi"])
def test_what_nothing_is_prepared_for_is_read_by_the_merge_alone(inside: Inside, method: str) -> None:
    """The inner method's arrays never find room, so it prepares what is read, until the inner model is kept."""
    anew = METHOD.replace("written_down", "read_anew").replace("4 * torch.Size(shape).numel()", "1 << 60")
    (inside.code / "read_anew.py").write_text(anew, encoding="utf-8")
    sources = (replace(inside.inner, method="read_anew"), inside.inner.sources[1])
    like = make_recipe(method, [Path("a"), Path("b")], Path("c"))
    recipe = replace(like, base=inside.outer.base, sources=sources)
    merger = inside.merger()
    prepared = merger.outputs(recipe).prepared
    assert prepared.keys() < inside.once().keys()
    assert bool(prepared) == (method == "swudi")
    expected = [inside.once() + Counter(prepared.keys()), inside.once(), Counter[str]()]
    for candidate, calls in zip(inside.candidates(recipe), expected, strict=True):
        merged(merger, candidate)
        assert inside.calls() == calls


def test_a_method_that_prepares_nothing_leaves_alone_what_others_have_prepared(inside: Inside) -> None:
    """Though it could prepare, under other options."""
    like = make_recipe("consensus", [Path("a"), Path("b")], Path("c"))
    other = replace(like, base=inside.inner.base, sources=inside.inner.sources)
    merger = inside.merger(disk=0)
    merged(merger, inside.inner)
    assert inside.calls() == inside.once()
    merged(merger, other)
    merged(merger, inside.inner)
    assert inside.calls() == Counter()
    assert not inside.folder.exists()


def test_limits_hold_for_all_methods_together(inside: Inside) -> None:
    """What finds no room is prepared anew for each candidate, with the same result."""
    recipe = replace(inside.inner, sources=inside.outer.sources)  # the same method outside, with other models
    expected = merged(inside.merger(), recipe)
    inside.calls()
    own = sum(inside.bounds().values())
    for disk, memory, kept in ((3 * own // 2, 0, 1.5), (own, own, 2.0), (0, own, 1.0), (0, 0, 0.0)):
        for part in (*inside.parts(), *inside.folder.glob("part-*")):
            part.unlink()
        merger = inside.merger(disk=disk, memory=memory)
        assert same(merged(merger, recipe), expected)
        inside.calls()
        stored = inside.stored()
        assert same(merged(merger, recipe), expected)
        again = sum(inside.calls().values())
        assert stored <= inside.stored() <= disk, "a second candidate keeps the inner model in what room is left"
        places = footprint(
            inside.checkpoints, recipe, prepared=PreparedSettings(str(inside.folder), disk=disk, memory=memory)
        ).prepared
        assert sum(places.values()) == 2 * own
        assert places["disk"] == stored
        assert places["memory"] <= memory
        assert (again == 0) == (kept == 2.0)
        assert (places["nowhere"] == 0) == (again == 0)


def test_limits_hold_when_recipes_change(inside: Inside) -> None:
    """What only the last recipe needed makes room for what this one's own method prepares, or is counted."""
    turned, rounded = replace(inside.inner, sources=inside.inner.sources[::-1]), replace(inside.inner, dtype="bfloat16")
    both = replace(inside.outer, sources=(inside.inner, turned))
    own = sum(inside.bounds().values())
    merger = inside.merger(disk=2 * own, memory=0)
    merged(merger, replace(inside.inner, sources=both.sources))
    assert inside.stored() == 2 * own
    inside.calls()
    one = replace(inside.inner, sources=inside.outer.sources)
    for again in (inside.once(), Counter[str]()):
        merged(merger, one)
        assert inside.stored() == 2 * own
        assert inside.calls() == again
    merged(merger, replace(inside.outer, sources=(turned, inside.outer.sources[1])))
    assert inside.stored() == 2 * own, "the outer method's, which may come again, and one of those inside"
    inside.folder = inside.folder.with_name("elsewhere")
    merger = inside.merger(disk=own, memory=own)
    merged(merger, both)
    assert len(inside.parts()) == 1
    inside.calls()
    merged(merger, replace(both, sources=(turned, rounded)))
    assert inside.calls() == inside.once()
    assert inside.stored() == own, "there is room on disk alone, as the first of them is still in memory"
    merged(merger, replace(both, sources=(turned, rounded)))
    assert inside.calls() == Counter()


def test_what_found_no_room_finds_it_once_there_is_some(inside: Inside) -> None:
    turned = replace(inside.inner, sources=inside.inner.sources[::-1])
    merger = inside.merger(disk=sum(inside.bounds().values()), memory=0)
    merged(merger, replace(inside.outer, sources=(inside.inner, turned)))
    assert inside.calls() == inside.once(2)
    rounded = replace(inside.inner, dtype="bfloat16")
    merged(merger, replace(inside.outer, sources=(turned, rounded)))
    assert inside.calls() == inside.once(2)
    merged(merger, replace(inside.outer, sources=(turned, inside.outer.sources[1])))
    assert inside.calls() == Counter()


def test_other_processes_prepare_nothing(inside: Inside, apart: Apart) -> None:
    """Neither at the same time nor later."""
    path = inside.code / "recipe.json"
    inside.outer.save(path)
    child = (CHILD, str(inside.code), str(path), str(inside.folder))
    inside.folder.mkdir()
    children = [apart.start(*child), apart.start(*child)]
    answers = {other.output() for other in children}
    assert inside.calls() == inside.once()
    answers.add(apart.run(*child))
    assert inside.calls() == Counter()
    assert len(answers) == 1


def test_a_process_that_begins_with_a_baseline_leaves_the_outer_methods_files(inside: Inside) -> None:
    """As workers do that join later: they are compared with the first one by a baseline."""
    recipe = replace(inside.inner, sources=inside.outer.sources)
    merged(inside.merger(), recipe)
    inside.calls()
    later = inside.merger()
    merged(later, replace(make_recipe("linear", [Path("a")]), sources=(inside.inner,)))
    merged(later, recipe)
    assert inside.calls() == Counter()


def test_it_is_forgotten_when_others_are_needed(inside: Inside) -> None:
    """So that recipes which change with every candidate do not fill the disk; what all of them need stays."""
    merger = inside.merger()
    turned = replace(inside.inner, sources=inside.inner.sources[::-1])
    both = replace(inside.outer, sources=(inside.inner, turned))
    merged(merger, inside.outer)
    (first,) = inside.parts()
    merged(merger, both)
    assert inside.calls() == inside.once(2)
    assert len(inside.parts()) == 2
    assert first in inside.parts(), "what was there is not made again"
    merged(merger, replace(inside.outer, sources=(turned, inside.outer.sources[1])))
    assert inside.calls() == Counter()
    rounded = replace(inside.inner, dtype="bfloat16")
    merged(merger, replace(inside.outer, sources=(rounded, inside.outer.sources[1])))
    assert inside.calls() == inside.once()
    assert len(inside.parts()) == 1
    assert first not in inside.parts()
    merged(merger, both)
    assert inside.calls() == inside.once(2)


def test_what_another_worker_writes_just_now_is_left_to_it(inside: Inside) -> None:
    folder = inside.folder / "inside-0123456789abcdef"
    folder.mkdir(parents=True)
    lease = Lease.take(folder)
    merger = inside.merger()
    merged(merger, inside.outer)
    assert folder.is_dir()
    lease.release()
    merged(merger, replace(inside.outer, sources=(replace(inside.inner, dtype="bfloat16"), inside.outer.sources[1])))
    assert not folder.exists()


def test_without_a_folder_it_stays_in_memory(inside: Inside) -> None:
    merger = inside.merger()
    inside.folder = inside.folder / "of a machine" / "that does not see the run"
    elsewhere = inside.merger()
    for one in (merger, elsewhere, Merger(inside.checkpoints)):
        for candidate in inside.candidates():
            merged(one, candidate)
        assert inside.calls() == inside.once()
    assert not inside.folder.parent.exists()
