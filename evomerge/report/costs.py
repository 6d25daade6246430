"""Costs of a run: seconds and items by split, and its failures."""

from __future__ import annotations

from typing import Any

from evomerge.report.results import Results
from evomerge.report.wording import SPLIT_WORDS
from evomerge.store import newly_asked

MESSAGE = 500  # characters of an error shown


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
                        "what": f"{'baselines' if baseline else 'candidates'}, {SPLIT_WORDS[split]} items",
                        "evaluations": len(group),
                        "items": sum(newly_asked(results.store, e) for e in group),
                        "seconds": {kind: sum(float(spent[e.ask].get(kind, 0.0)) for e in group) for kind in kinds},
                    }
                )
    status = results.store.read_json("status.json") or {}
    wall = status.get("seconds")
    known = float(wall) if isinstance(wall, int | float) else None
    rest = None if known is None else known - sum(sum(row["seconds"].values()) for row in rows)
    return {"kinds": kinds, "rows": rows, "wall": known, "rest": rest if rest is not None and rest >= 0.0 else None}


def failures(results: Results) -> list[dict[str, Any]]:
    """Failed evaluations by kind: their number and the first message."""
    found: dict[str, dict[str, Any]] = {}
    for evaluation in results.store.evaluations():
        if evaluation.error is not None:
            entry = found.setdefault(
                evaluation.error.kind,
                {
                    "kind": evaluation.error.kind,
                    "count": 0,
                    "message": evaluation.error.message[:MESSAGE],
                    "digest": evaluation.digest[:8],
                },
            )
            entry["count"] += 1
    return list(found.values())
