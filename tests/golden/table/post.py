"""Steps after the merge."""

import numpy as np

from evomerge.recipe.finishing import PostStep
from tests.golden.table.case import Compute, Merge

ALL = np.ones(1)


def lines(beta: float, alpha: float | None = None) -> tuple[PostStep, ...]:
    """LiNeS with alpha from norms, or given."""
    if alpha is None:
        return (PostStep("lines", {"alpha_from": "norm"}, {"beta": beta * ALL}),)
    return (PostStep("lines", {"alpha_from": "value"}, {"alpha": alpha * ALL, "beta": beta * ALL}),)


TIES = {"normalise": "count", "scope": "global", "kept": "threshold", "votes": "plain", "tie": "majority_or_minus"}
CASES: dict[str, Compute] = {
    "lines_ta_beta05": Merge("task_arithmetic", post=lines(0.5)),
    "lines_ties_k20_beta07": Merge("ties", {"density": 0.2}, TIES, lines(0.7)),
    "lines_single_task_alpha01": Merge("task_arithmetic", post=lines(0.9, 0.1), sources=("expert0",)),
}
