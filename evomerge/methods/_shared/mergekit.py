"""Parameters of mergekit configurations that compute the same as methods on deltas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.methods._shared.inputs import Options
from evomerge.methods._shared.options import SCOPE


def delta_mergekit(options: Options) -> Mapping[str, Any] | None:
    """Mergekit's parameters for a method on deltas, or None where it computes something else.

    mergekit always takes each tensor by itself, keeps an exact number of elements, lets weighted deltas vote, takes
    plus on a tie, divides by weights or not at all, and rescales to the same sum of absolute values or not at all.
    """
    same = {"scope": "tensor", "kept": "exact", "votes": "weighted", "tie": "positive"}
    if any(options.get(name, value) != value for name, value in same.items()):
        return None
    if options["normalise"] == "count" or options.get("rescale") == "inverse":
        return None
    rescale = {"rescale": options["rescale"] == "l1"} if "rescale" in options else {}
    return {"normalize": options["normalise"] == "weight", **rescale}


def window_mergekit(options: Options) -> Mapping[str, Any] | None:
    """Mergekit's parameters for breadcrumbs: whole tensors, gamma gives way, and small deltas are left out."""
    same = {"scope": "tensor", "yields": "gamma", "small": "zero"}
    if any(options[name] != value for name, value in same.items()):
        return None
    return delta_mergekit({**options, "scope": SCOPE.default})
