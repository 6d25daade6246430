"""``front.json`` and ``front.csv``: the members and baselines as data."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from evomerge.analysis import Interval
from evomerge.evaluation import SPLITS, Evaluation
from evomerge.report.facts import Baseline, Facts
from evomerge.report.findings.family import family
from evomerge.report.members import Comparison, Member

FORMAT = 2


def front_json(facts: Facts) -> dict[str, Any]:
    """The front with all intervals and comparisons, as a JSON object."""
    relatives = family(facts.results, facts.members)
    return {
        "format": FORMAT,
        "headline": facts.headline,
        "objectives": [o.to_json() for o in facts.results.objectives],
        "candidates": len(facts.results.candidates),
        "recommended": facts.recommended,
        "failed": facts.failed,
        "items": {split: facts.items(split) for split in SPLITS},
        "comparisons": facts.comparisons,
        "procedure": {
            label: {**expected.interval.to_json(), "optimism": expected.optimism, "items": expected.items}
            for label, expected in facts.procedure.scores.items()
        },
        "optimism": {
            label: {split: {"members": drops[0], "baselines": drops[1]} for split, drops in splits.items()}
            for label, splits in facts.optimism.items()
        },
        "preference": None if facts.preference is None else facts.preference.words,
        "indicators": {split: found.to_json() for split, found in facts.indicators.items()},
        "quantised": None if facts.serving is None else facts.serving.to_json(),
        "importance": None if facts.genes is None else facts.genes.to_json(),
        **({"family": {key: one.to_json() for key, one in relatives.items()}} if relatives else {}),
        "members": [_member(member) for member in facts.members],
        "baselines": [_baseline(baseline) for baseline in facts.baselines],
    }


def front_csv(facts: Facts) -> str:
    """One row per member and baseline; an objective's columns are ``<objective>:<quantity>``."""
    columns = ["id", "kind", "digest", "knee", "recommended", "holds", "on_test_front", "dominated_by"]
    for objective in facts.results.objectives:
        names = [f"{split}{end}" for split in SPLITS for end in ("", "_low", "_high")]
        names += ["best_expert", "difference", "difference_low", "difference_high", "p_holm", "mark"]
        columns += [f"{objective.label}:{name}" for name in names]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for member in facts.members:
        row = {
            "id": member.id,
            "kind": "member",
            "digest": member.digest,
            "knee": int(member.knee),
            "recommended": int(member.recommended),
            "holds": member.holding.verdict,
            "on_test_front": int(member.on_test_front),
            "dominated_by": " ".join(member.dominated_by),
        }
        writer.writerow(row | _columns(_scores(member), member.versus_expert, marks=True))
    for baseline in facts.baselines:
        row = {"id": baseline.name, "kind": baseline.kind}
        writer.writerow(row | _columns(_scores(baseline), baseline.versus_expert, marks=False))
    return out.getvalue()


def _member(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "digest": member.digest,
        "batch": member.search.batch,
        "index": member.search.index,
        **{split: _intervals(scores) for split, scores in _scores(member).items()},
        "difference_to_best_expert": {k: c.to_json() for k, c in member.versus_expert.items()},
        "difference_to_uniform": {k: c.to_json() for k, c in member.versus_uniform.items()},
        "difference_to_tuned": {k: c.to_json() for k, c in member.versus_tuned.items()},
        "mark": {label: comparison.mark for label, comparison in member.versus_expert.items()},
        "beats_best_expert": member.beats_best_expert,
        "holding": member.holding.to_json() if member.holding.tests else None,
        "recommended": member.recommended,
        "knee": member.knee,
        "on_test_front": member.on_test_front,
        "dominated_by": list(member.dominated_by),
        "metrics": {split: _metrics(getattr(member, split)) for split in SPLITS},
    }


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {
        "name": baseline.name,
        "kind": baseline.kind,
        **{split: _intervals(scores) for split, scores in _scores(baseline).items()},
        "difference_to_best_expert": {k: c.to_json() for k, c in baseline.versus_expert.items()},
    }


def _scores(model: Member | Baseline) -> dict[str, Mapping[str, Interval]]:
    return {split: model.scores(split) for split in SPLITS}


def _intervals(scores: Mapping[str, Interval]) -> dict[str, Any] | None:
    return {label: interval.to_json() for label, interval in scores.items()} or None


def _metrics(evaluation: Evaluation | None) -> dict[str, float] | None:
    return dict(evaluation.metrics) if evaluation is not None and evaluation.error is None else None


def _columns(
    splits: Mapping[str, Mapping[str, Interval]], versus: Mapping[str, Comparison], marks: bool
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for split, scores in splits.items():
        for label, interval in scores.items():
            shown = interval.to_json()
            row |= {f"{label}:{split}": shown["mean"], f"{label}:{split}_low": shown["low"]}
            row[f"{label}:{split}_high"] = shown["high"]
    for label, comparison in versus.items():
        shown = comparison.to_json()
        row |= {f"{label}:best_expert": comparison.against, f"{label}:difference": shown["mean"]}
        row |= {f"{label}:difference_low": shown["low"], f"{label}:difference_high": shown["high"]}
        if marks:
            row |= {f"{label}:p_holm": comparison.adjusted, f"{label}:mark": comparison.mark}
    return row
