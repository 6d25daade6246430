"""The page over all runs of a sweep, from the sweep's folder alone.

``runs`` reads each run down to a few arrays, ``facts`` groups runs that can be compared (those with the same
objectives) and holds what is said of them, ``page`` and ``text`` show it. Numbers are computed in
:mod:`evomerge.analysis.sweeps`.
"""

from __future__ import annotations

from pathlib import Path

from evomerge.report.sweep.facts import SweepFacts
from evomerge.report.sweep.page import sweep_page
from evomerge.report.sweep.tables import sweep_json
from evomerge.store import read_sweep, write_json, write_text

__all__ = ["write"]

PAGE, DATA = "report.html", "report.json"


def write(folder: str | Path) -> tuple[Path, ...]:
    """Writes the page over a sweep's runs into its folder.

    Args:
        folder: A sweep's folder; jobs may have failed, or still be running.

    Returns:
        The paths of ``report.html`` and ``report.json``.

    Raises:
        InputError: If the folder is none of a sweep.
    """
    sweep = read_sweep(folder)
    facts = SweepFacts(sweep)
    write_text(sweep.folder / PAGE, sweep_page(facts))
    write_json(sweep.folder / DATA, sweep_json(facts))
    return sweep.folder / PAGE, sweep.folder / DATA
