"""An honest judgement of the claim that one model scores higher than others on the same items."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from evomerge.analysis import (
    Interval,
    Stratum,
    Truncation,
    is_binary,
    stratified_difference,
    stratified_p_value,
    stratified_score,
    truncation,
)
from evomerge.analysis.strata import CONFIDENCE
from evomerge.evaluation import TOKENS
from evomerge.evaluation.samples import Samples
from evomerge.report.audit.pairing import Paired
from evomerge.report.wording import PERCENT, count, number

FEW_ITEMS, FEW_CLUSTERS = 100, 30
HIGHER, LOWER, SAME = "scores higher", "scores lower", "not distinguishable"
UNJUDGED, TRUNCATED = "cannot be judged", "truncation differs"


@dataclass(frozen=True)
class Versus:
    """The first model against another.

    Attributes:
        other: The other model.
        difference: First minus other, with the interval that holds after correction for all that was tried.
        plain: The same at 95 % for this comparison alone.
        p: Two-sided p-value, corrected; None where the items say nothing.
        counts: Items that both solve, only the first, only the other, and neither; None where values are not 0 and 1.
        truncation: How often generated answers were cut; None where none was, or nobody knows.
        verdict: :data:`HIGHER`, :data:`LOWER`, :data:`SAME`, :data:`TRUNCATED` or :data:`UNJUDGED`.
    """

    other: str
    difference: Interval
    plain: Interval
    p: float | None
    counts: tuple[int, int, int, int] | None
    truncation: Truncation | None
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object; what is not finite is null."""
        found = self.difference.to_json()
        cut = self.truncation
        return {
            "other": self.other,
            "difference": found["mean"],
            "se": found["se"],
            "low": found["low"],
            "high": found["high"],
            "p": self.p,
            "counts": self.counts and list(self.counts),
            "truncated": cut and [cut.first, cut.second],
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Audit:
    """The whole judgement.

    Attributes:
        metric: The metric.
        tasks: The tasks.
        items: Number of items that all models answered.
        clusters: Number of clusters that they form.
        cluster: The field that clusters are the values of; empty where items stand alone.
        tried: Number of models of which the first was the best.
        confidence: Confidence of each corrected interval, so that all of them hold together at 95 %.
        scores: Each model's name and score with its 95 % interval, the first model's first.
        versus: The first model against each other one.
        unit: The unit of the scores: per cent of shares of items, tokens of lengths of answers, else empty.
        warnings: Sentences to read before the numbers.
    """

    metric: str
    tasks: tuple[str, ...]
    items: int
    clusters: int
    cluster: str
    tried: int
    confidence: float
    scores: tuple[tuple[str, Interval], ...]
    versus: tuple[Versus, ...]
    unit: str
    warnings: tuple[str, ...]

    @property
    def luck(self) -> float:
        """Expected lead of the best of so many models that are all as good as the first other one, by luck alone.

        The expected maximum of standard normal values is Blom's approximation (1958).
        """
        if self.tried < 2 or not math.isfinite(self.versus[0].plain.se):
            return 0.0
        return NormalDist().inv_cdf((self.tried - 0.375) / (self.tried + 0.25)) * self.versus[0].plain.se

    def to_json(self) -> dict[str, Any]:
        """The judgement of the first comparison, with all that it rests on, and the others, as a JSON object."""
        first, *others = (versus.to_json() for versus in self.versus)
        return {
            "metric": self.metric,
            "tasks": list(self.tasks),
            "model": self.scores[0][0],
            **first,
            "items": self.items,
            "clusters": self.clusters,
            "cluster": self.cluster or None,
            "tried": self.tried,
            "confidence": self.confidence,
            "scores": [{"model": name, **interval.to_json()} for name, interval in self.scores],
            "others": others,
            "warnings": list(self.warnings),
        }


def judge(files: Sequence[Samples], paired: Paired, metric: str, tried: int | None) -> Audit:
    """Judges the first model against the others.

    Intervals are corrected by Bonferroni's inequality for the models tried and for the comparisons: whichever of so
    many models came out best, and however they depend on each other, its interval holds the truth with 95 %.

    Args:
        files: The answers of each model.
        paired: The items that all of them answered.
        metric: The metric's name, for people.
        tried: Number of models of which the first was the best; None: as far as the files know.
    """
    first, *others = paired.strata
    tasks = [stratum.task for stratum in first]
    told: list[str] = [warning for file in files for warning in file.warnings]
    counted = tried if tried is not None else (files[0].tried or 1)
    if tried is None and files[0].tried is None:
        told.append("tried was not given, so nobody is told how many models the first one was chosen from: taken as 1")
    elif tried is not None and files[0].tried is not None and tried < files[0].tried:
        told.append(f"tried={tried}, but the run of {files[0].where} scored {files[0].tried} candidates on these items")
    trials = max(1, counted) * len(others)
    confidence = 1.0 - (1.0 - CONFIDENCE) / trials
    versus = tuple(
        _versus(file.where, first, other, confidence, trials) for file, other in zip(files[1:], others, strict=True)
    )
    scores = tuple((file.where, stratified_score(own)) for file, own in zip(files, paired.strata, strict=True))
    share = all(s.values.min() >= 0.0 and s.values.max() <= 1.0 for own in paired.strata for s in own)
    told += [*paired.warnings, *_few(paired), *_lengths(files, versus, tasks)]
    told += [
        f"{file.where} and {files[0].where} have the same value on every item: are they two models?"
        for file, own in zip(files[1:], others, strict=True)
        if all(np.array_equal(a.values, b.values) for a, b in zip(first, own, strict=True))
    ]
    return Audit(
        metric=metric,
        tasks=tuple(filter(None, tasks)),
        items=paired.items,
        clusters=paired.clusters,
        cluster=paired.cluster,
        tried=max(1, counted),
        confidence=confidence,
        scores=scores,
        versus=versus,
        unit=TOKENS if metric == TOKENS else PERCENT if share else "",
        warnings=tuple(dict.fromkeys(told)),
    )


def _versus(name: str, first: Sequence[Stratum], other: Sequence[Stratum], confidence: float, trials: int) -> Versus:
    corrected, plain = (stratified_difference(first, other, level) for level in (confidence, CONFIDENCE))
    assert corrected is not None  # the items are the same
    assert plain is not None
    p = stratified_p_value(first, other)
    cut = truncation(first, other)
    verdict = UNJUDGED if p is None else SAME
    if p is not None and (corrected.low > 0.0 or corrected.high < 0.0):
        verdict = HIGHER if corrected.mean > 0.0 else LOWER
        verdict = TRUNCATED if cut is not None and cut.blurs(trials) else verdict
    return Versus(name, corrected, plain, p and min(1.0, p * trials), _counts(first, other), cut, verdict)


def _counts(first: Sequence[Stratum], other: Sequence[Stratum]) -> tuple[int, int, int, int] | None:
    a, b = (np.concatenate([stratum.values for stratum in side]) for side in (first, other))
    if not (is_binary(a) and is_binary(b)):
        return None
    return (
        int(np.sum((a == 1) & (b == 1))),
        int(np.sum(a > b)),
        int(np.sum(b > a)),
        int(np.sum((a == 0) & (b == 0))),
    )


def _few(paired: Paired) -> list[str]:
    if paired.clusters < min(FEW_CLUSTERS, paired.items):
        return [f"the items form only {count(paired.clusters, 'cluster')}: the interval is wide for that reason"]
    return [f"only {count(paired.items, 'item')}: the interval is wide"] if paired.items < FEW_ITEMS else []


def _generated(file: Samples, tasks: Sequence[str]) -> list[tuple[int, ...]]:
    """The lengths of the generated answers to those of the tasks that generate some."""
    return [limits for task, limits in file.generated.items() if task in (*tasks, "")]


def _lengths(files: Sequence[Samples], versus: Sequence[Versus], tasks: Sequence[str]) -> list[str]:
    """Warnings about answers that were cut at their length limit, or may have been."""
    told = []
    generated = {file.where: _generated(file, tasks) for file in files}
    limits = {where: sorted(set().union(*own)) for where, own in generated.items() if any(own)}
    if any(own != other for own, other in itertools.pairwise(limits.values())):
        shown = "; ".join(f"{where}: {', '.join(map(str, own))}" for where, own in limits.items())
        told.append(f"the models were given answers of different lengths (max_gen_toks {shown}): compare at one limit")
    for one in versus:
        cut = one.truncation
        if cut is None or cut.first == cut.second:
            continue
        shares = f"{number(cut.first, percent=True)} % of the answers of {files[0].where}, "
        shares += f"{number(cut.second, percent=True)} % of those of {one.other}"
        effect = (
            "the difference may be one of length instead of skill, so there is no verdict: raise the limit"
            if one.verdict == TRUNCATED
            else "truncated answers are scored as they are"
        )
        told.append(f"answers reached the length limit unequally often ({shares}): {effect}")
    silent = [
        file.where
        for file in files
        if generated[file.where]
        and all(sample.truncated is None for sample in file.samples if sample.task in (*tasks, ""))
    ]
    if silent:
        told.append(
            f"{' and '.join(silent)} do{'' if len(silent) > 1 else 'es'} not say which answers reached the length "
            "limit: whether truncation explains the difference cannot be told"
        )
    return told
