"""The report of a run: a page, its text, its main figure, and the same facts as data.

Everything is read from the run's folder; no model is loaded, and the same folder gives the same bytes. `Results` holds
the records, `Facts` everything that is said about them; page, Markdown, tables and figure are views of the facts.
Numbers are computed in :mod:`evomerge.analysis`.
"""

from __future__ import annotations

from pathlib import Path

from evomerge.report.facts import Facts
from evomerge.report.figure import front_figure
from evomerge.report.markdown import report_markdown
from evomerge.report.members import Comparison, Member, front_members
from evomerge.report.page import report_page
from evomerge.report.tables import front_csv, front_json
from evomerge.store import RunStore

__all__ = ["Comparison", "Member", "front_members", "write"]


def write(folder: str | Path) -> tuple[Path, ...]:
    """Writes a run's report into its folder.

    Args:
        folder: A run's folder; the search may still be going on.

    Returns:
        The paths of ``report.html``, ``report.md``, ``front.json``, ``front.csv`` and ``front.png``.

    Raises:
        InputError: If the folder holds no run.
    """
    store = RunStore.read(folder)
    facts = Facts(store)
    return (
        store.write_text("report.html", report_page(facts)),
        store.write_text("report.md", report_markdown(facts)),
        store.write_json("front.json", front_json(facts)),
        store.write_text("front.csv", front_csv(facts)),
        front_figure(facts, store.folder / "front.png"),
    )
