"""The sensitivities of a search's experts: measured once, and kept in the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from evomerge.run.assemble import Assembly
from evomerge.run.recipes.sensitive_starts import Shares, group_of
from evomerge.run.statistics.collecting import Collector
from evomerge.statistics import Limits, Sensitivities, measure
from evomerge.store import RunStore

__all__ = ["shares_of"]

FILE = "sensitivities.json"
_DIGITS = 6  # of what is kept, so that rounding of another machine makes no other start


def shares_of(assembly: Assembly, store: RunStore, collector: Collector | None, say: Callable[[str], None]) -> Shares:
    """Shares of the experts by group, of each temperature that a start is wanted at; none where none is.

    Args:
        assembly: The search.
        store: The run, whose folder they are kept in.
        collector: Loads the models; None where there are none, and what is kept is all that there is.
        say: Told of progress.
    """
    temperatures = assembly.config.start_sensitivity
    if not temperatures or assembly.texts is None:
        return ()
    kept = store.read_json(FILE)
    if kept is None:
        if collector is None:
            return ()
        kept = _measured(assembly, collector, say)
        store.write_json(FILE, kept)
    found = Sensitivities(tuple(kept["groups"]), np.array(kept["alpha"]), np.array(kept["tau"]))
    return [dict(zip(found.groups, found.shares(one).T.tolist(), strict=True)) for one in temperatures]


def _measured(assembly: Assembly, collector: Collector, say: Callable[[str], None]) -> dict[str, Any]:
    assert assembly.texts is not None
    models, checkpoints = assembly.experts, assembly.checkpoints
    groups = {name: group_of(assembly.spec, name) for name in checkpoints.merged_names}
    texts = [assembly.texts.calibration(model.label, model) for model in models]
    limits = Limits(assembly.config.statistics.memory)
    say(f"measuring how sensitive each expert's layers are, on {sum(len(own.passages) for own in texts)} texts")
    live = collector.load(models[0])
    found = measure(live, [checkpoints[model] for model in models], texts, groups, limits, say)
    rounded = {"alpha": found.alpha, "tau": found.tau}
    return {"groups": list(found.groups)} | {
        name: np.array([float(f"{value:.{_DIGITS}g}") for value in array.flat]).reshape(array.shape).tolist()
        for name, array in rounded.items()
    }
