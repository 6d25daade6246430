"""Archives of elites from the command line to the export's member, over recorded responses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.errors import InputError
from evomerge.recipe import Recipe
from evomerge.report import archives, write
from evomerge.report.archive.competition import competition
from evomerge.report.facts import Facts
from evomerge.report.page import report_page
from evomerge.report.results import Results
from evomerge.run.members import find_member
from evomerge.store import RunStore

WORDS = (
    "experiment=example", "items_per_task=24", "test_items_per_task=24", "executor=recorded", "progress=none",
    "executor.options.unknown=nearest", "evaluations=24",
)  # fmt: skip
BOTH = "objectives=['0.5*exam_a.acc + 0.5*exam_b.acc']"
MEASURES = "measures=[exam_a.acc,'exam_b.acc from 0.5 to 1']"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search by MAP-Elites, to be read only."""
    folder = tmp_path_factory.mktemp("elites") / "run"
    assert main(["search", *WORDS, "searcher=map_elites", BOTH, MEASURES, "cells=6", f"run_dir={folder}"]) == 0
    return folder


def test_the_archive_holds_the_best_candidate_of_every_cell(run: Path) -> None:
    store = RunStore.read(run)
    (archive,) = archives(Results(store))
    assert archive.grid.cells == 6
    assert (archive.grid.low[1], archive.grid.high[1]) == (0.5, 1.0), "as it was given"
    best: dict[tuple[int, ...], float] = {}
    for e in store.evaluations("search"):
        if e.name is None:
            a, b = e.metrics["exam_a.acc"], e.metrics["exam_b.acc"]
            cell = archive.grid.cell([a, b])
            best[cell] = max(best.get(cell, 0.0), 0.5 * a + 0.5 * b)
    assert {elite.cell: elite.quality for elite in archive.elites} == pytest.approx(best)
    assert {"base", "expert_1", "expert_2", "uniform average"} <= set(archive.baselines)


def test_the_report_shows_it_and_says_that_it_is_optimistic(run: Path) -> None:
    written = json.loads((run / "archive.json").read_text())["archives"][0]
    page, text = (run / "report.html").read_text(), (run / "report.md").read_text()
    assert (run / "archive.png").stat().st_size > 5000
    for elite in written["elites"]:
        assert f'title="{elite["name"]}: ' in page
        assert f"`{elite['name']}`" in text
    assert "so these scores are optimistic" in page
    assert "so these scores are optimistic" in text
    assert all(path.exists() for path in write(run))


def test_every_cell_is_a_member_by_its_name(run: Path) -> None:
    store = RunStore.read(run)
    (archive,) = archives(Results(store))
    for elite in archive.elites:
        assert elite.name == "cell:" + "-".join(str(place + 1) for place in elite.cell)
        assert find_member(store, elite.name) == elite.digest
    with pytest.raises(InputError, match=r"member: 'cell:9-9' has no elite.*cells with an elite are cell:"):
        find_member(store, "cell:9-9")
    with pytest.raises(InputError, match="'recommended' is nobody: the searcher recommended nothing beside its candid"):
        find_member(store, "recommended")


def test_measures_are_a_part_of_what_the_run_is(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    words = ["search", *WORDS, "searcher=map_elites", BOTH, f"run_dir={copy}"]
    assert main([*words, "cells=6"]) == 2
    assert "holds another run: measures is" in capsys.readouterr().err
    assert main([*words, MEASURES]) == 2
    assert "holds another run: cells is 6 there and 10 now" in capsys.readouterr().err
    before = (copy / "evaluations.jsonl").read_bytes()
    assert main([*words, MEASURES, "cells=6"]) == 0
    assert (copy / "evaluations.jsonl").read_bytes() == before


def test_what_does_not_fit_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["search", *WORDS, f"run_dir={tmp_path / 'run'}"]
    refusals = {
        ("searcher=nsga2", "measures=[exam_a.acc]"): "measures: searcher nsga2 keeps no archive over measures",
        ("searcher=map_elites", BOTH, "measures=[exam_c.acc]"): "measure 'exam_c.acc': there is no task 'exam_c'",
        ("searcher=map_elites", BOTH, "measures=[exam_a.acc from 1 to 0]"): "expected a range from less to more",
        ("searcher=map_elites", BOTH, "cells=1"): "cells: expected a whole number from 2 to 1000",
    }
    for more, problem in refusals.items():
        assert main([*words, *more]) == 2
        assert problem in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_report_shows_who_shares_the_items_in_m2n2(tmp_path: Path) -> None:
    """The members as the searcher's rule leaves them, their shares adding up to one, in page, text and data."""
    folder = tmp_path / "run"
    words = ["search", "experiment=example", "items_per_task=24", "test_items_per_task=24", "progress=none"]
    own = ["searcher=m2n2", "searcher.options.archive=6", "searcher.population=5", "method=linear", "evaluations=12"]
    assert main([*words, *own, BOTH, f"run_dir={folder}"]) == 0
    store = RunStore.read(folder)
    found = competition(Results(store))
    assert found is not None
    assert (len(found.members), found.tasks, found.items) == (6, ("exam_a", "exam_b"), 48)
    assert sum(member.share for member in found.members) == pytest.approx(1.0)
    known = {e.digest: e for e in store.evaluations("search")}
    for member in found.members:
        assert member.scores == pytest.approx({t: known[member.digest].metrics[f"{t}.acc"] for t in found.tasks})
    assert [m.share for m in found.members] == sorted((m.share for m in found.members), reverse=True)
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for member in found.members:
        assert member.name in page
        assert f"`{member.name}`" in text
    facts, none = Facts(store), dict.fromkeys(found.tasks, 0.0)
    unsolved = [replace(member, scores=none, shares=none, alone=0) for member in found.members]
    vars(facts)["competition"] = replace(found, members=tuple(unsolved), unsolved=found.items)
    assert "of which 48 are scored on by none" in report_page(facts), "where nobody answers anything right"
    data = json.loads((folder / "archive.json").read_text())
    assert [member["digest"] for member in data["members"]] == [member.digest for member in found.members]
    assert (folder / "archive.png").stat().st_size > 5000
    merged = tmp_path / "merged"
    child = next(member for member in found.members if not member.expert)
    assert main(["export", f"run={folder}", f"member={child.name}", f"out={merged}"]) == 0
    assert (merged / "model.safetensors").exists()


def test_the_archives_page_marks_the_cells_that_were_confirmed(run: Path) -> None:
    store = RunStore.read(run)
    (archive,) = archives(Results(store))
    tested = {e.digest for e in store.evaluations("test") if e.name is None}
    confirmed = [elite for elite in archive.elites if elite.held_out is not None]
    assert {elite.digest for elite in confirmed} == tested
    assert len(confirmed) > 1, "elites, not the one best model"
    assert all(elite.selection is not None for elite in confirmed)
    page = (run / "report.html").read_text()
    assert page.count('class="confirmed"') == len(confirmed) == archive.confirmed
    assert f"{len(confirmed)} confirmed" in page


def test_rounds_go_with_an_archive_through_the_verb(tmp_path: Path) -> None:
    """The second round merges the elites of the first; its candidates stand in the same archive, and it replays."""
    words = ["search", "experiment=example", "items_per_task=24", "test_items_per_task=24", "progress=none"]
    own = ["searcher=map_elites", "searcher.population=6", "evaluations=24", "rounds=2", "cells=6", "round.elites=2"]
    folder = tmp_path / "run"
    assert main([*words, *own, BOTH, MEASURES, f"run_dir={folder}"]) == 0
    store = RunStore.read(folder)
    found = {e.digest: Recipe.from_json(dict(e.recipe)) for e in store.evaluations("search") if e.name is None}
    second = {digest for digest, recipe in found.items() if any(isinstance(s, Recipe) for s in recipe.sources)}
    assert len(found) == 24
    assert len(second) == 12
    (archive,) = archives(Results(store))
    assert {elite.digest for elite in archive.elites} <= found.keys()
    before = (folder / "evaluations.jsonl").read_bytes()
    assert main([*words, *own, BOTH, MEASURES, f"run_dir={folder}"]) == 0
    assert (folder / "evaluations.jsonl").read_bytes() == before


def test_cycleqds_mean_is_asked_what_elites_are_and_exported(tmp_path: Path) -> None:
    folder, merged = tmp_path / "run", tmp_path / "merged"
    words = ["search", "experiment=example", "items_per_task=24", "test_items_per_task=24", "progress=none"]
    own = ["searcher=cycleqd", "searcher.population=5", "evaluations=10", "cells=6", "seed=1"]
    assert main([*words, *own, "objectives=[exam_a.acc,exam_b.acc]", f"run_dir={folder}"]) == 0
    store = RunStore.read(folder)
    (mean,) = (e for e in store.evaluations("search") if e.recommended)
    for split in ("selection", "test"):
        assert store.lookup(mean.digest, split) is not None
    sources = Recipe.from_json(dict(mean.recipe)).sources
    assert [isinstance(source, Recipe) for source in sources] == [True, True]
    assert find_member(store, "recommended") == mean.digest
    assert main(["export", f"run={folder}", "member=recommended", f"out={merged}"]) == 0
    assert (merged / "model.safetensors").exists()


def test_what_is_recommended_is_what_the_last_session_ended_with(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["search", *WORDS, "searcher=cmaes", "searcher.population=6", BOTH, f"run_dir={folder}"]
    for evaluations in (12, 24):
        assert main([*words, f"evaluations={evaluations}"]) == 0
    first, last = sorted(
        (e for e in RunStore.read(folder).evaluations("search") if e.recommended), key=lambda e: e.order
    )
    assert first.batch < last.batch
    assert find_member(RunStore.read(folder), "recommended") == last.digest
