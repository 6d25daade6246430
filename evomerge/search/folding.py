"""From the responses of one ask to the metrics of its evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.evaluation import Constraint, Failure, Measure, Objective, Response, keys_of

__all__ = ["Aggregate", "Fold", "unkeepable"]

Aggregate = Callable[[Sequence[Response]], Mapping[str, float]]


@dataclass(frozen=True)
class Fold:
    """Metrics of responses, or the reason why there are none.

    Attributes:
        aggregate: Turns responses, in the order in which the items were asked, into metrics.
        required: Metrics without which a candidate cannot be compared.
    """

    aggregate: Aggregate
    required: tuple[str, ...]

    @classmethod
    def of(
        cls,
        aggregate: Aggregate,
        objectives: Iterable[Objective],
        constraints: Iterable[Constraint],
        measures: Iterable[Measure] = (),
    ) -> Fold:
        """A fold that requires what objectives, constraints and measures need."""
        keys = keys_of(objectives, measures)
        return cls(aggregate, tuple(dict.fromkeys([*keys, *(constraint.metric for constraint in constraints)])))

    def __call__(self, responses: Sequence[Response]) -> tuple[dict[str, float], Failure | None]:
        """Folds responses.

        Returns:
            Metrics and None, or no metrics and the failure: a metric that is not finite, one that no response has
            recorded, or an error of the code that computes it, which may be the user's.
        """
        try:
            metrics = dict(self.aggregate(responses))
        except Exception as error:
            return {}, Failure("error", f"metrics could not be computed: {type(error).__name__}: {error}")
        wrong = [f"{key} = {value}" for key, value in metrics.items() if not math.isfinite(value)]
        if wrong:
            return {}, Failure("nonfinite", f"a score is not finite: {', '.join(wrong)}")
        missing = [key for key in self.required if key not in metrics]
        return ({}, _missing(missing, metrics, responses)) if missing else (metrics, None)


def _missing(keys: Sequence[str], metrics: Mapping[str, float], responses: Sequence[Response]) -> Failure:
    """The failure for metrics that are not there: no item records them, or their values were not finite."""
    unknown = [key for key in keys if not _recorded(key, responses)]
    if unknown:
        known = ", ".join(sorted(metrics)) or "none"
        return Failure("error", f"no item records {', '.join(unknown)} (there are {known})")
    return Failure("nonfinite", f"no finite value of {', '.join(keys)}")


def unkeepable(responses: Sequence[Response]) -> Failure | None:
    """The failure for an item's value that JSON cannot hold, of any metric: answers are kept whole or not at all."""
    for response in responses:
        for name, value in response.metrics.items():
            wrong = _wrong(value)
            if wrong is not None:
                where = f"{response.task}.{name}" + (f" of item {response.item!r}" if response.item else "")
                return Failure(wrong, f"{where} is {str(value)[:60]} ({type(value).__name__}); expected finite numbers")
    return None


def _wrong(value: Any) -> str | None:
    """The kind of failure that a value is; None if it can be kept."""
    if isinstance(value, float):
        return None if math.isfinite(value) else "nonfinite"
    if value is None or isinstance(value, int | str):
        return None
    if isinstance(value, list | tuple):
        return next((wrong for wrong in map(_wrong, value) if wrong is not None), None)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return _wrong(list(value.values()))
    return "error"


def _recorded(key: str, responses: Sequence[Response]) -> bool:
    """Whether items hold values of a metric: those of its task, or, where its owner is a group, those of any."""
    owner, _, name = key.rpartition(".")
    own = [response for response in responses if response.task == owner] or responses
    return any(name in response.metrics for response in own)
