"""Sums of deltas."""

from tests.golden.table.case import Compute, Merge

CASES: dict[str, Compute] = {
    "average": Merge("linear", {"weight": 1 / 3}, base=None),
    "task_arithmetic_lam04": Merge("task_arithmetic", {"weight": 0.4}),
}
