"""Tensors whose finiteness is known only when a device is asked, after others have been merged.

A method of the user's own gives flags as kernels on a GPU do; here nobody has to wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evomerge.kernels import Finite
from evomerge.merging import Checkpoints, LiveModel, Merger, NonFinite
from evomerge.merging.finiteness import Unread
from evomerge.recipe import Recipe
from tests.merging.conftest import Family, make_recipe

METHOD = '''
"""The average, which does not say at once whether it is finite."""

import torch

from evomerge.methods import MergeMethod
from evomerge.recipe import Coefficient


def merge(context, sources, coefficients, out):
    out.copy_(coefficients["scale"] * sum(model.float() for model in sources.models) / len(sources.models))
    return out.isfinite().all()


METHOD = MergeMethod(
    name="flagging_method",
    summary="the average",
    paper="none",
    merge=merge,
    coefficients=lambda options: (Coefficient("scale", 0.0, 2.0, 1.0, per_model=False),),
    base="none",
)
'''


@pytest.fixture
def recipe(own_methods: Path, family: Callable[..., Family]) -> Recipe:
    """A recipe with one scale for each of two layers and one for everything outside."""
    (own_methods / "flagging_method.py").write_text(METHOD, encoding="utf-8")
    return scaled(make_recipe("flagging_method", list(family()[1:]), out_dtype="float16"), 1.0, 1.0, 1.0)


def scaled(recipe: Recipe, *scales: float) -> Recipe:
    return replace(recipe, coefficients={"scale": np.asarray(scales)})


def test_the_first_broken_tensor_is_named_and_no_tensor_is_taken_for_sound(
    recipe: Recipe, family: Callable[..., Family]
) -> None:
    broken = scaled(recipe, 1e9, 1e9, 0.5)
    checkpoints = Checkpoints.open(recipe)
    live, plain = (LiveModel.load(family()[0], dtype="float16") for _ in range(2))
    merger = Merger(checkpoints)
    live.install(merger, recipe)
    for _ in range(2):  # not even when it is asked for again
        with pytest.raises(NonFinite) as caught:
            live.install(merger, broken)
        first = next(name for name in live._pieces if ".layers." in name)
        assert caught.value.name == first
    # What both have in common was written while nobody knew, and is written again.
    live.install(merger, scaled(recipe, 1.0, 1.0, 0.5))
    plain.install(Merger(checkpoints), scaled(recipe, 1.0, 1.0, 0.5))
    assert live.checksum() == plain.checksum()


def test_each_tensor_is_checked_before_it_is_given(recipe: Recipe) -> None:
    given: list[str] = []
    stream = Merger(Checkpoints.open(recipe)).stream(scaled(recipe, 1.0, 1e9, 1.0))
    with pytest.raises(NonFinite) as caught:
        given.extend(name for name, _ in stream)
    assert ".layers.1." in caught.value.name
    assert not [name for name in given if ".layers.1." in name]


@pytest.mark.parametrize("last", ["raised by what is known", "raised by the last check"])
def test_flags_of_all_kinds_are_read_in_order(last: str) -> None:
    known = last == "raised by what is known"
    flags: list[Finite] = [True, torch.tensor(1, dtype=torch.int32), torch.tensor(True), torch.tensor(0)]
    flags += [torch.tensor(False)] + [False] * known
    unread = Unread()

    def add_all() -> None:
        for number, flag in enumerate(flags):
            unread.add(NonFinite(str(number), torch.float32), flag)
        unread.check()

    with pytest.raises(NonFinite) as caught:
        add_all()
    assert caught.value.name == "3"
    unread.check()  # an error is raised once


def test_an_error_waits_for_the_tensors_before_it() -> None:
    unread = Unread()
    unread.add(NonFinite("broken", torch.float32), torch.tensor(False))
    with pytest.raises(NonFinite, match="broken"), unread.first():
        raise ValueError("of the next tensor")
    with pytest.raises(ValueError, match="next"), unread.first():
        raise ValueError("of the next tensor")
