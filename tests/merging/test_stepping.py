"""Steps after the merge in the merge loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evomerge import post
from evomerge.contracts.method_cases import same_bits
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger, NonFinite, footprint
from evomerge.recipe import OutputLayer, PostStep, Recipe
from tests.merging.conftest import Family, by_layer, make_recipe

Tensors = dict[str, torch.Tensor]
HALF = PostStep("scale", {}, {"factor": np.full(3, 0.5)})
LINES = PostStep("lines", {"alpha_from": "value"}, {"alpha": np.full(3, 0.5), "beta": np.full(3, 0.25)})
NORM = PostStep("lines", {"alpha_from": "norm"}, {"beta": np.full(3, 0.25)})
IDLE = (
    PostStep("scale", {}, {"factor": np.ones(3)}),
    PostStep("lines", {"alpha_from": "value"}, {"alpha": np.ones(3), "beta": np.zeros(3)}),
    PostStep("sparsify", {}, {"density": np.ones(3)}),
)


def merged(recipe: Recipe, merger: Merger | None = None) -> Tensors:
    return {name: tensor.clone() for name, tensor in (merger or Merger(Checkpoints.open(recipe))).stream(recipe)}


@pytest.fixture
def models(family: Callable[..., Family]) -> Family:
    return family()


def recipe_of(models: Family, *steps: PostStep, method: str = "ties", **fields: object) -> Recipe:
    base, one, two = models
    return make_recipe(method, [one, two], base, post=steps, out_dtype="float32", **fields)


@pytest.fixture
def own_steps(tmp_path: Path) -> Iterator[Path]:
    """A folder in which a test may write steps of its own."""
    folder = tmp_path / "post"
    folder.mkdir()
    post.__path__.append(str(folder))
    yield folder
    post.__path__.remove(str(folder))
    for path in folder.glob("*.py"):
        sys.modules.pop(f"evomerge.post.{path.stem}", None)


@pytest.mark.parametrize("method", ["ties", "linear", "slerp", "model_stock"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_steps_that_change_nothing_leave_every_bit(models: Family, method: str, dtype: str) -> None:
    plain = replace(recipe_of(models, method=method), out_dtype=dtype)
    with_idle = merged(replace(plain, post=IDLE))
    assert all(same_bits(tensor, with_idle[name]) for name, tensor in merged(plain).items())


def test_steps_act_on_the_merged_delta_of_any_method(models: Family) -> None:
    for method in ("linear", "ties"):
        whole, half = merged(recipe_of(models, method=method)), merged(recipe_of(models, HALF, method=method))
        source = Checkpoints.open(recipe_of(models)).reference
        for name, tensor in half.items():
            own = source.tensor(name).float()
            assert (tensor - (own + 0.5 * (whole[name] - own))).abs().max() < 1e-6, name


def test_steps_run_in_their_order(models: Family) -> None:
    """Sparsified elements keep their values when half of them come before or after, but norms do not."""
    trim = PostStep("sparsify", {"rescale": "none"}, {"density": np.full(3, 0.5)})
    first, last = merged(recipe_of(models, NORM, trim)), merged(recipe_of(models, trim, NORM))
    assert any(not torch.equal(first[name], last[name]) for name in first)
    assert all(
        torch.equal(tensor, other)
        for tensor, other in zip(
            merged(recipe_of(models, HALF, trim)).values(), merged(recipe_of(models, trim, HALF)).values(), strict=True
        )
    )


def test_alpha_of_the_uniform_average_is_one(models: Family) -> None:
    """The merged delta is the mean delta, so with beta 0 nothing changes but by rounding."""
    flat = PostStep("lines", {"alpha_from": "norm"}, {"beta": np.zeros(3)})
    even = {"weight": [[0.5, 0.5]] * 3}
    plain = merged(recipe_of(models, method="linear", coefficients=even))
    stepped = merged(recipe_of(models, flat, method="linear", coefficients=even))
    assert all((tensor - stepped[name]).abs().max() < 1e-6 for name, tensor in plain.items())


def test_what_is_measured_does_not_depend_on_what_came_before(models: Family) -> None:
    """One merger for several candidates, some of them again, gives what a new one gives."""
    candidates = [
        recipe_of(models, NORM), recipe_of(models, LINES), recipe_of(models),
        recipe_of(models, NORM, coefficients={"density": [[0.3, 0.4]] * 3}),
        recipe_of(models, HALF, NORM),
    ]  # fmt: skip
    merger = Merger(Checkpoints.open(candidates[0]))
    for recipe in (*candidates, *reversed(candidates)):
        again, alone = merged(recipe, merger), merged(recipe)
        assert all(same_bits(tensor, again[name]) for name, tensor in alone.items())


def test_pushes_with_kept_directions_are_those_of_a_merger_that_keeps_none(models: Family) -> None:
    """Other draws, the other expert, and both at once, after each other in one merger."""
    kept = Merger(Checkpoints.open(recipe_of(models)))
    size = {"size": np.full(len(recipe_of(models).groups.groups), 0.1)}
    for pushed in (("0", "1:1"), ("0", "2:1,mean:0.5"), ("1", "1:1"), ("0", "3:1", "1", "4:1")):
        steps = [
            PostStep("svd_push", {"model": int(model), "draws": draws}, size)
            for model, draws in zip(pushed[::2], pushed[1::2], strict=True)
        ]
        recipe = recipe_of(models, *steps)
        ours, anew = merged(recipe, kept), merged(recipe)
        assert all(torch.equal(ours[name], anew[name]) for name in anew)
        assert any(not torch.equal(ours[name], own) for name, own in merged(recipe_of(models)).items())


def test_keys_follow_what_bytes_depend_on(models: Family) -> None:
    """A factor of one layer changes the tensors of that layer, and where a step measures the model all tensors."""

    def changed(one: Recipe, other: Recipe) -> set[str]:
        merger = Merger(Checkpoints.open(one))
        first, second = merger.plan(one).keys(), merger.plan(other).keys()
        return {name for name in first if first[name] != second[name]}

    other = PostStep("scale", {}, {"factor": np.array([0.5, 0.6, 0.5])})
    in_layer = changed(recipe_of(models, HALF), recipe_of(models, other))
    assert in_layer
    assert all(".layers.1." in name for name in in_layer)
    every = set(Merger(Checkpoints.open(recipe_of(models))).plan(recipe_of(models)).outputs.merged)
    assert changed(recipe_of(models, HALF, NORM), recipe_of(models, other, NORM)) >= every
    assert changed(recipe_of(models), recipe_of(models, HALF)) >= every


def test_a_live_model_is_each_candidate(models: Family) -> None:
    """Installed one after the other, in place, with tensors that stay."""
    merger, live = Merger(Checkpoints.open(recipe_of(models))), LiveModel.load(models[0])
    for recipe in (recipe_of(models, NORM), recipe_of(models), recipe_of(models, HALF), recipe_of(models, NORM)):
        live.install(merger, recipe)
        state = live.model.state_dict()
        for name, tensor in merged(recipe).items():
            assert torch.equal(state[name], tensor), name


def test_the_base_stays_where_nothing_was_added(models: Family) -> None:
    """Bit by bit, negative zeros too: experts that are the base have a delta of zeros."""
    base, *_ = models
    recipe = make_recipe("task_arithmetic", [base, base], base, post=(NORM, HALF), out_dtype="float32")
    source = Checkpoints.open(recipe).reference
    for name, tensor in merged(recipe).items():
        assert same_bits(tensor, source.tensor(name).float()), name


def test_a_base_is_needed(models: Family) -> None:
    _, one, two = models
    recipe = make_recipe("linear", [one, two], post=(HALF,))
    with pytest.raises(InputError, match="post names scale, which take the merged model minus its base"):
        Merger(Checkpoints.open(recipe)).plan(recipe)
    layers = (OutputLayer(((0, 0), (1, 0))),)
    recipe = replace(recipe_of(models, HALF, method="linear"), layers=layers)
    with pytest.raises(InputError, match="names no layer of the base; set base in its layers"):
        Merger(Checkpoints.open(recipe)).plan(recipe)


def test_all_that_is_wrong_is_told(models: Family) -> None:
    steps = (
        PostStep("line"),
        PostStep("scale", {"by": 2}),
        PostStep("sparsify", {}, {"density": np.full(3, 1.5)}),
        PostStep("scale", {}, {"facto": np.ones(3)}),
    )
    merger = Merger(Checkpoints.open(recipe_of(models)))
    with pytest.raises(InputError) as caught:
        merger.plan(recipe_of(models, *steps[:2]))
    assert len(caught.value.problems) == 2
    assert "did you mean 'lines'" in caught.value.problems[0]
    with pytest.raises(InputError) as caught:
        merger.plan(recipe_of(models, *steps[2:]))
    told = caught.value.problems
    assert "post[0]: step sparsify: coefficient 'density' goes up to 1.5, above 1" in told
    assert any("post[1]: step scale: there is no coefficient 'facto'; did you mean 'factor'" in one for one in told)


def test_not_finite_is_told_of_the_tensor_that_is(models: Family) -> None:
    recipe = recipe_of(
        models, NORM, method="task_arithmetic", coefficients={"weight": [[0.5, 0.5], [1e39, 1], [0.5, 0.5]]}
    )
    with pytest.raises(NonFinite, match=r"layers\.1\."):
        merged(recipe)


def test_the_merged_delta_is_in_the_forecast(models: Family) -> None:
    plain, stepped = (
        replace(recipe_of(models), out_dtype="bfloat16"),
        replace(recipe_of(models, HALF), out_dtype="bfloat16"),
    )
    checkpoints = Checkpoints.open(plain)
    largest = max(spec.numel for spec in Merger(checkpoints).plan(plain).specs.values())
    before, after = (footprint(checkpoints, recipe, model_dtype="bfloat16").working for recipe in (plain, stepped))
    assert after - before == 4 * largest


def test_a_recipe_with_steps_is_a_source(models: Family) -> None:
    """A merge of a merge: the inner one with its steps, as if it had been written to a folder."""
    base, one, _ = models
    inner = recipe_of(models, NORM)
    outer = make_recipe("linear", [one, base], base, groups=by_layer(), coefficients={"weight": [[0, 1]] * 3})
    outer = replace(outer, sources=(outer.sources[0], inner), out_dtype="float32")
    direct = merged(inner)
    assert all(torch.equal(tensor, direct[name]) for name, tensor in merged(outer).items())


def test_a_number_of_a_model_that_is_not_there_is_told_at_once(models: Family) -> None:
    recipe = recipe_of(models, HALF, PostStep("svc", {"target": 2}, {"alpha": np.ones(3)}))
    with pytest.raises(InputError, match=r"post\[1\]: step svc: option target is 2, but there are 2 models"):
        Merger(Checkpoints.open(recipe)).plan(recipe)
    recipe = replace(recipe, method="linear", layers=(OutputLayer(((0, 0),), base=0), OutputLayer(((0, 1),), base=1)))
    recipe = replace(recipe, post=(PostStep("svc", {"target": 1}, {"alpha": np.ones(3)}),))
    with pytest.raises(InputError, match=r"layers\.0\..*: option target is 1, but there are 1 models"):
        Merger(Checkpoints.open(recipe)).plan(recipe)


def test_keys_have_what_a_survey_depends_on(models: Family, own_steps: Path) -> None:
    """A survey sees all tensors that are merged: with one layer frozen it sees fewer."""
    (own_steps / "count.py").write_text(
        "from evomerge.post import PostProcess\n"
        "STEP = PostProcess('count', 'times the number of tensors', 'nowhere', survey=lambda tensors, options: "
        "len(list(tensors)),\n    apply=lambda context, sources, delta, values: delta * context.survey)\n"
    )
    for step, same in ((HALF, True), (PostStep("count"), False)):
        whole = recipe_of(models, step, method="linear")
        groups = replace(whole.groups.groups[1], frozen=True)
        part = replace(
            whole, groups=replace(whole.groups, groups=(whole.groups.groups[0], groups, *whole.groups.groups[2:]))
        )
        merger = Merger(Checkpoints.open(whole))
        plans = [merger.plan(recipe) for recipe in (whole, part)]
        rows = [{name for name, own in plan.outputs.merged.items() if own.row != 1} for plan in plans]
        assert rows[0] == rows[1] != set()
        first, second = (plan.keys() for plan in plans)
        assert all((first[name] == second[name]) == same for name in rows[0])


@pytest.mark.parametrize("out_dtype", ["float32", "bfloat16"])
def test_factors_of_the_last_step_are_multiplied_in_bit_by_bit(models: Family, own_steps: Path, out_dtype: str) -> None:
    """As the same step by itself, also where other steps come before it or after it."""
    apart = "lambda context, sources, delta, values: delta.mul_(channels(context, delta.shape, values))"
    text = (
        "import torch\nfrom evomerge.post import PostProcess\n"
        "def channels(context, shape, values):\n"
        "    return torch.linspace(0, 1, shape[-1]) if len(shape) == 1 else torch.linspace(0, 2, shape[0])[:, None]\n"
        f"STEP = PostProcess('NAME', 'each channel its own', 'nowhere', {apart}"
    )
    (own_steps / "within.py").write_text(text.replace("NAME", "within") + ", factors=channels)\n")
    (own_steps / "apart.py").write_text(text.replace("NAME", "apart") + ")\n")
    for before, after in (((), ()), ((HALF,), ()), ((LINES,), (HALF,)), ((), IDLE)):
        one, other = (
            merged(replace(recipe_of(models, *before, PostStep(name), *after), out_dtype=out_dtype))
            for name in ("within", "apart")
        )
        assert all(same_bits(tensor, other[name]) for name, tensor in one.items())
    plain = merged(replace(recipe_of(models), out_dtype=out_dtype))
    assert not all(same_bits(tensor, one[name]) for name, tensor in plain.items())


def test_one_more_step_is_one_more_file(models: Family, own_steps: Path) -> None:
    (own_steps / "flip.py").write_text(
        "from evomerge.post import PostProcess\n"
        "STEP = PostProcess('flip', 'turns it around', 'nowhere', lambda context, sources, delta, values: -delta)\n"
    )
    (own_steps / "torn.py").write_text(
        "from evomerge.post import PostProcess\n"
        "STEP = PostProcess('torn', 'half of it', 'nowhere', lambda context, sources, delta, values: delta[:1])\n"
    )
    assert {"flip", "torn"} <= set(post.names())
    whole, flipped = merged(recipe_of(models)), merged(recipe_of(models, PostStep("flip"), PostStep("flip")))
    assert all((tensor - flipped[name]).abs().max() < 1e-6 for name, tensor in whole.items())
    with pytest.raises(ValueError, match="expected step torn to return a float32 tensor of shape"):
        merged(recipe_of(models, PostStep("torn")))
