"""DARE and DELLA, whose masks are drawn from the numbers of the cases."""

from __future__ import annotations

from tests.golden.table.case import Compute, Family, Merge, Tensors
from tests.golden.table.given_numbers import Drawn

DARE_TIES = {
    "trim": "global", "kept": "threshold", "rounding": "up", "votes": "plain", "tie": "majority", "normalise": "count",
}  # fmt: skip
DELLA = {"epsilon": 0.07 / min(0.7, 1 - 0.7), "density": 0.7, "lambda": 1.1}
# Without a largest magnitude to leave out these keep the largest of every tensor, which is the other strategy of DARE.
LARGEST = {"scope": "tensor", "rounding": "up"}


def weighted(family: Family) -> Tensors:
    """With the weights of the case."""
    values = {"density": 0.4, "epsilon": 0.25 / 0.4, "weight": family.settings["weights"]}
    return Drawn(Merge("della", values), "low")(family)


CASES: dict[str, Compute] = {
    "dare_p01_average": Drawn(Merge("dare_linear", {"density": 1 - 0.1, "weight": 1 / 3}), "high"),
    "dare_p09_ta_s1": Drawn(Merge("dare_linear", {"density": 1 - 0.9}), "high"),
    "dare_p05_ties_m08_s07": Drawn(
        Merge("dare_ties", {"density": 1 - 0.5, "trim_density": 1 - 0.8, "lambda": 0.7}, DARE_TIES), "high"
    ),
    "dare_magnitude_p05_ta": Merge("breadcrumbs", {"density": 1 - 0.5, "weight": 0.5}, LARGEST),
    "della_d07_w014_lam11": Drawn(Merge("della", DELLA), "low"),
    "della_d04_w05_weights": weighted,
    "della_d05_w02_norescale": Drawn(
        Merge("della", {"density": 0.5, "epsilon": 0.1 / 0.5}, {"rescale": "none"}), "low"
    ),
    "della_elect_d1_edge": Merge("della"),
}
