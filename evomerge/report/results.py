"""Records of a run, sorted for the report: baselines, candidates and confirmations."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import Interval
from evomerge.errors import InputError
from evomerge.evaluation import (
    BASE,
    EXPERT,
    PYTHON,
    SCALED,
    TOKENS,
    TRUNCATED,
    UNIFORM,
    Constraint,
    Evaluation,
    Objective,
    Response,
)
from evomerge.report.scorecard import Scorecard, scorecard
from evomerge.report.wording import PERCENT
from evomerge.store import RunStore, baselines, candidates, clusters_of, described_items, estimates

_NORMAL = 1.959964  # standard errors to either side of an estimate


class Results:
    """The records of a run, sorted into baselines, candidates and confirmations.

    Attributes:
        store: The run's store.
        objectives: What was searched for.
        constraints: What candidates had to meet.
        candidates: The searched candidates, in the order they were asked, failed ones included.
        estimates: Digest to metric key to the estimate that a candidate is compared by and its standard error; empty
            where all were asked the same items.
    """

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.objectives = tuple(Objective.from_json(data) for data in store.manifest.get("objectives", ()))
        if not self.objectives:
            raise InputError(f"the manifest of {store.folder} names no objective, so there is nothing to report")
        self.constraints = tuple(Constraint.from_json(data) for data in store.manifest.get("constraints", ()))
        self.candidates = candidates(store)
        self.estimates = estimates(store)
        self._compared = estimates(store, "selection")
        splits = dict.fromkeys(e.split for e in store.evaluations())
        self._baselines = {(name, split): e for split in splits for name, e in baselines(store, split).items()}
        self._scorecards: dict[tuple[str, str, str], Scorecard | None] = {}
        self._units: dict[str, str] = {}
        self._items: dict[str, int] = {}

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The baselines' names: base, the experts in order, the uniform average, the tuned reference."""
        left_out = {name for name, _ in self._baselines if name.startswith(SCALED)} - {self.tuned}
        found = dict.fromkeys(name for name, _ in self._baselines if name not in left_out)
        return tuple(sorted(found, key=lambda name: (name != BASE, not name.startswith(EXPERT))))

    @functools.cached_property
    def tuned(self) -> str | None:
        """The tuned reference: task arithmetic with one scale for all experts, the best on the search items.

        It is the one scale that was asked more than these; None while there is none.
        """
        for split in ("test", "selection"):
            found = [name for name, on in self._baselines if on == split and name.startswith(SCALED)]
            if found:
                return found[-1]
        return None

    @property
    def fixed(self) -> tuple[str, ...]:
        """The baselines that nothing was chosen of: base, experts, uniform average."""
        return tuple(name for name in self.names if name != self.tuned)

    @property
    def experts(self) -> tuple[str, ...]:
        """The names of the experts' baselines."""
        return tuple(name for name in self.names if name.startswith(EXPERT))

    @functools.cached_property
    def described(self) -> Mapping[str, Mapping[str, Any]]:
        """Items as people read them, by id, see :func:`evomerge.store.described_items`."""
        return described_items(self.store)

    @functools.cached_property
    def clusters(self) -> Mapping[str, str]:
        """Cluster of each item that belongs to one."""
        return clusters_of(self.described)

    def baseline(self, name: str, split: str) -> Evaluation | None:
        """A baseline's evaluation on a split."""
        return self._baselines.get((name, split))

    def sharing(self, evaluation: Evaluation) -> tuple[str, ...]:
        """The baselines that an evaluation is the record of: several where checkpoints have equal weights."""
        records = {name: self.baseline(name, evaluation.split) for name in self.names}
        return tuple(name for name, e in records.items() if e is not None and e.digest == evaluation.digest)

    def responses(self, evaluation: Evaluation) -> list[Response]:
        """The responses to the items of an evaluation; functions of the whole model have no items."""
        return [response for response in self.store.responses(evaluation) if response.task != PYTHON]

    def scorecard(self, evaluation: Evaluation | None) -> Scorecard | None:
        """An evaluation's scores, or None when there are none."""
        if evaluation is None:
            return None
        key = (evaluation.digest, evaluation.split, evaluation.item_set)
        if key not in self._scorecards:
            self._scorecards[key] = scorecard(evaluation, self.responses(evaluation), self.objectives, self.clusters)
        return self._scorecards[key]

    def intervals(self, evaluation: Evaluation | None) -> dict[str, Interval]:
        """Objective label to the score of an evaluation with its interval; empty when there are no scores."""
        found = self.scorecard(evaluation)
        asked = {o.label: found.interval(o.label) for o in self.objectives} if found is not None else {}
        if evaluation is not None and (own := self._estimated(evaluation)):
            share = evaluation.items / max(self.items(evaluation.split), 1)
            return {o.label: _interval(o, own, asked.get(o.label), share) for o in self.objectives}
        return asked

    def items(self, split: str) -> int:
        """Number of items of a split that a model was asked, over all tasks, at most."""
        if split not in self._items:
            self._items[split] = max((e.items for e in self.store.evaluations(split) if e.error is None), default=0)
        return self._items[split]

    def baseline_scorecard(self, name: str, split: str) -> Scorecard | None:
        """A baseline's scores on a split."""
        return self.scorecard(self.baseline(name, split))

    def scored(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation has a score for every objective."""
        keys = (key for objective in self.objectives for _, key in objective.terms)
        return evaluation.error is None and all(key in evaluation.metrics for key in keys)

    def metrics(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The metrics that an evaluation is compared by: as recorded, or estimates where items differ."""
        own = self._estimated(evaluation)
        return {**evaluation.metrics, **{key: value for key, (value, _) in own.items()}} if own else evaluation.metrics

    def _estimated(self, evaluation: Evaluation) -> Mapping[str, tuple[float, float]]:
        if evaluation.name is not None or evaluation.error is not None:
            return {}
        known = {"search": self.estimates, "selection": self._compared}
        return known.get(evaluation.split, {}).get(evaluation.digest, {})

    def minimised(self, evaluations: Sequence[Evaluation]) -> NDArray[np.float64]:
        """Objective values, less being better, ``(evaluations, objectives)``."""
        rows = [[_sign(o) * o.value(self.metrics(e)) for o in self.objectives] for e in evaluations]
        return np.array(rows, dtype=np.float64).reshape(len(evaluations), len(self.objectives))

    def best_expert(self, label: str, split: str) -> str | None:
        """The expert with the best score of an objective on a split's items; the first of equal ones."""
        objective = next(o for o in self.objectives if o.label == label)
        cards = {name: self.baseline_scorecard(name, split) for name in self.experts}
        scored = {name: found.values[label] for name, found in cards.items() if found is not None}
        return min(scored, key=lambda name: _sign(objective) * scored[name]) if scored else None

    def feasible(self, evaluation: Evaluation) -> bool:
        """Whether a scored candidate is known to meet every constraint on its split."""
        return all(missed <= 0.0 for missed in self.violations(evaluation))

    def violations(self, evaluation: Evaluation) -> list[float]:
        """How far a scored model misses each constraint on its split; 0 or less where it holds, infinite if unknown."""
        found = {name: e.metrics for (name, split), e in self._baselines.items() if split == evaluation.split}
        metrics, missed = self.metrics(evaluation), list[float]()
        for constraint in self.constraints:
            reference = constraint.reference(found)
            known = reference is not None and constraint.metric in metrics
            missed.append(constraint.violation(metrics, reference) if known and reference is not None else math.inf)
        return missed

    def unit(self, objective: Objective) -> str:
        """The unit of an objective's scores: ``tokens`` of lengths of answers, per cent of shares of items, else empty.

        It is a share where every score lies in [0, 1], and so does every item's value as far as baselines were asked.
        """
        if objective.label not in self._units:
            lengths = _lengths(objective) == {TOKENS}
            self._units[objective.label] = TOKENS if lengths else PERCENT if self._is_share(objective) else ""
        return self._units[objective.label]

    def _is_share(self, objective: Objective) -> bool:
        weights = [weight for weight, _ in objective.terms]
        upward = objective.higher_is_better or _lengths(objective) == {TRUNCATED}
        if not upward or min(weights) < 0 or sum(weights) > 1.0 + 1e-9:
            return False
        if not all(0.0 <= objective.value(self.metrics(e)) <= 1.0 for e in self.candidates if self.scored(e)):
            return False
        cards = [self.scorecard(e) for e in self._baselines.values()]
        strata = [found.strata[objective.label] for found in cards if found is not None]
        return bool(strata) and all(
            own and all(s.values.min() >= 0.0 and s.values.max() <= 1.0 for s in own) for own in strata
        )


def _interval(
    objective: Objective, estimated: Mapping[str, tuple[float, float]], asked: Interval | None, share: float
) -> Interval:
    """The 95 % interval of an estimated score; metrics of different tasks are independent.

    The estimate's own error is that towards all items of the split; these are a sample themselves, as which they have
    the error of the items asked, smaller as they are more.

    Args:
        objective: The objective.
        estimated: Metric key to estimate and standard error.
        asked: The interval from the items asked alone; None where there is none.
        share: How many of the split's items these are.
    """
    value = sum(weight * estimated[key][0] for weight, key in objective.terms)
    variance = sum((weight * estimated[key][1]) ** 2 for weight, key in objective.terms)
    if variance == 0.0 and asked is not None and share == 1.0:
        return asked
    if asked is not None and math.isfinite(asked.se):
        variance += share * asked.se**2
    se = math.sqrt(variance)
    return Interval(value, se, value - _NORMAL * se, value + _NORMAL * se)


def _lengths(objective: Objective) -> set[str]:
    """The metrics that an objective is made of, where less of each is better."""
    return set() if objective.higher_is_better else {key.rpartition(".")[2] for _, key in objective.terms}


def better(objective: Objective, difference: float) -> bool:
    """Whether a difference goes in an objective's natural direction."""
    return difference > 0.0 if objective.higher_is_better else difference < 0.0


def short_name(name: str) -> str:
    """A baseline's name for people: the expert's label without its prefix."""
    if name.startswith(SCALED):
        return f"tuned task arithmetic ({name.removeprefix(SCALED)})"
    return {UNIFORM: "uniform average"}.get(name, name.removeprefix(EXPERT))


def _sign(objective: Objective) -> float:
    return -1.0 if objective.higher_is_better else 1.0


def model_label(model: Mapping[str, Any]) -> str:
    """The name of a checkpoint in the manifest."""
    return str(model.get("label") or model.get("source") or "?")
