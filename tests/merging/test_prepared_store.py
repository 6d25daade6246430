"""Prepared arrays on disk: made once for all processes, within limits, and made again where they cannot be trusted."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import open_source, read_header
from evomerge.merging import Checkpoints, Merger, PreparedSettings
from evomerge.recipe import Recipe
from tests.apart import Apart
from tests.merging.conftest import Family, make_recipe

# Writes every call down in a file, so that calls in other processes are seen too.
METHOD = """
from pathlib import Path

import torch

from evomerge.methods import MergeMethod
from evomerge.recipe import Coefficient

CALLS = Path(__file__).with_name("calls.txt")


def prepare(context, base, models, options):
    assert context.keys == (), "prepared arrays serve every seed"
    with CALLS.open("a") as file:
        file.write(context.name + "\\n")
    mean = sum(model.float() - base.float() for model in models) / len(models)
    return {"mean": mean, "count": torch.tensor(mean.numel(), dtype=torch.uint16)}


def merge(context, sources, coefficients, out):
    assert int(sources.prepared["count"]) == out.numel()
    out.copy_(sources.base.float() + coefficients["lambda"] * sources.prepared["mean"])


METHOD = MergeMethod(
    name="written_down",
    summary="the mean of deltas",
    paper="none",
    merge=merge,
    coefficients=lambda options: (Coefficient("lambda", 0.0, 1.0, 1.0, per_model=False),),
    prepare=prepare,
    prepared_bytes=lambda shape, n_models, options: 4 * torch.Size(shape).numel() + 2,
)
"""

CHILD = """
import hashlib, sys
from evomerge import methods
methods.__path__.append(sys.argv[1])
from evomerge.merging import Merger, PreparedSettings, Checkpoints
from evomerge.recipe import Recipe

recipe = Recipe.load(sys.argv[2])
merger = Merger(Checkpoints.open(recipe), prepared=PreparedSettings(sys.argv[3]))
print(hashlib.sha256(b"".join(t.reshape(-1).float().numpy().tobytes() for _, t in merger.stream(recipe))).hexdigest())
"""


@dataclass
class Setting:
    """A family merged with a method that writes its calls down."""

    recipe: Recipe
    checkpoints: Checkpoints
    code: Path
    folder: Path

    def calls(self) -> list[str]:
        """What was prepared since this was last asked."""
        file = self.code / "calls.txt"
        names = file.read_text().split() if file.exists() else []
        file.unlink(missing_ok=True)
        return names

    def merged(self, prepared: PreparedSettings) -> dict[str, torch.Tensor]:
        return dict(Merger(self.checkpoints, prepared=prepared).stream(self.recipe))

    def child(self) -> tuple[str, ...]:
        """Code and words of a process that does the same."""
        self.recipe.save(self.code / "recipe.json")
        return CHILD, str(self.code), str(self.code / "recipe.json"), str(self.folder)

    def parts(self) -> list[Path]:
        return sorted(self.folder.glob("*.safetensors"))


@pytest.fixture
def setting(family: Callable[..., Family], tmp_path: Path, own_methods: Path) -> Setting:
    (own_methods / "written_down.py").write_text(METHOD, encoding="utf-8")
    base, one, two = family()
    recipe = make_recipe("written_down", [one, two], base)
    known = {ref: replace(ref, fingerprint=open_source(ref.source).fingerprint()) for ref in recipe.sources}
    assert recipe.base is not None
    own = replace(recipe.base, fingerprint=open_source(base).fingerprint())
    recipe = replace(recipe, base=own, sources=tuple(known.values()))
    return Setting(recipe, Checkpoints.open(recipe), own_methods, tmp_path / "prepared")


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_other_processes_prepare_nothing(setting: Setting, apart: Apart) -> None:
    """Neither after the first one nor, waiting for it, at the same time."""
    names = sorted(setting.checkpoints.merged_names)
    words = setting.child()  # once: no process may read the recipe while it is written
    children = [apart.start(*words), apart.start(*words)]
    answers = [child.output() for child in children]
    assert sorted(setting.calls()) == names
    answers.append(apart.run(*words))
    assert setting.calls() == []
    assert len(set(answers)) == 1
    assert len(answers[0]) == 65
    expected = setting.merged(PreparedSettings())
    assert sorted(setting.calls()) == names
    assert same(setting.merged(PreparedSettings(str(setting.folder))), expected)
    assert setting.calls() == []


def test_limits(setting: Setting) -> None:
    """What fits neither on disk nor in memory is prepared anew for each candidate; the result is always the same."""
    expected = setting.merged(PreparedSettings())
    setting.calls()
    names = list(setting.checkpoints.merged_names)
    bounds = {name: 4 * setting.checkpoints.reference.specs[name].numel + 2 for name in names}
    half, whole = sum(bounds.values()) // 2, sum(bounds.values())
    for settings, wanted in (
        (PreparedSettings(str(setting.folder), disk=half, memory=whole), {"disk", "memory"}),
        (PreparedSettings(str(setting.folder), disk=0, memory=half), {"memory", "nowhere"}),
        (PreparedSettings(str(setting.folder), disk=half, memory=0), {"disk", "nowhere"}),
        (PreparedSettings(None, memory=0), {"nowhere"}),
    ):
        for part in setting.parts():
            part.unlink()
        plan = settings.plan(bounds)
        assert set(plan.values()) == wanted
        merger = Merger(setting.checkpoints, prepared=settings)
        again = [name for name in names if plan[name] == "nowhere"]
        kept = [name for name in names if plan[name] != "nowhere"]
        assert same(dict(merger.stream(setting.recipe)), expected)
        assert sorted(setting.calls()) == sorted(kept + again)
        assert same(dict(merger.stream(setting.recipe)), expected)
        assert setting.calls() == again
        on_disk = sum(info.nbytes for part in setting.parts() for info in read_header(part).values())
        assert on_disk == sum(bounds[name] for name in names if plan[name] == "disk") <= settings.disk


def test_a_machine_that_does_not_see_the_runs_folder_keeps_them_in_memory(setting: Setting) -> None:
    """And nothing is left behind on it."""
    expected = setting.merged(PreparedSettings())
    names = setting.calls()
    merger = Merger(setting.checkpoints, prepared=PreparedSettings(str(setting.folder / "prepared")))
    for wanted in (names, []):
        assert same(dict(merger.stream(setting.recipe)), expected)
        assert setting.calls() == wanted
    assert not setting.folder.exists()


def truncate(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-1])


def flip(part: Path) -> None:
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)


def scribble(part: Path) -> None:
    part.write_bytes(b"not what it was")


def empty(part: Path) -> None:
    part.write_bytes(b"")


def unfinished(part: Path) -> None:
    part.rename(part.with_name(f".{part.name}.0123"))


@pytest.mark.parametrize("damage", [truncate, flip, scribble, empty, unfinished])
def test_what_is_broken_is_made_again(setting: Setting, damage: Callable[[Path], None]) -> None:
    settings = PreparedSettings(str(setting.folder))
    expected = setting.merged(settings)
    made = setting.calls()
    (part,) = setting.parts()
    damage(part)
    assert same(setting.merged(settings), expected)
    assert setting.calls() == made
    assert same(setting.merged(settings), expected)
    assert setting.calls() == []
    assert len(setting.parts()) == 1
    assert not list(setting.folder.glob(".*"))


def test_what_is_of_something_else_is_made_again(setting: Setting) -> None:
    """Of other models, of another type of numbers, or of other code; never of another seed."""
    settings = PreparedSettings(str(setting.folder))
    recipe, names = setting.recipe, list(setting.checkpoints.merged_names)
    setting.merged(settings)
    setting.calls()
    for changed, expected in (
        (replace(recipe, seed=1), []),
        (replace(recipe, sources=recipe.sources[::-1]), names),
        (replace(recipe, dtype="bfloat16"), names),
    ):
        setting.recipe = changed
        setting.merged(settings)
        assert setting.calls() == expected
    (setting.code / "written_down.py").write_text(METHOD + "\n# another method now\n", encoding="utf-8")
    setting.merged(settings)
    assert setting.calls() == names
    assert len(setting.parts()) == 1


def test_models_that_are_known_by_their_place_alone_are_never_on_disk(setting: Setting) -> None:
    models = tuple(replace(ref, fingerprint=None) for ref in setting.recipe.sources)
    recipe = replace(setting.recipe, sources=models)
    dict(Merger(Checkpoints.open(recipe), prepared=PreparedSettings(str(setting.folder))).stream(recipe))
    assert setting.parts() == []


def test_no_folder_can_be_made(setting: Setting) -> None:
    """Arrays then stay in memory, as on a full disk."""
    expected = setting.merged(PreparedSettings())
    setting.folder.write_text("a file is in the way")
    with pytest.warns(UserWarning, match="stay in memory, as they cannot be kept on disk"):
        assert same(setting.merged(PreparedSettings(str(setting.folder))), expected)


def test_a_full_disk(setting: Setting) -> None:
    """Arrays that cannot be written stay in memory, and nothing half written is left behind."""
    expected = setting.merged(PreparedSettings())
    setting.calls()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    merger = Merger(setting.checkpoints, prepared=PreparedSettings(str(setting.folder)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.warns(UserWarning, match="stay in memory, as they cannot be kept on disk"):
            result = dict(merger.stream(setting.recipe))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert same(result, expected)
    assert len(setting.calls()) == len(setting.checkpoints.merged_names)
    assert same(dict(merger.stream(setting.recipe)), expected)
    assert setting.calls() == []
    assert list(setting.folder.iterdir()) == []
