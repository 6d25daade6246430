"""Costs of a run: seconds and items by split, and its failures."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from typing import Any

from evomerge.report.results import Results
from evomerge.report.wording import NBSP, SPLIT_WORDS, duration
from evomerge.store import RunStore, newly_asked

MESSAGE = 500  # characters of an error shown
_SAID = 0.01  # share of the wall time from which proposals are spoken of


def costs(results: Results) -> dict[str, Any]:
    """Seconds and items by split.

    Returns:
        ``kinds`` (the seconds' names), ``rows`` (what, evaluations, items, seconds by kind), and ``total``: a sentence
        on the time from start to end, what of it was neither merging nor scoring (left out where workers ran side by
        side), and what the searcher's proposals took, from 1 % on; None where the run has not recorded its time.
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
    wall = (results.store.read_json("status.json") or {}).get("seconds")
    total = _total(float(wall), rows, proposing(results.store)) if isinstance(wall, int | float) else None
    return {"kinds": kinds, "rows": rows, "total": total}


def _total(wall: float, rows: list[dict[str, Any]], proposed: float) -> str:
    rest = wall - sum(sum(row["seconds"].values()) for row in rows)
    neither = f", {duration(rest)} of them neither merging nor scoring" if rest >= 0.0 else ""
    share = proposed / wall if wall > 0.0 else 0.0
    searcher = (
        f" The searcher's proposals took {duration(proposed)}, {100 * share:.0f}{NBSP}%." if share >= _SAID else ""
    )
    return f"{duration(wall)} from start to end{neither}.{searcher}"


def proposing(store: RunStore) -> float:
    """Wall seconds from what a searcher is told of a batch to the ask of the next, by the log of events.

    They are those of its proposals, and of a little bookkeeping. Not counted are proposals that were made again when
    the run went on, those after which a round began, and those of searches without batches, which have no such pauses.
    """
    path = store.folder / "events.jsonl"
    if store.manifest.get("identity", {}).get("mode") is not None or not path.exists():
        return 0.0
    seconds, told = 0.0, None
    for line in path.read_bytes().splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):  # a crash may have cut a line
            event = json.loads(line)
            time = datetime.fromisoformat(event["time"])
            if told is not None and event["event"] == "asked":
                seconds += max((time - told).total_seconds(), 0.0)
            told = time if event["event"] == "told" else None
    return seconds


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
