"""``archive.png``: a heat map of each archive of elites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from evomerge.report.archive.elites import Archive
from evomerge.report.figure import INK, QUIET, RED, axis_label, plain, saved
from evomerge.report.wording import PERCENT

__all__ = ["archive_figure"]

_COLUMNS = 3
_TITLE = "Elites by search scores, which are optimistic; outlined: confirmed on held-out items"


def archive_figure(archives: Sequence[Archive], path: Path) -> Path:
    """Draws archives: cells along two measures, coloured by their elites' scores, with base and experts where they lie.

    Args:
        archives: One or more.
        path: The PNG file to write.

    Returns:
        ``path``.
    """
    columns = min(len(archives), _COLUMNS)
    rows = -(-len(archives) // columns)
    flat = all(len(archive.grid) == 1 for archive in archives)
    height = 2.0 if flat else 4.4
    figure = Figure(figsize=(max(4.9 * columns, 6.0), height * rows + 0.3), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    for place, archive in enumerate(archives):
        _draw(figure, figure.add_subplot(rows, columns, place + 1), archive)
    figure.suptitle(_TITLE, fontsize=9, color=INK, x=0.02, ha="left")
    return saved(figure, path)


def _draw(figure: Figure, axes: Axes, archive: Archive) -> None:
    scores = [[np.nan if elite is None else elite.quality for elite in row] for row in reversed(archive.lattice)]
    across = archive.grid.edges(0)
    up = archive.grid.edges(1) if len(archive.grid) > 1 else np.array([0.0, 1.0])
    colours = "viridis" if archive.objective.higher_is_better else "viridis_r"
    drawn = axes.pcolormesh(across, up, np.ma.masked_invalid(scores), cmap=colours, edgecolors="white", linewidth=0.4)
    bar = figure.colorbar(drawn, ax=axes, pad=0.02, format=_percent(archive.unit))
    bar.set_label(axis_label(archive.objective, ""), fontsize=8)
    bar.ax.tick_params(labelsize=7)
    for elite in archive.elites:
        if elite.held_out is not None and len(archive.grid) < 3:
            column, row = elite.cell[0], elite.cell[1] if len(elite.cell) > 1 else 0
            size = across[column + 1] - across[column], up[row + 1] - up[row]
            axes.add_patch(Rectangle((across[column], up[row]), *size, fill=False, edgecolor=INK, linewidth=1.6))
    axes.set_facecolor("#f4f3ee")
    axes.tick_params(colors=INK, labelsize=7, length=3)
    axes.set_xlabel(plain(archive.measures[0].label, 60), fontsize=8)
    _per_cent(axes.xaxis, archive.units[0])
    if len(archive.grid) > 1:
        axes.set_ylabel(plain(archive.measures[1].label, 60), fontsize=8)
        _per_cent(axes.yaxis, archive.units[1])
    else:
        axes.set_yticks([])
    at: dict[tuple[float, float], list[str]] = {}
    for name, cell in archive.baselines.items():
        place = (across[cell[0] : cell[0] + 2].mean(), up[cell[1] : cell[1] + 2].mean() if len(cell) > 1 else 0.5)
        at.setdefault((float(place[0]), float(place[1])), []).append(name)
    for (x, y), names in at.items():
        axes.plot(x, y, "s", color=QUIET, markersize=5, markerfacecolor=RED)
        axes.annotate(
            plain(", ".join(names)), (x, y), (0, 5), textcoords="offset points", fontsize=6, ha="center", color=INK,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )  # fmt: skip
    beyond = f"; best over {len(archive.grid) - 2} further" if len(archive.grid) > 2 else ""
    axes.set_title(f"{len(archive.elites)} of {archive.cells} cells{beyond}", fontsize=8, color=INK, loc="left")


def _percent(unit: str) -> PercentFormatter | None:
    return PercentFormatter(1.0, decimals=0) if unit == PERCENT else None


def _per_cent(axis: object, unit: str) -> None:
    if unit == PERCENT:
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))  # type: ignore[attr-defined]
