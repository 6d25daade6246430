"""The incremental archive is the batch computation, point by point."""

from __future__ import annotations

import numpy as np
import pytest

from evomerge.analysis.archive import Archive
from evomerge.analysis.pareto import non_dominated


@pytest.mark.parametrize("n_obj", [1, 2, 3, 5])
def test_after_every_point_the_members_are_those_of_the_batch_computation(n_obj: int) -> None:
    random = np.random.default_rng(n_obj)
    for values in (3, 12, 10**6):  # few values: many ties in single objectives and many equal points
        points = random.integers(-values, values, (120, n_obj)) / 7.0
        points[::9] *= 0.0
        archive: Archive[int] = Archive(n_obj)
        assert archive.ideal is None
        for count, point in enumerate(points, start=1):
            earlier = points[: count - 1]
            improved = archive.add(point, count - 1)
            assert improved == (not (earlier <= point).all(axis=1).any())
            wanted = np.flatnonzero(non_dominated(points[:count])).tolist()
            assert archive.keys == wanted
            assert len(archive) == len(wanted)
            assert np.array_equal(archive.points, points[wanted])
            assert archive.ideal is not None
            assert np.array_equal(archive.ideal, points[:count].min(axis=0))


def test_a_zero_with_a_sign_is_a_zero() -> None:
    archive: Archive[str] = Archive(2)
    assert archive.add([0.0, 1.0], "plus")
    assert not archive.add([-0.0, 1.0], "minus")
    assert archive.keys == ["plus", "minus"]


def test_what_cannot_be_compared_is_refused() -> None:
    archive: Archive[str] = Archive(2)
    for point in ([1.0], [1.0, 2.0, 3.0], [1.0, np.nan], [np.inf, 0.0]):
        with pytest.raises(ValueError, match="expected 2 finite objective values"):
            archive.add(point, "a")
    assert archive.keys == []
    with pytest.raises(ValueError, match="at least one objective"):
        Archive(0)
