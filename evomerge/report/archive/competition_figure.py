"""``archive.png`` of M2N2: the share of the items that each member gets, and its scores on each task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from evomerge.report.archive.competition import Competition
from evomerge.report.figure import INK, plain, saved

__all__ = ["competition_figure"]

# Okabe and Ito's palette, in an order in which neighbours differ most.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")


def competition_figure(found: Competition, path: Path) -> Path:
    """Draws an archive: bars of shares by task beside a map of scores, whoever gets most on top.

    Args:
        found: The archive.
        path: The PNG file to write.

    Returns:
        ``path``.
    """
    count, tasks = len(found.members), found.tasks
    figure = Figure(figsize=(8.4, 1.5 + 0.27 * count), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    bars, scores = figure.subplots(1, 2, sharey=True, width_ratios=(3.0, max(1.0, 0.45 * len(tasks))))
    places, ends = np.arange(count), np.zeros(count)
    for number, task in enumerate(tasks):
        own = np.array([member.shares[task] for member in found.members])
        colour = _COLOURS[number % len(_COLOURS)]
        bars.barh(places, own, left=ends, color=colour, label=plain(task, 30), height=0.72)
        ends += own
    bars.set_yticks(places, [plain(member.name, 24) for member in found.members], fontsize=7, color=INK)
    for label, member in zip(bars.get_yticklabels(), found.members, strict=True):
        label.set_fontweight("bold" if member.expert else "normal")
    bars.invert_yaxis()
    bars.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    bars.tick_params(colors=INK, labelsize=7, length=3)
    bars.spines[["top", "right"]].set_visible(False)
    bars.set_title("Share of all items", fontsize=8, color=INK, loc="left")
    bars.legend(fontsize=7, frameon=False, loc="lower right")
    shown = np.array([[member.scores[task] for task in tasks] for member in found.members])
    scores.imshow(shown, aspect="auto", cmap="Blues", vmin=0.0, vmax=max(1.0, float(shown.max())))
    for (row, column), value in np.ndenumerate(shown):
        colour = "white" if value > 0.6 * max(1.0, float(shown.max())) else INK
        scores.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour)
    scores.set_xticks(range(len(tasks)), [plain(task, 14) for task in tasks], fontsize=7, color=INK)
    scores.tick_params(length=0)
    scores.set_title("Mean score of an item", fontsize=8, color=INK, loc="left")
    figure.suptitle(
        "Members of the archive by search scores, which are optimistic; models that it began with in bold",
        fontsize=9, color=INK, x=0.02, ha="left",
    )  # fmt: skip
    return saved(figure, path)
