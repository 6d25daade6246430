"""The candidates of a run, and the scores that they are compared by."""

from __future__ import annotations

from dataclasses import replace

from evomerge.errors import InputError
from evomerge.evaluation import SCALED, Evaluation, count_items
from evomerge.store.run import RunStore

__all__ = ["ESTIMATES", "SELECTION_ESTIMATES", "candidates", "estimates", "newly_asked"]

ESTIMATES, SELECTION_ESTIMATES = "estimates.json", "selection_estimates.json"

Estimate = tuple[float, float]  # value, standard error


def candidates(store: RunStore) -> list[Evaluation]:
    """The candidates, searched or recommended, each once, in the order in which they were first asked.

    Where candidates are asked other items in every batch, one has several evaluations: the one with the most items
    stands for it, the last of equal ones. Baselines are none, whoever proposes them; a scale of the tuned reference is
    asked when the search is over, and is one where it had been proposed.
    """
    found: dict[str, Evaluation] = {}
    evaluations = store.evaluations("search")
    named = {e.digest for e in evaluations if e.name is not None and not e.name.startswith(SCALED)}
    for evaluation in evaluations:
        if evaluation.name is not None or evaluation.digest in named:
            continue
        known = found.get(evaluation.digest)
        if known is None or known.recommended or (evaluation.items >= known.items and not evaluation.recommended):
            found[evaluation.digest] = evaluation
    return list(found.values())


def estimates(store: RunStore, split: str = "search") -> dict[str, dict[str, Estimate]]:
    """Digest to metric key to the estimate and its standard error, where candidates are not compared by their metrics.

    Empty where all candidates were asked the same items, as their metrics say all then.

    Args:
        store: The run.
        split: ``search`` or ``selection``.

    Raises:
        InputError: If the file holds something else.
    """
    name = ESTIMATES if split == "search" else SELECTION_ESTIMATES
    data = store.read_json(name) or {}
    try:
        return {digest: {key: (float(v), float(se)) for key, (v, se) in own.items()} for digest, own in data.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{store.folder / name} does not hold estimates by candidate and metric: {error}. Go on with the run, "
            "which writes it again, or take the file from a copy"
        ) from error


def newly_asked(store: RunStore, evaluation: Evaluation) -> int:
    """How many items were asked for an evaluation; those that its recipe had answered before were not."""
    how, asked = store.provenance(evaluation), store.items(evaluation)
    if not asked or how.answered == evaluation.item_set:
        return evaluation.items
    if evaluation.error is None:
        return count_items(store.items(replace(evaluation, item_set=how.answered)))
    # Nothing is asked of what has failed before; else what was asked has no answers, and never will.
    return count_items(store.find(evaluation.digest, asked)[1]) if how.attempt else 0
