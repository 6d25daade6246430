"""How methods are named in mergekit's configurations: parameters that compute the same, both ways.

Coefficients have mergekit's names. Options often have other names and other values than mergekit's parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.methods._shared.coefficients import alone
from evomerge.methods._shared.inputs import Coefficients, Options
from evomerge.methods._shared.options import SCOPE

WINDOW: Mapping[str, Any] = {"scope": "tensor", "yields": "gamma", "small": "zero"}
"""Options of breadcrumbs that mean what mergekit does."""


@dataclass(frozen=True)
class MergekitParameters:
    """Meaning of mergekit's parameters in this method's words; ``MergeMethod.mergekit`` is the other direction.

    Attributes:
        defaults: mergekit's parameters that are options here, each with the value that it has where nothing is said.
        read: Gives the options, from the values of all these parameters.
        lacks: Coefficients that mergekit's method does not have: it computes what equal proportions, or else their
            neutral values, give.
        untouched: ``untouched(n_models, has_base)`` gives coefficient values with which mergekit's method leaves the
            base, or without one the first model, as it is; None if there are none.
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    read: Callable[[Mapping[str, Any]], Options] = lambda parameters: {}
    lacks: tuple[str, ...] = ()
    untouched: Callable[[int, bool], Coefficients | None] = lambda n_models, has_base: None


def first_alone(n_models: int, has_base: bool) -> Coefficients | None:
    """Weights that leave the first model as it is; with a base mergekit has none that leave that."""
    return None if has_base else {"weight": alone(0, n_models)}


def delta_mergekit(options: Options) -> Mapping[str, Any] | None:
    """Mergekit's parameters for a method on deltas, or None where it computes something else.

    mergekit always takes each tensor by itself, keeps an exact number of elements, lets weighted deltas vote, takes
    plus on a tie, divides by weights or not at all, and rescales to the same sum of absolute values or not at all.
    """
    same = {
        "scope": "tensor",
        "kept": "exact",
        "rounding": "down",
        "trim": "none",
        "votes": "weighted",
        "tie": "positive",
    }
    if any(options.get(name, value) != value for name, value in same.items()):
        return None
    if options["normalise"] == "count" or options.get("rescale") in ("inverse", "own"):
        return None
    rescale = {"rescale": options["rescale"] == "l1"} if "rescale" in options else {}
    return {"normalize": options["normalise"] == "weight", **rescale}


def window_mergekit(options: Options) -> Mapping[str, Any] | None:
    """Mergekit's parameters for breadcrumbs: whole tensors, gamma gives way, and small deltas are left out."""
    if any(options[name] != value for name, value in WINDOW.items()):
        return None
    return delta_mergekit({**options, "scope": SCOPE.default})


def delta_parameters(
    *, normalize: bool, rescale: bool | None = None, always: Mapping[str, Any] | None = None
) -> MergekitParameters:
    """The other direction of :func:`delta_mergekit`.

    Args:
        normalize: mergekit's default: whether weights are divided by their sum.
        rescale: mergekit's default: whether deltas keep their sum of absolute values; None for methods that keep all.
        always: Options that stand for what mergekit always does.
    """

    def read(parameters: Mapping[str, Any]) -> Options:
        options = {**(always or {}), "normalise": "weight" if parameters["normalize"] else "none"}
        return options | ({} if rescale is None else {"rescale": "l1" if parameters["rescale"] else "none"})

    defaults = {"normalize": normalize} | ({} if rescale is None else {"rescale": rescale})
    return MergekitParameters(defaults, read, untouched=lambda n_models, has_base: {"weight": (0.0,) * n_models})
