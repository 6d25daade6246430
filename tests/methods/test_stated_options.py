"""Options that a method gets later leave old recipes what they are: their digests are how runs know candidates."""

from __future__ import annotations

from typing import Any

import pytest

from evomerge import methods, post
from evomerge.errors import InputError
from evomerge.options import RecipeOptions

DELTAS = {"rescale": "none", "votes": "weighted", "tie": "positive", "normalise": "weight"}
WINDOW = {"scope": "row", "yields": "density", "small": "keep"}
# What recipes of each method stated when there were runs already. Nothing is ever added to these: a new option of a
# method that is here has ``later=True``.
STATED: dict[str, dict[str, Any]] = {
    "arcee_fusion": {"divergence": "float32"},
    "aswudi": {"matrices": "layers", "rest": "base", "rank": "participation_sqrt", "share": 0.95, "filter": "none"},
    "bitdelta": {"compress": "layers", "zeros": "plus"},
    "breadcrumbs": WINDOW | {"rescale": "none", "normalise": "none"},
    "breadcrumbs_ties": WINDOW | DELTAS | {"normalise": "none"},
    "consensus": {"k": 2, "task": None},
    "dare_linear": {"rescale": "inverse", "normalise": "none"},
    "dare_ties": DELTAS | {"rescale": "inverse", "normalise": "none"},
    "della": DELTAS | {"rescale": "own"},
    "della_linear": {"rescale": "own", "normalise": "none"},
    "doge": {
        "matrices": "layers",
        "rest": "base",
        "scope": "global",
        "kept": "threshold",
        "eta": 0.07,
        "subspace": 6.0,
        "steps": 400,
        "learning_rate": 0.0001,
    },
    "emr": {"task": None},
    "expo": {},
    "iso_c": {"weights": "fixed", "others": "mean", "stored": "float32"},
    "iso_cts": {"fraction": 0.8, "weights": "fixed", "others": "mean", "stored": "float32"},
    "iwudi": {"matrices": "layers", "rest": "base", "filter": "exponential"},
    "karcher": {"max_iter": 10, "tol": 1e-05},
    "knots": {
        "scope": "global",
        "kept": "threshold",
        "rescale": "none",
        "votes": "plain",
        "tie": "majority_or_minus",
        "normalise": "count",
        "least": 1e-05,
        "others": "mean",
    },
    "linear": {"normalise": "weight"},
    "magmax": {},
    "metagpt": {"scope": "global", "size": "square", "shares": "proportional"},
    "model_stock": {"vectors": "tensor", "least": 1e-06},
    "multislerp": {"normalise": "weight", "eps": 1e-08},
    "nearswap": {"unit": "rms"},
    "nuslerp": {"vectors": "tensor"},
    "opcm": {"alpha": 0.5, "weights": "fixed", "stored": "float32"},
    "optmerge": {
        "matrices": "layers",
        "rest": "base",
        "target": "truncated",
        "rank": None,
        "start": "mean",
        "optimiser": "sgd",
        "steps": 300,
        "learning_rate": 0.0001,
        "momentum": 0.9,
    },
    "passthrough": {},
    "pcb": {"scope": "tensor", "clamp": 0.0001},
    "ram": {"epsilon": 1e-05},
    "ramplus_tl": {"scope": "tensor", "epsilon": 1e-05},
    "sce": {"select": "weights", "uniform_below": 0.0, "votes": "plain", "tie": "positive"},
    "slerp": {},
    "star": {"normalise": "weight", "others": "deltas", "sums": 3, "stored": "float16"},
    "swudi": {"matrices": "layers", "rest": "base"},
    "task_arithmetic": {"normalise": "none"},
    "ties": {"scope": "tensor", "kept": "exact"} | DELTAS,
    "ties_slack": {
        "scope": "tensor",
        "kept": "exact",
        "rescale": "none",
        "votes": "weighted",
        "tie": "positive",
        "normalise": "weight",
    },
    "tsvm": {"keep": "share", "weights": "fixed", "ranks": "fixed", "others": "mean", "stored": "float32"},
    "tsvm_robust": {
        "clip": 3.0,
        "keep": "share",
        "weights": "fixed",
        "ranks": "fixed",
        "others": "mean",
        "stored": "float32",
    },
    "varm": {"scope": "tensor", "size": "square", "shares": "proportional", "unchanged": "even"},
    "widen": {},
    "wudi": {
        "matrices": "layers",
        "rest": "base",
        "start": "sum",
        "optimiser": "adam",
        "steps": 300,
        "learning_rate": 1e-05,
        "momentum": 0.9,
    },
}
# The same of steps.
STATED_BY_STEPS: dict[str, dict[str, Any]] = {
    "lines": {"alpha_from": "norm"},
    "scale": {},
    "sparsify": {"kept": "exact", "rescale": "none"},
    "svc": {"side": "left", "target": None, "embeddings": "calibrate"},
}


@pytest.mark.parametrize("name", sorted(STATED))
def test_recipes_state_what_they_always_did(name: str) -> None:
    method = methods.load(name)
    assert method.stated({}) == STATED[name]
    assert method.resolve(STATED[name]) == method.resolve({}), "an old recipe means the defaults of later options"


def test_later_options_are_stated_where_they_are_not_the_default() -> None:
    ties = methods.load("ties")
    assert ties.stated({"rounding": "up"}) == STATED["ties"] | {"rounding": "up"}
    assert ties.stated({"rounding": "down", "scope": "global"}) == STATED["ties"] | {"scope": "global"}


@pytest.mark.parametrize("name", sorted(STATED_BY_STEPS))
def test_steps_state_what_they_always_did(name: str) -> None:
    assert post.load(name).stated({}) == STATED_BY_STEPS[name]


def test_methods_and_steps_refuse_options_in_the_same_words() -> None:
    for owner, option, known in (("method ties", "scop", "scope"), ("step sparsify", "keept", "kept")):
        room = methods if owner.startswith("method") else post
        with pytest.raises(InputError) as caught:
            room.load(owner.split()[1]).resolve({option: 1, "rescale": "none of these"})
        unknown, wrong = caught.value.problems
        assert unknown.startswith(f"{owner} has no option {option!r}; did you mean {known!r}? (it has ")
        assert wrong == f"{owner}: option rescale is 'none of these'; it is one of none, inverse, l1"


class OwnMethod(methods.MergeMethod):
    """A method of a kind of its own, as a third party may declare one."""


class OwnStep(post.PostProcess, sort="own step"):
    """The same of a step, which is called otherwise in messages."""


def test_subclasses_of_methods_and_steps_are_called_as_their_parents_unless_they_say_so() -> None:
    ties, scale = methods.load("ties"), post.load("scale")
    own = OwnMethod(ties.name, ties.summary, ties.paper, ties.merge, ties.coefficients, options=ties.options)
    with pytest.raises(InputError, match="method ties has no option 'scop'"):
        own.resolve({"scop": 1})
    step = OwnStep(scale.name, scale.summary, scale.paper, scale.apply, scale.coefficients)
    with pytest.raises(InputError, match="own step scale has no option 'x'"):
        step.resolve({"x": 1})


def test_a_class_beside_the_options_hears_of_subclasses_too() -> None:
    heard: list[str] = []

    class Registered:
        def __init_subclass__(cls, *, registry: list[str]) -> None:
            registry.append(cls.__name__)

    class Own(RecipeOptions, Registered, sort="own", registry=heard):
        pass

    assert heard == [Own.__name__]
