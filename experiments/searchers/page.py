"""The page of the study: what searches return, and what their proposals cost."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import json_lines
from experiments.machine import machine
from experiments.repeats import over_repeats, points

__all__ = ["write"]

Found = Mapping[str, Mapping[int, Mapping[int, Mapping[str, float]]]]  # searcher, budget and seed to figures
RIVAL = {1: "cmaes", 2: "nsga2"}
WHAT = {1: ("returned", "True score of the best by the search's own items"), 2: ("hypervolume", "True hypervolume")}


def write(work: Path, out: Path) -> None:
    """Writes ``searchers.md`` and ``searchers.json``."""
    searches = json_lines.read(work / "searches.jsonl")
    facts = machine("numpy", "optuna", "torch", "pymoo", "cma")
    lines = ["# Searchers at equal budget", "", *_introduction(facts), *_retaken(searches)]
    for objectives in (1, 2):
        lines += _section(objectives, _by_searcher(searches, objectives))
    priors = _by_searcher(searches, 1, paired=True)
    lines += _prior(priors) if priors else []
    out.mkdir(parents=True, exist_ok=True)
    (out / "searchers.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = json.dumps({"machine": facts, "searches": [_rounded(one) for one in searches]}, separators=(",", ":"))
    (out / "searchers.json").write_text(data.replace('{"searcher"', '\n{"searcher"') + "\n", encoding="utf-8")


def _by_searcher(searches: list[dict[str, Any]], objectives: int, *, paired: bool = False) -> Found:
    """Figures of each searcher; of a budget that several searches reached, as a part of a longer one, those of one."""
    found: dict[str, dict[int, dict[int, Mapping[str, float]]]] = defaultdict(lambda: defaultdict(dict))
    for one in searches:
        if one["objectives"] == objectives and one.get("paired", False) == paired:
            for budget, figures in one["found"].items():
                found[one["searcher"]][int(budget)][one["seed"]] = figures
    return found


def _introduction(facts: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return [
        "The landscapes are three recorded tables of the example's family (task arithmetic of two experts, a weight",
        "for each and each of nine parts: 18 genes), smoothed by kernel regression; seed k has table k mod 3. A search",
        "is told accuracies on 30 items of each of two tasks, drawn anew for each seed, and judged on all 700 of the",
        "test split. With one objective it is told the mean of both. Starts are the average of the experts and",
        "the sum of their deltas; settings are defaults (batches of 8 for `tpe` and `gp`, 12 for `cmaes`, else 16).",
        "Smoothing is by a Matern kernel, as the model of `gp` has one too: that is in its favour. Toys, and no claim",
        "about large models. Seconds are those of one core's work, whatever else the machine did.",
        "",
        f"{facts['cpu']}, {facts['date']}, {versions}.",
    ]


def _retaken(searches: list[dict[str, Any]]) -> list[str]:
    """A sentence on searches that were taken later than the others, if any were."""
    again = [one for one in searches if "taken" in one]
    if len(again) in (0, len(searches)):
        return []
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(one["searcher"] for one in again))
    first, last = (edge(one["taken"] for one in again)[:16].replace("T", " ") for edge in (min, max))
    return [
        f"Searches of {names} were taken again with a later version of the searcher, from {first}",
        f"to {last} (UTC); the others stand as they were before, their seconds too.",
    ]


def _section(objectives: int, found: Found) -> list[str]:
    what, title = WHAT[objectives]
    rival = RIVAL[objectives]
    budgets = sorted({budget for rows in found.values() for budget in rows})
    lines = ["", f"## {'One objective' if objectives == 1 else 'Two objectives'}", ""]
    lines += [f"{title}, per cent: mean over seeds and its standard error, in brackets"]
    lines += [
        f"how many seeds there are if not ten; then the paired difference to `{rival}` with its 95 % interval over"
    ]
    lines += ["the seeds that both have. What is empty was not run: it takes long.", ""]
    lines += _compared(found, budgets, what, rival)
    if objectives == 1:
        lines += ["", "Best true score among all candidates, which the search cannot know:", ""]
        lines += _compared(found, budgets, "best", rival)
    lines += ["", "Seconds of all proposals until then, and milliseconds of one then:", ""]
    lines += [f"| searcher | {' | '.join(map(str, budgets))} |", f"|---|{'---|' * len(budgets)}"]
    for searcher, rows in found.items():
        lines += [f"| `{searcher}` | {' | '.join(_cost(rows.get(budget, {})) for budget in budgets)} |"]
    return lines


def _compared(found: Found, budgets: Sequence[int], what: str, rival: str) -> list[str]:
    """A table of means, and of differences to a rival."""
    lines = _head(budgets, rival)
    for searcher, rows in found.items():
        means = [_mean(rows.get(budget, {}), what) for budget in budgets]
        gaps = ["" if searcher == rival else _against(found, searcher, budget, what, rival) for budget in budgets]
        lines += [f"| `{searcher}` | {' | '.join([*means, *gaps])} |"]
    return lines


def _prior(found: Found) -> list[str]:
    """The process with and without a prior, on one table."""
    budgets = sorted({budget for rows in found.values() for budget in rows})
    lines = ["", "## A prior of where the experts differ", ""]
    lines += [
        "`gp` with and without `searcher.options.prior=deltas`, one objective, on the one table whose models come with"
    ]
    lines += ["the package. True score, per cent, and the paired difference to `gp` without.", ""]
    lines += _compared(found, budgets, "returned", "gp")
    lines += ["", "Best true score among all candidates:", ""]
    return lines + _compared(found, budgets, "best", "gp")


def _head(budgets: Sequence[int], rival: str) -> list[str]:
    columns = [*map(str, budgets), *(f"{budget}, less {rival}" for budget in budgets)]
    return [f"| searcher | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]


def _values(figures: Mapping[int, Mapping[str, float]], what: str) -> NDArray[np.float64]:
    return np.array([figures[seed][what] for seed in sorted(figures)])


def _mean(figures: Mapping[int, Mapping[str, float]], what: str) -> str:
    if not figures:
        return ""
    values = 100 * _values(figures, what)
    error = f" ± {values.std(ddof=1) / np.sqrt(len(values)):.1f}" if len(values) > 1 else ""
    return f"{values.mean():.1f}{error}" + ("" if len(values) == 10 else f" [{len(values)}]")


def _against(found: Found, searcher: str, budget: int, what: str, rival: str) -> str:
    ours, theirs = (found.get(name, {}).get(budget, {}) for name in (searcher, rival))
    seeds = sorted(set(ours) & set(theirs))
    gaps = np.array([ours[seed][what] - theirs[seed][what] for seed in seeds])
    if len(gaps) > 1:
        return points(gaps)
    return f"{100 * over_repeats(gaps)[0]:+.1f}" if len(gaps) else ""


def _cost(figures: Mapping[int, Mapping[str, float]]) -> str:
    if not figures:
        return ""
    return f"{_values(figures, 'seconds').mean():.1f} s, {1000 * _values(figures, 'last').mean():.1f} ms"


def _rounded(one: Mapping[str, Any]) -> dict[str, Any]:
    found = {budget: {what: round(value, 5) for what, value in row.items()} for budget, row in one["found"].items()}
    return {**one, "found": found}
