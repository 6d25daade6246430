"""The empirical attainment function of several fronts.

Grunert da Fonseca et al. 2001, doi:10.1007/3-540-44719-9_15.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVELS = (0.25, 0.5, 0.75)  # shares of the runs: quartiles and median


def attainment_surface(fronts: Sequence[ArrayLike], share: float) -> NDArray[np.float64]:
    """The points that at least a share of the runs reach: as good as that, or better, in both objectives.

    With a share of one half it is the median attainment surface; runs between the quarter and the three quarters are
    the middle half. Of a single run every surface is its front.

    Args:
        fronts: Objective values to minimise of each run, ``(points, 2)``; of a run that reached nothing, no points.
        share: The share of the runs, above 0 and at most 1.

    Returns:
        The surface's corners, ``(corners, 2)``, the first objective ascending; empty where too few runs reached
        anything.

    Raises:
        ValueError: if a front has another shape, or the share is out of range.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"expected a share above 0 and at most 1, got {share}")
    sets = [np.asarray(front, dtype=np.float64).reshape(-1, 2) for front in fronts]
    needed = max(1, math.ceil(share * len(sets) - 1e-9))
    found = [points for points in sets if len(points)]
    if needed > len(found):
        return np.empty((0, 2))
    labels = np.repeat(np.arange(len(found)), [len(points) for points in found])
    # The library counts runs by rounding up a per cent; half a run below leaves no room for rounding errors.
    percent = 100.0 * (needed - 0.5) / len(found)
    corners = np.asarray(moocore.eaf(np.concatenate(found), labels, percentiles=[percent]))[:, :2]
    return corners[np.lexsort((corners[:, 1], corners[:, 0]))]
