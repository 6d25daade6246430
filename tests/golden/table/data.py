"""Methods that look at data, given statistics that were made up."""

from __future__ import annotations

from tests.golden.given_statistics import DataMerge
from tests.golden.table.case import EXPERTS, Compute, Computed, Family, Tensors


def _fisher(family: Family) -> Tensors:
    """MergeLM's rule with lengths of models."""
    settings = family.settings
    options = {"floor": settings["minimal_fisher_weight"], "stored": "float32"}
    merge = DataMerge("fisher", {"weight": settings["fisher_scaling_coefficients"]}, options, EXPERTS)
    models = {name: family.model(name) for name in ("base", *EXPERTS)}
    return merge.of(
        models,
        {"fisher": lambda model, name: family.statistics.get(f"fisher{EXPERTS.index(model)}.{name}")},
    )


CASES: dict[str, Compute] = {
    "fisher_given_normalized": Computed("fisher", _fisher),
}
