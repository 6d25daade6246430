"""``front.png``: the main figure for slides and papers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evomerge.analysis import Interval
from evomerge.evaluation import Objective
from evomerge.report.facts import Facts
from evomerge.report.wording import PERCENT, shortened

# Okabe & Ito's palette, which people with any colour vision can tell apart.
INK, QUIET, BLUE, RED, GREEN = "#1b1b1a", "#8a8a86", "#0072B2", "#D55E00", "#009E73"
_STYLES = {"base": (QUIET, "D"), "expert": (RED, "s"), "uniform": (GREEN, "P"), "tuned": (GREEN, "^")}
_MOST_BARS = 25
_TITLES = {
    "test": "held-out items, 95 % intervals",
    "selection": "selection items, by which finalists are chosen: not confirmed",
    "search": "search items: optimistic, not confirmed",
}


def front_figure(facts: Facts, path: Path) -> Path:
    """Draws the scores that are shown first, and says on which items.

    Args:
        facts: The run's facts.
        path: The PNG file to write.

    Returns:
        ``path``.
    """
    split = facts.shown
    several = len(facts.results.objectives) > 1
    figure = Figure(figsize=(7.2, 5.2) if several else (7.2, 1.6 + 0.24 * _rows(facts)), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(color="#e6e5e1", linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=8, length=3)
    (_plane if several else _rows_plot)(facts, axes, split)
    axes.set_title(f"Scores on {_TITLES[split]}", fontsize=9, color=INK, loc="left")
    return saved(figure, path)


def saved(figure: Figure, path: Path) -> Path:
    """Writes a figure in one step, the same bytes everywhere; returns ``path``."""
    with warnings.catch_warnings():
        # A script that matplotlib's own font lacks is drawn as boxes: the same font everywhere keeps the bytes equal.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        temporary = path.with_name(f".{path.name}.tmp")
        # The layout here, and then the canvas itself: savefig would draw all of it once more, for the layout alone.
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)
            figure.set_layout_engine("none")
        canvas = FigureCanvasAgg(figure)
        canvas.print_png(temporary, metadata={"Software": None})
    temporary.replace(path)
    return path


def _scores(facts: Facts, split: str) -> list[tuple[str, str, Mapping[str, Interval]]]:
    members = [(m.id, "member", m.scores(split)) for m in facts.members]
    baselines = [(b.short, b.kind, b.scores(split)) for b in facts.baselines]
    return [entry for entry in [*members, *baselines] if entry[2]]


def _rows(facts: Facts) -> int:
    return len(facts.members) + len(facts.baselines)


def _plane(facts: Facts, axes: Axes, split: str) -> None:
    first, second = (o.label for o in facts.results.objectives[:2])
    winners = {m.id for m in facts.members if any(m.beats_best_expert.values())}
    seen: set[str] = set()
    numbers = {b.short: str(n) for n, b in enumerate((b for b in facts.baselines if b.kind == "expert"), start=1)}
    entries = _scores(facts, split)
    bars = split == "test" and len(facts.members) <= _MOST_BARS
    for name, kind, scores in entries:
        x, y = _scaled(facts, first, scores[first]), _scaled(facts, second, scores[second])
        colour, marker = _STYLES.get(kind, (BLUE, "o"))
        if split == "test" and (bars or kind != "member"):
            axes.errorbar(x.mean, y.mean, xerr=_bar(x), yerr=_bar(y), color=colour, linewidth=0.7, alpha=0.45, zorder=1)
        label = f"expert {numbers[name]}: {plain(name)}" if kind == "expert" else plain(name)
        label = "member" if kind == "member" else label
        label = label if split != "test" or kind != "member" else _member_label(name in winners)
        filled = kind != "member" or name in winners or split != "test"
        axes.plot(
            x.mean, y.mean, marker, color=colour, markersize=6, markerfacecolor=colour if filled else "white",
            label="_" + label if label in seen else label, zorder=3,
        )  # fmt: skip
        seen.add(label)
        if kind == "expert":
            axes.annotate(numbers[name], (x.mean, y.mean), (7, 5), textcoords="offset points", fontsize=8, color=colour)
    axes.set_xlabel(_axis(facts, first), fontsize=9)
    axes.set_ylabel(_axis(facts, second), fontsize=9)
    if entries:
        axes.legend(fontsize=7, frameon=False, loc="best")


def _rows_plot(facts: Facts, axes: Axes, split: str) -> None:
    objective = facts.results.objectives[0]
    label = objective.label
    entries = _scores(facts, split)
    best_last = sorted(entries, key=lambda e: e[2][label].mean, reverse=not objective.higher_is_better)
    winners = {m.id for m in facts.members if any(m.beats_best_expert.values())}
    for row, (name, kind, scores) in enumerate(best_last):
        x = _scaled(facts, label, scores[label])
        colour, marker = _STYLES.get(kind, (BLUE, "o"))
        if split == "test":
            axes.errorbar(x.mean, row, xerr=_bar(x), color=colour, linewidth=0.9, alpha=0.6)
        filled = kind != "member" or name in winners or split != "test"
        axes.plot(x.mean, row, marker, color=colour, markersize=6, markerfacecolor=colour if filled else "white")
    axes.set_yticks(range(len(best_last)), [plain(name) for name, _, _ in best_last])
    axes.set_xlabel(_axis(facts, label), fontsize=9)


def _member_label(wins: bool) -> str:
    return "member, beats a best expert" if wins else "member, does not"


def _scaled(facts: Facts, label: str, interval: Interval) -> Interval:
    scale = 100.0 if facts.unit[label] == PERCENT else 1.0
    return Interval(*(scale * value for value in (interval.mean, interval.se, interval.low, interval.high)))


def _bar(interval: Interval) -> list[list[float]]:
    ends = [interval.mean - interval.low, interval.high - interval.mean]
    return [[end if math.isfinite(end) else 0.0] for end in ends]


def _axis(facts: Facts, label: str) -> str:
    objective = next(o for o in facts.results.objectives if o.label == label)
    return axis_label(objective, facts.unit[label])


def axis_label(objective: Objective, unit: str) -> str:
    """An objective's name for an axis."""
    shown = " (%)" if unit == PERCENT else ""
    return plain(objective.label, 60) + shown + ("" if objective.higher_is_better else ", lower is better")


def plain(name: str, length: int = 32) -> str:
    """A name that matplotlib neither reads as mathematics nor hides as private, shortened in the middle."""
    return shortened(name, length).replace("$", r"\$").lstrip("_") or "_"
