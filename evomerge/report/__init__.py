"""The report of a run: a page, its text, its main figure, and the same facts as data.

Everything is read from the run's folder; no model is loaded, and the same folder gives the same bytes. `Results` holds
the records, `Facts` everything that is said about them; page, Markdown, tables and figure are views of the facts.
Numbers are computed in :mod:`evomerge.analysis`.

A new section starts as a fact: a property of :class:`~evomerge.report.facts.Facts`, with numbers from ``analysis``.
``assets/report.html.j2`` shows it, with ``facts`` and functions of ``wording`` at hand, and ``report.css`` dresses it.
What is drawn gets its numbers in ``page._data``, which the scripts read as ``data``; a script of its own is listed in
``page._SCRIPTS`` and adds its drawing function to ``views``. ``markdown.report_markdown`` says the same as text, in a
function that it calls in the page's order. What others compute with goes into ``tables`` as well. Reports are committed
too, and are to be what is written today: ``evomerge report run=results/smollm2/front`` writes them again, and so for
``single``.
"""

from __future__ import annotations

from pathlib import Path

from evomerge.report import caveats
from evomerge.report.archive.competition import competition_json
from evomerge.report.archive.elites import Archive, Elite, archives, archives_json
from evomerge.report.facts import Facts
from evomerge.report.findings.preference import Written
from evomerge.report.markdown import report_markdown
from evomerge.report.members import Comparison, Member, choice, front_members
from evomerge.report.page import report_page
from evomerge.report.results import Results
from evomerge.report.tables import front_csv, front_json
from evomerge.store import RunStore

__all__ = [
    "Archive",
    "Comparison",
    "Elite",
    "Member",
    "archives",
    "baseline_caveats",
    "choice",
    "front_members",
    "write",
]


def baseline_caveats(store: RunStore) -> list[str]:
    """Sentences on limits that cut one baseline's answers more often than another's, and on constraints without effect.

    Args:
        store: The run's store, with the baselines scored.
    """
    results = Results(store)
    return [*caveats.uneven_baselines(results), *caveats.idle_constraints(results)]


def write(folder: str | Path, prefer: Written | None = None) -> tuple[Path, ...]:
    """Writes a run's report into its folder.

    Args:
        folder: A run's folder; the search may still be going on.
        prefer: Whom the findings are about: ``weights:0.7,0.3``, ``{"t1.acc": 0.7, "t2.acc": 0.3}``,
            ``reference:0.6,0.5``, or None for the knee.

    Returns:
        The paths of ``report.html``, ``report.md``, ``front.json``, ``front.csv`` and ``front.png``, and of a searcher
        that keeps archives of elites ``archive.json`` and ``archive.png``.

    Raises:
        InputError: If the folder holds no run, or the preference cannot be read.
    """
    # Not before: checks, merges and workers import this room and draw nothing.
    from evomerge.report.figure import front_figure

    store = RunStore.read(folder)
    facts = Facts(store, prefer)
    return (
        store.write_text("report.html", report_page(facts)),
        store.write_text("report.md", report_markdown(facts)),
        store.write_json("front.json", front_json(facts)),
        store.write_text("front.csv", front_csv(facts)),
        front_figure(facts, store.folder / "front.png"),
        *_archives(facts),
    )


def _archives(facts: Facts) -> tuple[Path, ...]:
    """Writes the archives of elites, where there are any."""
    store = facts.results.store
    if facts.competition is not None:
        from evomerge.report.archive.competition_figure import competition_figure

        data = store.write_json("archive.json", competition_json(facts.competition))
        return data, competition_figure(facts.competition, store.folder / "archive.png")
    if not facts.archives:
        return ()
    from evomerge.report.archive.figure import archive_figure

    data = store.write_json("archive.json", archives_json(facts.archives))
    return data, archive_figure(facts.archives, store.folder / "archive.png")
