"""The figure: claimed and true score of every run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.end_to_end.summary import Summary
from experiments.end_to_end.ways import BUDGET

# Okabe & Ito's palette.
INK, GREY, PALE, RED, BLUE = "#1b1b1a", "#6f6f6b", "#e9e8e4", "#D55E00", "#0072B2"


def draw(peers: Summary, ours: Summary, more: Summary, path: Path) -> None:
    """Draws peers on the left, ours on the right, and what five times the items give as a line through both."""
    figure = Figure(figsize=(9.6, 4.7), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.05})
    figure.subplots_adjust(left=0.07, right=0.985, top=0.79, bottom=0.1)
    reference = 100 * more.true.mean()
    scores = 100 * np.concatenate([peers.claimed, peers.true, ours.low, ours.high, ours.true])
    for axes, own, colour in ((left, peers, RED), (right, ours, BLUE)):
        _runs(axes, own, colour, intervals=own is ours)
        axes.axhline(reference, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), zorder=1)
    left.set_ylim(5 * np.floor(scores.min() / 5), min(5 * np.ceil(scores.max() / 5), 100))
    left.set_ylabel("accuracy on both exams (%)", color=INK)
    told = {"ha": "right", "va": "bottom", "fontsize": 8.5, "color": INK}
    right.text(len(ours.true) - 0.4, reference + 0.4, "true score with 5 times the items", **told)
    _title(left, "20 items drawn once, best score returned", peers, RED)
    _title(right, "evomerge", ours, BLUE)
    text = f"What is claimed, and what is true: {BUDGET:,} answered items for each search"
    figure.text(0.07, 0.955, text, fontsize=13, color=INK, weight="bold")
    figure.savefig(path, metadata={"Software": None})


def _runs(axes: Axes, own: Summary, colour: str, *, intervals: bool) -> None:
    """A run is a column: an open circle for the claim, a full one for the truth."""
    for place, run in enumerate(np.argsort(own.true, kind="stable")):
        claimed, true = 100 * own.claimed[run], 100 * own.true[run]
        if intervals:
            ends = [100 * own.low[run], 100 * own.high[run]]
            axes.plot([place, place], ends, color=colour, alpha=0.22, linewidth=7, solid_capstyle="butt", zorder=2)
        axes.plot([place, place], [claimed, true], color=colour, linewidth=2, zorder=3)
        axes.plot(
            place, claimed, "o", markersize=7.5, markerfacecolor="white", color=colour, markeredgewidth=1.6, zorder=4
        )
        axes.plot(place, true, "o", markersize=7.5, color=colour, zorder=5)
    axes.set_xticks([])
    axes.set_xlim(-0.8, len(own.true) - 0.2)
    axes.set_xlabel("runs", color=GREY)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, colors=GREY)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(GREY)


def _title(axes: Axes, title: str, own: Summary, colour: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=22)
    gap = 100 * own.optimism.mean()
    told = f"claimed {100 * own.claimed.mean():.0f} %, true {100 * own.true.mean():.0f} %: {gap:+.0f} points"
    axes.text(0, 1.02, told, transform=axes.transAxes, fontsize=10, color=colour, weight="bold")
