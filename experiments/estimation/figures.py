"""The figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.estimation.ranking import SIZES
from experiments.estimation.summary import Row, curve, find

# Okabe & Ito's palette.
GREY, BLUE, RED, GREEN, ORANGE, SKY, PINK = "#8a8a86", "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
INK = "#1b1b1a"
Line = tuple[str, str, str, str, str]  # part, label, design, name in the legend, colour

COMMON: tuple[Line, ...] = (
    ("ranking", "mean", "independent", "mean, independent subsets", GREY),
    ("ranking", "mean", "common", "mean, common items", INK),
    ("ranking", "posterior", "common", "posterior, common items", BLUE),
    ("choosing", "informative", "mean", "mean, informative items", ORANGE),
    ("choosing", "rank preserving", "mean", "mean, rank-preserving items", PINK),
    ("smooth", "gold_logprob", "random", "log-probability of the answer", GREEN),
    ("smooth", "gold_logprob, posterior", "random", "the same, posterior", RED),
)
ROTATING: tuple[Line, ...] = (
    ("ranking", "mean", "rotating", "mean", INK),
    ("ranking", "stratified by difficulty", "rotating", "stratified by difficulty", ORANGE),
    ("ranking", "aipw", "rotating", "aipw", SKY),
    ("ranking", "posterior", "rotating", "posterior", BLUE),
    ("ranking", "p-IRT", "rotating", "p-IRT", GREEN),
    ("ranking", "gmp-IRT, outside pool", "rotating", "gmp-IRT, outside pool", PINK),
)
CAMPAIGNS = (
    ("peers: fixed, mean, best observed", RED, "-"),
    ("peers: fixed, gmp-IRT, best observed", ORANGE, "-"),
    ("rotating, mean", INK, "-"),
    ("rotating, posterior", SKY, "-"),
    ("sequential, mean", PINK, "-"),
    ("rotating, posterior, promoted", BLUE, "-"),
    ("fixed, mean, promoted", GREEN, "-"),
)


def ranking_figure(found: Sequence[Row], path: Path) -> None:
    """Tau by items for common and rotating ones, error and coverage."""
    figure = Figure(figsize=(11.0, 8.2), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    for place, (lines, title) in enumerate(((COMMON, "the same items for all"), (ROTATING, "other items for each"))):
        _lines(axes[0, place], found, lines, "tau", 1.0)
        axes[0, place].set(
            title=f"Ranking merges around a good one: {title}", ylabel="Kendall's tau against all items", ylim=(0, 1)
        )
        axes[0, place].axhline(0.8 if place == 0 else 0.5, color=GREY, linewidth=0.8, linestyle=":")
    _lines(axes[1, 0], found, ROTATING, "mae", 100.0)
    axes[1, 0].set(
        title="Error of the level: other items for each", ylabel="mean absolute error, points", ylim=(0, None)
    )
    _coverage(axes[1, 1], found)
    _save(figure, path)


def campaign_figure(found: Sequence[Row], path: Path) -> None:
    """Regret and optimism by budget."""
    figure = Figure(figsize=(11.0, 4.8), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    for label, colour, style in CAMPAIGNS:
        for axis, measure in zip(axes, ("regret", "optimism"), strict=True):
            rows = sorted(find(found, part="campaign", label=label), key=lambda row: row.n)
            points = [100 * row.means[measure] for row in rows]
            axis.plot(
                [row.means["items"] for row in rows],
                points,
                style,
                color=colour,
                marker="o",
                markersize=3.5,
                label=label,
            )
    axes[0].set(title="The candidate returned: how much worse than the best", ylabel="regret, points", ylim=(0, None))
    axes[1].set(title="Its claim: how much above its score on fresh items", ylabel="claimed less fresh, points")
    axes[1].axhline(0.0, color=GREY, linewidth=0.8)
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside lower center", ncols=4)
    for axis in axes:
        _style(axis)
    _save(figure, path)


def _lines(axis: Axes, found: Sequence[Row], lines: Sequence[Line], measure: str, scale: float) -> None:
    for part, label, design, name, colour in lines:
        points = [
            (n, value)
            for n, value in curve(found, measure, part=part, group="local", label=label, design=design)
            if n <= SIZES[-1]
        ]
        axis.plot(
            [n for n, _ in points],
            [scale * value for _, value in points],
            color=colour,
            marker="o",
            markersize=3.5,
            label=name,
        )
    axis.legend(fontsize=8, frameon=False)
    _style(axis)


def _coverage(axis: Axes, found: Sequence[Row]) -> None:
    """A dot for each n, estimator by estimator, for common and rotating items."""
    own = find(found, part="ranking", group="local")
    labels = list(dict.fromkeys(row.label for row in own))[::-1]
    for design, colour, shift in (("common", INK, 0.14), ("rotating", BLUE, -0.14)):
        rows = [row for row in own if row.design == design]
        places = [labels.index(row.label) + shift for row in rows]
        axis.scatter(
            [100 * row.means["inside"] for row in rows], places, s=11, color=colour, label=f"{design} items, each n"
        )
    axis.axvspan(93, 97, color="#e6e5e1", zorder=0)
    axis.set_yticks(range(len(labels)), labels)
    axis.set(title="Coverage of 95 % intervals", xlabel="%", xlim=(None, 100.5))
    axis.legend(fontsize=8, frameon=False, loc="lower right")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def _style(axis: Axes) -> None:
    axis.set_xscale("log")
    axis.set_xticks(SIZES, [str(n) for n in SIZES])
    axis.minorticks_off()
    axis.set_xlabel("items a candidate")
    axis.grid(color="#e6e5e1", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def _save(figure: Figure, path: Path) -> None:
    for axis in figure.axes:
        axis.title.set_fontsize(9.5)
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, format="png", metadata={"Software": None})
    temporary.replace(path)
