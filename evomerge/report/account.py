"""What a run cost, what failed in it, and what its reader should be warned of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evomerge.report.members import Member
from evomerge.report.results import Results, short_name
from evomerge.report.wording import count, number

FEW_ITEMS = 100
_MESSAGE = 500  # characters of an error shown


def costs(results: Results) -> dict[str, Any]:
    """Seconds and items by split.

    Returns:
        ``kinds`` (the seconds' names), ``rows`` (what, evaluations, items, seconds by kind), ``wall``, the seconds from
        start to end when the run recorded them, and ``rest``, what of them was neither merging nor scoring; None where
        workers ran side by side.
    """
    evaluations = results.store.evaluations()
    spent = {e.ask: results.store.provenance(e).seconds for e in evaluations}
    kinds = list(dict.fromkeys(["merge", "score", *(kind for seconds in spent.values() for kind in seconds)]))
    rows: list[dict[str, Any]] = []
    for split in dict.fromkeys(e.split for e in evaluations):
        for baseline in (True, False):
            group = [e for e in evaluations if e.split == split and (e.name is not None) == baseline]
            if group:
                rows.append(
                    {
                        "what": f"{'baselines' if baseline else 'candidates'}, {split} items",
                        "evaluations": len(group),
                        "items": sum(e.items for e in group),
                        "seconds": {kind: sum(float(spent[e.ask].get(kind, 0.0)) for e in group) for kind in kinds},
                    }
                )
    status = results.store.read_json("status.json") or {}
    wall = status.get("seconds")
    known = float(wall) if isinstance(wall, int | float) else None
    rest = None if known is None else known - sum(sum(row["seconds"].values()) for row in rows)
    return {"kinds": kinds, "rows": rows, "wall": known, "rest": rest if rest is not None and rest >= 0.0 else None}


def failures(results: Results) -> list[dict[str, Any]]:
    """Failed evaluations by kind: how many, and the first message."""
    found: dict[str, dict[str, Any]] = {}
    for evaluation in results.store.evaluations():
        if evaluation.error is not None:
            entry = found.setdefault(
                evaluation.error.kind,
                {
                    "kind": evaluation.error.kind,
                    "count": 0,
                    "message": evaluation.error.message[:_MESSAGE],
                    "digest": evaluation.digest[:8],
                },
            )
            entry["count"] += 1
    return list(found.values())


def shrinkage(results: Results, members: Sequence[Member]) -> dict[str, tuple[float, float | None]]:
    """How much lower test scores are than search scores, on average, in each objective's natural direction.

    Returns:
        Objective label to the drop of the members, who were selected by their search scores, and that of the
        baselines, who were not.
    """
    found = {}
    for objective in results.objectives:
        sign = 1.0 if objective.higher_is_better else -1.0
        label = objective.label
        drops = [sign * (m.search_scores[label].mean - m.test_scores[label].mean) for m in members if m.test_scores]
        pairs = [(results.baseline_sheet(n, "search"), results.baseline_sheet(n, "test")) for n in results.names]
        others = [sign * (a.values[label] - b.values[label]) for a, b in pairs if a is not None and b is not None]
        if drops:
            found[label] = (float(np.mean(drops)), float(np.mean(others)) if others else None)
    return found


def warnings(results: Results, members: Sequence[Member]) -> list[str]:
    """What the run itself warned of, then what its records show."""
    found = [str(text) for text in results.store.manifest.get("warnings", ())]
    found += [
        f"The baseline {short_name(e.name)} failed on {e.split} items: {e.error.message.splitlines()[0][:_MESSAGE]}"
        for e in results.store.evaluations()
        if e.name is not None and e.error is not None and e.error.message
    ]
    total, failed = len(results.candidates), sum(e.error is not None for e in results.candidates)
    if failed and failed >= 0.2 * total:
        found.append(f"{failed} of {count(total, 'candidate')} failed.")
    untested = sum(not m.test_scores for m in members)
    if members and untested:
        found.append(f"{untested} of {count(len(members), 'member')} not scored on held-out items.")
    found += _few_items(results, members)
    sheets = {short_name(n): results.baseline_sheet(n, "test") for n in results.names}
    sheets |= {m.id: results.sheet(m.test) for m in members}
    cut = {name: sheet.truncated for name, sheet in sheets.items() if sheet is not None and sheet.truncated > 0.0}
    if cut:
        worst = max(cut, key=lambda name: cut[name])
        found.append(
            f"{count(len(cut), 'model')} of {len(sheets)} reached the length limit in generated answers, most often "
            f"{worst} ({number(cut[worst], percent=True)} % of its answers): truncated answers are scored as they are."
        )
    return found


def _few_items(results: Results, members: Sequence[Member]) -> list[str]:
    sheets = [results.sheet(m.test) for m in members]
    found: list[str] = []
    few: dict[int, list[str]] = {}
    for objective in results.objectives:
        parts = next((s.parts[objective.label] for s in sheets if s is not None), ())
        if parts is None:
            found.append(f"{objective.label} is not explained by its items one by one, so it has no interval.")
        elif parts and (n := min(len(part.items) for part in parts)) < FEW_ITEMS:
            few.setdefault(n, []).append(objective.label)
    found += [f"Only {count(n, 'held-out item')} for {', '.join(few[n])}: intervals are wide." for n in sorted(few)]
    return found
