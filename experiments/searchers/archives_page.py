"""The page of archives: what searchers reach of a grid of scores, as a table and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from experiments.machine import machine
from experiments.repeats import points

__all__ = ["write"]

RIVAL = "nsga2"
WHAT = {
    "coverage": "Coverage: cells with an elite by its true scores, per cent of all 100",
    "quality": "QD score: sum over these cells of the best true mean accuracy, per cent of that of 100 perfect cells",
    "best": "Best true mean accuracy among all candidates, which no search can know, per cent",
    "returned": "True mean accuracy of the best by the search's own items, per cent",
    "hypervolume": "Hypervolume of the true scores of the front that the search believes in, per cent",
}
Found = Mapping[str, Mapping[int, Mapping[str, Mapping[str, Any]]]]  # searcher and seed to budget to figures


def write(searches: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Writes ``archives.md``, ``archives.json`` and ``archives.png``."""
    found: dict[str, dict[int, Mapping[str, Mapping[str, Any]]]] = {}
    for one in sorted(searches, key=lambda one: one["seed"]):
        found.setdefault(one["searcher"], {})[one["seed"]] = one["found"]
    facts = machine("numpy", "pymoo", "cma", "ribs")
    budgets = list(next(iter(next(iter(found.values())).values())))
    lines = ["# Archives of elites at equal budget", "", *_introduction(facts)]
    lines += ["", "![Cells that searchers reach, by how many of the seeds reach them](archives.png)", ""]
    lines += _reached(searches, budgets[-1])
    for what, title in WHAT.items():
        lines += ["", f"{title}:", "", *_table(found, budgets, what)]
    lines += ["", "Cells with an elite by what the search was told, per cent: an archive shows these.", ""]
    lines += _table(found, budgets, "believed")
    out.mkdir(parents=True, exist_ok=True)
    (out / "archives.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = json.dumps({"machine": facts, "searches": [_rounded(one) for one in searches]}, separators=(",", ":"))
    (out / "archives.json").write_text(data.replace('{"searcher"', '\n{"searcher"') + "\n", encoding="utf-8")
    _draw(found, budgets, out / "archives.png")


def _introduction(facts: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return [
        "Landscapes, items and seeds are those of [searchers at equal budget](searchers.md): smoothed tables of toy",
        "models, 18 genes, 30 items of each of two tasks. Every search starts as a real one does, from the experts,",
        "their average and scaled sums of their deltas. The grid has ten by ten cells over both accuracies, and spans",
        "what base, experts and average reach and a quarter more on either side; the objective of `random`, `cmaes`,",
        "`map_elites` and `cma_me` is the mean accuracy, `nsga2` and `cycleqd` have both as objectives.",
        "Whatever a searcher keeps itself, all its candidates are put into one archive by the scores that it was told,",
        "and the elites are judged by their true scores (all 700 test items), in the cells where these lie. Settings",
        "are defaults, but for `cycleqd`: a landscape knows no singular vectors to mutate along, so its children get",
        "noise on genes (`mutation=genes`), which is not the published mutation. `map_elites` has `iso` 0.05 and",
        "`line` 0.5; with short steps these are the published 0.01 and 0.2, with long ones 0.1 and 1.",
        "",
        *_findings(),
        "",
        f"{facts['cpu']}, {facts['date']}, {versions}.",
    ]


def _findings() -> list[str]:
    """What the figures say, written by hand; to be read again whenever they change."""
    return [
        "- With thirty items of a task much of an archive is noise: searches believe to fill one and a half times to",
        "  twice the cells that their elites fill by their true scores.",
        "- Random genomes fill as many cells as the children of elites at 200 candidates, and about as many at 1,000.",
        "  At diversity the archives are no better than chance here, where a thousand candidates are few for 18 genes;",
        "  the best model among `map_elites`'s candidates is better than the best random one.",
        "- `cycleqd` has the best front of 200 candidates and returns the best model. At 1,000 it is not told apart",
        "  from `nsga2`, and `cma_me` returns a worse model.",
        "- Long steps of `map_elites` fill more cells than its defaults do, and the published ones, made for many more",
        "  candidates, fewer. None of the three returns a model that is told apart from the others'.",
        "- Intervals are those of one difference each, not of all that are here at once.",
    ]


def _reached(searches: Sequence[Mapping[str, Any]], budget: str) -> list[str]:
    """How many cells any search has reached."""
    there: dict[str, set[tuple[int, int]]] = {}
    for one in searches:
        there.setdefault(one["table"], set()).update((x, y) for x, y, _ in one["found"][budget]["cells"])
    counts = ", ".join(str(len(cells)) for _, cells in sorted(there.items()))
    return [
        f"All searches together reach {counts} of the 100 cells of the three tables: others may hold no merge at all."
    ]


def _table(found: Found, budgets: Sequence[str], what: str) -> list[str]:
    columns = [*budgets, *(f"{budget}, less {RIVAL}" for budget in budgets)]
    lines = [f"| searcher | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for searcher, rows in found.items():
        means = [_mean([row[budget][what] for row in rows.values()]) for budget in budgets]
        gaps = ["" if searcher == RIVAL else _against(rows, found.get(RIVAL, {}), budget, what) for budget in budgets]
        lines.append(f"| `{searcher}` | {' | '.join([*means, *gaps])} |")
    return lines


def _mean(shares: Sequence[float]) -> str:
    values = 100 * np.array(shares)
    error = f" ± {values.std(ddof=1) / np.sqrt(len(values)):.1f}" if len(values) > 1 else ""
    return f"{values.mean():.1f}{error}" + ("" if len(values) == 10 else f" [{len(values)}]")


def _against(
    ours: Mapping[int, Mapping[str, Any]], theirs: Mapping[int, Mapping[str, Any]], budget: str, what: str
) -> str:
    gaps = [ours[seed][budget][what] - theirs[seed][budget][what] for seed in ours if seed in theirs]
    return points(np.array(gaps)) if gaps else ""


def _rounded(one: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        budget: {what: value if what == "cells" else round(value, 5) for what, value in row.items()}
        for budget, row in one["found"].items()
    }
    return {**one, "found": found}


def _draw(found: Found, budgets: Sequence[str], path: Path) -> None:
    """A heat map for each searcher and budget: the share of seeds with an elite in a cell."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # the backend has to be chosen first

    size = (1.75 * len(found) + 1.2, 2.1 * len(budgets) + 0.5)
    figure, axes = plt.subplots(len(budgets), len(found), figsize=size, squeeze=False, layout="constrained")
    for row, budget in zip(axes, budgets, strict=True):
        for axis, (searcher, seeds) in zip(row, found.items(), strict=True):
            share = np.zeros((10, 10))
            for one in seeds.values():
                for x, y, _ in one[budget]["cells"]:
                    share[y, x] += 1 / len(seeds)
            shown = axis.imshow(np.where(share > 0, share, np.nan), origin="lower", vmin=0, vmax=1, cmap="viridis_r")
            axis.set_facecolor("#f4f3ee")
            axis.set_xticks([])
            axis.set_yticks([])
            coverage = np.mean([one[budget]["coverage"] for one in seeds.values()])
            axis.set_title(f"{searcher.replace(', ', chr(10))}: {100 * coverage:.0f} cells", fontsize=9)
        row[0].set_ylabel(f"{int(budget):,} candidates\naccuracy on exam_b", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("accuracy on exam_a", fontsize=8)
    figure.colorbar(shown, ax=axes, label="share of seeds with an elite", shrink=0.8)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
