"""The page of the study: tables, figure and the figures as data, from whatever searches are done."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from evomerge.analysis.student import normal_quantile
from experiments import json_lines
from experiments.machine import machine
from experiments.repeats import points
from experiments.spaces.layouts import ABOUT, LAYOUTS

Cells = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]  # layout and algorithm to searches, by seed
PLAIN = "layer"


def write(work: Path, out: Path) -> None:
    """Writes ``study.md``, ``study.json`` and ``study.png``."""
    searches = json_lines.read(work / "searches.jsonl")
    by_family: dict[str, dict[tuple[str, str], list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for entry in sorted(searches, key=lambda entry: entry["seed"]):
        by_family[entry["family"]][entry["layout"], entry["algorithm"]].append(entry)
    lines = ["# Search spaces and algorithms at equal budget", "", *_introduction()]
    found: dict[str, Any] = {"machine": machine("torch", "pymoo", "cma"), "families": {}}
    for family, cells in by_family.items():
        whole = _complete(cells)
        baselines = json.loads((work / f"{family.replace(' ', '_')}.json").read_text(encoding="utf-8"))
        lines += _family(family, whole, baselines)
        found["families"][family] = {"baselines": baselines, "cells": _data(whole)}
    judged = json_lines.read(work / "subsets.jsonl")
    if judged:
        lines += _subsets(judged)
        found["subsets"] = judged
    out.mkdir(parents=True, exist_ok=True)
    if by_family:
        lines += ["", "![Fresh score by number of genes, layout and algorithm](study.png)"]
        _draw({family: _complete(cells) for family, cells in by_family.items()}, out / "study.png")
    (out / "study.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (out / "study.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _complete(cells: Cells) -> Cells:
    """The cells with the seeds that all of them have, so that all are means over the same items."""
    seeds = set.intersection(*({entry["seed"] for entry in entries} for entries in cells.values()))
    return {cell: [entry for entry in entries if entry["seed"] in seeds] for cell, entries in cells.items()}


def _values(entries: Sequence[Mapping[str, Any]], budget: str, what: str) -> np.ndarray:
    return np.array([entry["budgets"][budget][what] for entry in entries])


def _budgets(cells: Cells) -> list[str]:
    return list(next(iter(cells.values()))[0]["budgets"])


def _algorithms(cells: Cells) -> list[str]:
    return list(dict.fromkeys(algorithm for _, algorithm in cells))


def _introduction() -> list[str]:
    return [
        "Task arithmetic of tiny decoders (six layers, half a million parameters), two tasks. Every search has the",
        "same budget and the same items, drawn anew for every seed; searchers for one objective are told the mean over",
        "both tasks, the others both. A search returns the best of five candidates on selection items; its score is",
        "that on 200 fresh items of each task. Hypervolume is that of at most five members of the front, on fresh",
        "items, from the origin. Means over seeds, in per cent, with their standard error. A smaller budget is the",
        "beginning of the same search. These are toys that show a mechanism: what is measured here is no claim about",
        "large models.",
        "",
        "| layout | |",
        "|---|---|",
        *(f"| {name} | {about} |" for name, about in ABOUT.items()),
    ]


def _family(family: str, cells: Cells, baselines: Mapping[str, float]) -> list[str]:
    algorithms, budgets = _algorithms(cells), _budgets(cells)
    seeds = len(next(iter(cells.values())))
    scores = ", ".join(f"{name.removeprefix('expert:')} {100 * score:.1f}" for name, score in baselines.items())
    lines = ["", f"## {family.capitalize()}, {seeds} seed{'s' if seeds > 1 else ''}", "", f"On fresh items: {scores}."]
    lines += ["" if seeds > 2 else "\nOne or two seeds: differences of a few points between cells are noise.\n"]
    for what, title in (
        ("returned", "Fresh score of the returned model"),
        ("hypervolume", "Hypervolume on fresh items"),
    ):
        lines += [f"{title}, {budgets[-1]} candidates:", "", f"| layout | genes | {' | '.join(algorithms)} |"]
        lines += [f"|---|---|{'---|' * len(algorithms)}"]
        for layout in LAYOUTS:
            row = [_mean(_values(cells[layout, algorithm], budgets[-1], what)) for algorithm in algorithms]
            lines += [f"| {layout} | {_genes(cells, layout)} | {' | '.join(row)} |"]
        lines += [""]
    lines += [
        "Mean over the algorithms but random by budget, and the paired difference to one weight per layer with its"
    ]
    lines += ["95 % interval over seeds:", "", f"| layout | genes | {' | '.join(budgets)} |"]
    lines += [f"|---|---|{'---|' * len(budgets)}"]
    for layout in LAYOUTS:
        row = [_against(cells, layout, budget) for budget in budgets]
        lines += [f"| {layout} | {_genes(cells, layout)} | {' | '.join(row)} |"]
    claims = [
        _values(entries, budgets[-1], "claimed") - _values(entries, budgets[-1], "observed")
        for entries in cells.values()
    ]
    lines += [
        "",
        f"The best search score exceeds its fresh score by {100 * float(np.mean(claims)):.1f} points on average.",
    ]
    return lines


def _genes(cells: Cells, layout: str) -> int:
    return int(next(entries[0]["genes"] for (name, _), entries in cells.items() if name == layout))


def _mean(values: np.ndarray) -> str:
    error = f" ({100 * values.std(ddof=1) / np.sqrt(len(values)):.1f})" if len(values) > 1 else ""
    return f"{100 * values.mean():.1f}{error}"


def searched(cells: Cells, layout: str, budget: str, what: str = "returned") -> np.ndarray:
    """Means over the algorithms but random, ``(seeds,)``."""
    rows = [_values(cells[layout, name], budget, what) for name in _algorithms(cells) if name != "random"]
    return np.asarray(np.mean(rows, axis=0))


def _against(cells: Cells, layout: str, budget: str) -> str:
    ours = searched(cells, layout, budget)
    if layout == PLAIN or len(ours) < 2:
        return f"{100 * ours.mean():.1f}"
    gaps = ours - searched(cells, PLAIN, budget)
    return f"{100 * ours.mean():.1f}, {points(gaps)}"


def _data(cells: Cells) -> dict[str, Any]:
    """Layout to genes and, by algorithm and budget, the values of every seed."""
    found: dict[str, Any] = {}
    for (layout, algorithm), entries in cells.items():
        row = found.setdefault(layout, {"genes": entries[0]["genes"]})
        row[algorithm] = {
            budget: {
                what: [round(float(value), 5) for value in _values(entries, budget, what)]
                for what in ("claimed", "observed", "returned", "hypervolume")
                if what in entries[0]["budgets"][budget]
            }
            for budget in _budgets(cells)
        }
    return found


def _subsets(judged: Sequence[Mapping[str, Any]]) -> list[str]:
    ways = list(judged[0]["ways"])
    rivals = ("against the best expert", "against tuned task arithmetic")
    lines = [
        "",
        f"## With and without search: {len(judged)} random subset{'s' if len(judged) > 1 else ''} of the six experts",
        "",
        "Whatever the subset, its merges are asked all three skills in both languages. *Beats* counts subsets in which",
        f"the merge is better on all {judged[0]['items']} fresh items of each task; in brackets those where the 95 %",
        "interval of the paired difference lies above zero. The best expert is the best on these very items. Tuned",
        "task arithmetic has one scale for all experts, the best of 15, and is asked as many items as a search of 96",
        "candidates.",
        "",
        "| | fresh score | beats the best expert | beats tuned task arithmetic | beats both |",
        "|---|---|---|---|---|",
        f"| best expert | {100 * np.mean([entry['best expert'] for entry in judged]):.1f} | | | |",
    ]
    for way in ways:
        rows = [entry["ways"][way] for entry in judged]
        counts = [[_better(row[rival]) for row in rows] for rival in rivals]
        both = [(a[0] and b[0], a[1] and b[1]) for a, b in zip(*counts, strict=True)]
        score = f"{100 * np.mean([row['fresh'] for row in rows]):.1f}"
        own = way == "tuned task arithmetic"
        cells = ["" if own and place else _share(found) for place, found in enumerate([*counts, both])]
        lines += [f"| {way} | {score} | {' | '.join(cells)} |"]
    return lines


def _better(difference: Mapping[str, float]) -> tuple[bool, bool]:
    """Whether a difference is above zero, and whether its 95 % interval is."""
    return difference["mean"] > 0.0, difference["mean"] > normal_quantile(0.95) * difference["se"]


def _share(found: Sequence[tuple[bool, bool]]) -> str:
    better, clear = (100 * np.mean([row[place] for row in found]) for place in (0, 1))
    return f"{better:.0f} % ({clear:.0f} %)"


def _draw(families: Mapping[str, Cells], path: Path) -> None:
    mpl.use("agg")
    from matplotlib import pyplot as plt  # the backend has to be chosen first

    figure, axes = plt.subplots(len(families), 2, figsize=(11, 4.2 * len(families)), squeeze=False)
    for (family, cells), (left, right) in zip(families.items(), axes, strict=True):
        order = sorted(LAYOUTS, key=lambda layout, cells=cells: _genes(cells, layout))
        _draw_budgets(left, family, cells, order)
        _draw_algorithms(right, family, cells, order)
    figure.tight_layout()
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)


def _draw_budgets(axis: Any, family: str, cells: Cells, order: Sequence[str]) -> None:
    """Fresh score by layout, a line for each budget."""
    places = range(len(order))
    for budget in _budgets(cells):
        values = [100 * searched(cells, layout, budget) for layout in order]
        errors = [found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else 0.0 for found in values]
        means = [found.mean() for found in values]
        axis.errorbar(places, means, errors, marker="o", capsize=2, label=f"{budget} candidates")
    axis.set_xticks(places, [f"{layout}\n{_genes(cells, layout)} genes" for layout in order])
    axis.set(title=f"{family}: mean over algorithms", ylabel="fresh score (%)")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)


def _draw_algorithms(axis: Any, family: str, cells: Cells, order: Sequence[str]) -> None:
    """Fresh score by layout and algorithm at the largest budget."""
    algorithms, last = _algorithms(cells), _budgets(cells)[-1]
    rows = [[_values(cells[layout, name], last, "returned").mean() for name in algorithms] for layout in order]
    table = 100 * np.array(rows)
    axis.imshow(table, cmap="viridis", aspect="auto")
    middle = (table.min() + table.max()) / 2
    for row, column in np.ndindex(table.shape):
        shade = "white" if table[row, column] < middle else "black"
        axis.text(column, row, f"{table[row, column]:.1f}", ha="center", va="center", color=shade, fontsize=9)
    axis.set_xticks(range(len(algorithms)), algorithms)
    axis.set_yticks(range(len(order)), [f"{layout} ({_genes(cells, layout)})" for layout in order])
    axis.set_title(f"{family}: fresh score after {last} candidates (%)")
