"""The item response estimators as published, and the standard errors that we give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evomerge.analysis.estimators._shared.answers import Answers, Array, Indices
from evomerge.analysis.estimators._shared.design import assembled, expanded_mean, hajek_weights
from evomerge.analysis.estimators._shared.estimates import Estimates
from evomerge.analysis.estimators._shared.item_bank import DIMENSIONS, Bank, fit_bank, threshold, validated
from evomerge.analysis.estimators._shared.sources import SHARE, SOURCES
from evomerge.options import Option

__all__ = ["OPTIONS", "Case", "Method", "Result", "estimate_with", "published_delta"]

FEWEST_SOURCES = 3
FOLDS = 3
DRAWS = 8
OPTIONS = {
    "dimensions": Option(None, None, int, "number of abilities; null: chosen by the published rule", low=1, high=16),
    "share": SHARE,
    "sources": SOURCES,
}


@dataclass(frozen=True)
class Case:
    """All that a published formula needs for rows that were asked the same items.

    Attributes:
        bank: The item bank.
        seen: Items asked, ``(n,)``.
        values: Their answers, ``(rows, n)``.
        weights: Weights of the answers in a mean, ``(rows, n)``, sum 1.
        cut: The value above which an answer is right.
        experts: Abilities of the experts by all their answers, ``(experts, dimensions)``.
        error: Validation error of the bank's model (b of gp-IRT).
        variance: Mean variance of the sources' answers (v of gp-IRT).
    """

    bank: Bank
    seen: Indices
    values: Array
    weights: Array
    cut: float
    experts: Array
    error: float
    variance: float

    @property
    def responses(self) -> Array:
        """Answers of 0 and 1."""
        return (self.values > self.cut).astype(np.float64)

    @property
    def weighted(self) -> Array:
        """The weighted mean of the answers, ``(rows,)``."""
        return (self.weights * self.values).sum(axis=1)

    def mixed(self, data: Array, ability: Array) -> Array:
        """A mean of the seen answers and the mean curve of unseen ones, by their numbers of items, ``(rows,)``."""
        items = len(self.bank.difficulty)
        share = len(self.seen) / items
        unseen = np.setdiff1d(np.arange(items), self.seen)
        if len(unseen) == 0:
            return data
        return share * data + (1.0 - share) * self.bank.curve(ability)[:, unseen].mean(axis=1)


@dataclass(frozen=True)
class Result:
    """Result of a published formula.

    Attributes:
        value: The estimates, ``(rows,)``.
        ability: Abilities that they rest on, ``(rows, dimensions)``.
        mean: Weight of the weighted mean in them, besides the answers that are known.
    """

    value: Array
    ability: Array
    mean: float = 0.0


Method = Callable[[Case], Result]
Fitted = tuple[Bank, Array]


def published_delta(case: Case, per_item: float) -> float:
    """Weight of the weighted mean in gp-IRT: b**2 / (v + b**2), v being the variance of that mean.

    Args:
        case: With b and the variance of single answers.
        per_item: 1 for randomly drawn items, 4 for anchors, whose mean the authors take for that much more certain.
    """
    square = case.error**2
    total = case.variance / (per_item * max(len(case.seen), 1)) + square
    return square / total if total > 0.0 else 0.0


def estimate_with(method: Method, answers: Answers, rows: Indices, options: Mapping[str, Any]) -> Estimates:
    """Estimates by a published formula; the plain mean where fewer than three rows are complete enough for a bank.

    No publication gives a standard error. Ours is the larger of two: what the model itself says (the abilities' error
    and the chance in unseen answers), and the root mean square error on sources, each by a bank without it from as many
    random items, whole clusters of them. Misfit of the model is thus in it as far as the sources show it.
    """
    sources = answers.sources(options["share"], options["sources"])
    if len(sources) < FEWEST_SOURCES:
        values = answers.values[rows]
        return assembled(answers, rows, expanded_mean(answers, rows, values, "hajek"), values)
    known = answers.values[sources]
    cut = 0.5 if answers.binary else threshold(known)
    responses = np.where(np.isnan(known), np.nan, known > cut)
    tried = DIMENSIONS if options["dimensions"] is None else (options["dimensions"],)
    dimensions, error = validated(responses, known, tried)
    variance = float(np.mean(np.nanvar(known, axis=1)))
    setting = _Setting(answers, sources, known, responses, cut, dimensions, error, variance)
    return _estimates(method, setting, rows)


@dataclass(frozen=True)
class _Setting:
    """The table with what was fitted on it once."""

    answers: Answers
    sources: Indices
    known: Array
    responses: Array
    cut: float
    dimensions: int
    error: float
    variance: float

    def fitted(self, without: Indices) -> Fitted:
        """A bank of the sources without some of them, and the experts' abilities by it."""
        bank = fit_bank(np.delete(self.responses, without, axis=0), self.dimensions)
        found = np.zeros((len(self.answers.experts), self.dimensions))
        for group in self.answers.groups(self.answers.experts):
            responses = self.answers.values[np.ix_(group.rows, group.seen)] > self.cut
            found[group.places] = bank.ability(responses.astype(np.float64), group.seen)
        return bank, found

    def case(self, fitted: Fitted, seen: Indices, values: Array, weights: Array) -> Case:
        """The case of rows that were asked some items."""
        bank, experts = fitted
        return Case(bank, seen, values, weights, self.cut, experts, self.error, self.variance)


def _estimates(method: Method, setting: _Setting, rows: Indices) -> Estimates:
    answers = setting.answers
    fitted = setting.fitted(np.array([], dtype=np.int64))
    value, own, error = np.full(len(rows), np.nan), np.zeros(len(rows)), np.zeros(len(rows))
    share, pulls = np.zeros(len(rows)), np.zeros((len(rows), answers.values.shape[1]))
    errors = _Errors(method, setting)
    for group in answers.groups(rows):
        if len(group.seen):
            values = answers.values[np.ix_(group.rows, group.seen)]
            weights = hajek_weights(answers, group.rows)[:, group.seen]
            case = setting.case(fitted, group.seen, values, weights)
            result = method(case)
            value[group.places], share[group.places] = result.value, result.mean
            pulls[np.ix_(group.places, group.seen)], own[group.places] = _pulls(case, result)
            error[group.places] = errors.square(len(group.seen))
    mean = assembled(answers, rows, value, answers.values[rows])
    contributions = mean.contributions.copy()
    clusters = int(answers.cluster_index.max()) + 1
    contributions[:, :clusters] *= share[:, None]
    np.add.at(contributions.T, answers.cluster_index, pulls.T)
    sampling = (contributions**2).sum(axis=1)
    model = np.maximum(np.maximum(own, error) - sampling, 0.0)
    se = np.where(np.isfinite(value), np.sqrt(sampling + model), np.inf)
    return replace(mean, se=se, contributions=contributions, model=model)


def _pulls(case: Case, result: Result) -> tuple[Array, Array]:
    """How far each answer's surprise moves the estimate by way of the ability, ``(rows, n)``, and the model's variance.

    The variance is that of the ability, by its information with a standard normal prior, and of unseen answers.
    """
    items = len(case.bank.difficulty)
    unseen = np.setdiff1d(np.arange(items), case.seen)
    chance = case.bank.curve(result.ability)
    spread = chance * (1.0 - chance)
    inputs = case.bank.discrimination
    size = inputs.shape[1]
    products = (inputs[case.seen][:, :, None] * inputs[case.seen][:, None, :]).reshape(len(case.seen), -1)
    information = (spread[:, case.seen] @ products).reshape(-1, size, size) + np.eye(size)
    slope = spread[:, unseen] @ inputs[unseen] / items
    moved = np.linalg.solve(information, slope[:, :, None])[:, :, 0]
    pull = (1.0 - result.mean) * moved @ inputs[case.seen].T
    variance = (slope * moved).sum(axis=1) + spread[:, unseen].sum(axis=1) / items**2
    return pull * (case.values - chance[:, case.seen]), (1.0 - result.mean) ** 2 * variance


class _Errors:
    """Mean squared errors on sources that the bank has not seen, by the number of items asked; each found once."""

    def __init__(self, method: Method, setting: _Setting) -> None:
        self._method, self._setting = method, setting
        self._banks: list[tuple[Indices, Fitted]] = []
        self._known: dict[int, float] = {}

    def square(self, n: int) -> float:
        """The error with n items; 0 with all."""
        if n not in self._known:
            self._known[n] = self._measured(n)
        return self._known[n]

    def _measured(self, n: int) -> float:
        known = self._setting.known
        items = known.shape[1]
        if n >= items:
            return 0.0
        draws, index = np.random.default_rng([n, items]), self._setting.answers.cluster_index
        errors = []
        for _ in range(DRAWS):
            order = np.argsort(draws.random(int(index.max()) + 1)[index], kind="stable")
            seen = np.sort(order[:n])
            for held, fitted in self._folds():
                whole = [row for row in held if not np.isnan(known[row]).any()]
                values = known[np.ix_(whole, seen)]
                weights = np.full(values.shape, 1.0 / n)
                if whole:
                    found = self._method(self._setting.case(fitted, seen, values, weights)).value
                    errors.append(found - known[whole].mean(axis=1))
        return float(np.mean(np.concatenate(errors) ** 2)) if errors else 0.0

    def _folds(self) -> list[tuple[Indices, Fitted]]:
        """Held-out rows, without experts, each with a bank of the others."""
        if not self._banks:
            setting = self._setting
            count = len(setting.responses)
            for part in range(min(FOLDS, count)):
                held = np.arange(part, count, min(FOLDS, count))
                own = [row for row in held if setting.sources[row] not in setting.answers.experts]
                self._banks.append((np.array(own, dtype=np.int64), setting.fitted(held)))
        return self._banks
