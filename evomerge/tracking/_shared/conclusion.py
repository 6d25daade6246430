"""The conclusion of a session, from the data of its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["conclusion"]

_SPLITS = ("search", "selection", "test")


def conclusion(front: Mapping[str, Any]) -> dict[str, float]:
    """Scores of baselines, confirmed members and the knee on every split, each with its interval.

    Members that nobody confirmed are in the report: a front may have hundreds.

    Args:
        front: The object of ``front.json``.

    Returns:
        ``SPLIT/WHO/OBJECTIVE`` to the mean, and with ``/low`` and ``/high`` after it to the ends of the interval. The
        knee is there twice, under its id and as ``knee``, whichever member it is in later sessions. The number of
        failed candidates is ``failed``.
    """
    found: dict[str, float] = {"failed": float(front.get("failed") or 0)}
    for who, scores in _models(front):
        for split in _SPLITS:
            for label, interval in (scores.get(split) or {}).items():
                name = f"{split}/{who}/{label}"
                ends = {name: interval["mean"], f"{name}/low": interval["low"], f"{name}/high": interval["high"]}
                found |= {key: float(value) for key, value in ends.items() if value is not None}
    return found


def _models(front: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for baseline in front.get("baselines", []):
        yield baseline["name"], baseline
    for member in front.get("members", []):
        if member.get("test"):
            yield member["id"], member
        if member.get("knee"):
            yield "knee", member
