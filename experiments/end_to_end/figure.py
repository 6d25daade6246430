"""The figure: claimed and true score of every run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.end_to_end.summary import Summary

# Okabe & Ito's palette.
INK, GREY, PALE, RED, BLUE = "#1b1b1a", "#6f6f6b", "#e9e8e4", "#D55E00", "#0072B2"
_BESIDE = {"ha": "left", "va": "center", "fontsize": 8.5, "color": INK}


def draw(peers: Summary, ours: Summary, more: Summary, path: Path) -> None:
    """Draws peers on the left, ours on the right, and what five times the items give as a line through both."""
    figure = Figure(figsize=(9.6, 4.7), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.07, right=0.885, top=0.78, bottom=0.07, wspace=0.05)
    shown = [(way, name) for way in (peers, ours) for name in ("claimed", "true")] + [(ours, "low"), (ours, "high")]
    scores = 100 * np.concatenate([way.column(name) for way, name in shown])
    left.set_ylim(5 * np.floor(scores.min() / 5), min(5 * np.ceil(scores.max() / 5), 100))
    left.set_ylabel("accuracy on both exams (%)", color=INK)
    reference = 100 * more.column("true").mean()
    for axes, own, colour in ((left, peers, RED), (right, ours, BLUE)):
        _runs(axes, own, colour, intervals=own is ours)
        axes.axhline(reference, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), zorder=1)
    right.text(1.015, reference, "true, with\n5 times\nthe items", transform=right.get_yaxis_transform(), **_BESIDE)
    _title(left, "20 items drawn once, best score claimed", peers, RED)
    _title(right, "evomerge", ours, BLUE)
    text = f"What is claimed, and what is true: {len(peers.runs)} searches each, equal numbers of answered items"
    figure.text(0.07, 0.945, text, fontsize=12.5, color=INK, weight="bold")
    figure.savefig(path, metadata={"Software": None})


def _runs(axes: Axes, own: Summary, colour: str, *, intervals: bool) -> None:
    """A run is a column: an open circle for the claim, a full one for the truth; names stand beside the first."""
    for place, search in enumerate(sorted(own.searches.values(), key=lambda search: search["true"])):
        claimed, true = 100 * search["claimed"], 100 * search["true"]
        if intervals:
            ends = [100 * search["low"], 100 * search["high"]]
            axes.plot([place, place], ends, color=colour, alpha=0.2, linewidth=8, solid_capstyle="butt", zorder=2)
        axes.plot([place, place], [claimed, true], color=colour, linewidth=2, zorder=3)
        style = {"markersize": 7.5, "color": colour, "markeredgewidth": 1.6}
        axes.plot(place, claimed, "o", markerfacecolor="white", zorder=4, **style)
        axes.plot(place, true, "o", zorder=5, **style)
        if place == 0 and intervals:
            axes.text(place, ends[1] + 0.3, "95 % interval", **_BESIDE | {"color": colour, "va": "bottom"})
        elif place == 0:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            style = _BESIDE | {"color": colour, "ha": "center", "bbox": box}
            axes.text(place, claimed + 1.0, "claimed", **style | {"va": "bottom"})
            axes.text(place, true - 1.0, "true", **style | {"va": "top"})
    axes.set_xticks([])
    axes.set_xlim(-0.8, len(own.runs) - 0.2)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, colors=GREY)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(GREY)


def _title(axes: Axes, title: str, own: Summary, colour: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=23)
    claimed, true = (100 * own.column(name).mean() for name in ("claimed", "true"))
    told = f"claimed {claimed:.1f} %, true {true:.1f} %: {claimed - true:+.1f} points"
    axes.text(0, 1.03, told, transform=axes.transAxes, fontsize=10, color=colour, weight="bold")
