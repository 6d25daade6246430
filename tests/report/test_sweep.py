"""The page over a sweep's runs: its numbers, its words, its bytes."""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evomerge.cli.main import main
from evomerge.errors import InputError
from evomerge.report import sweep
from evomerge.report.facts import Facts
from evomerge.report.sweep.runs import SweepRun, read_run
from evomerge.report.tables import front_json
from evomerge.store import RunStore, read_sweep
from tests.report.scenarios import HOSTILE
from tests.report.sweeps import ONE, SWEEPS, MadeUp, write_sweep

SweepOf = Callable[[str], Path]


def data(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def area(points: list[list[float]], reference: list[float]) -> float:
    """The area that points dominate in two objectives of which more is better, cell by cell."""
    xs, ys = (sorted({reference[i], *(p[i] for p in points)}) for i in (0, 1))
    cells = ((a, b, c, d) for a, b in itertools.pairwise(xs) for c, d in itertools.pairwise(ys))
    inside = (
        (b - a) * (d - c)
        for a, b, c, d in cells
        if a >= reference[0] and c >= reference[1] and any(p[0] >= b and p[1] >= d for p in points)
    )
    return sum(inside)


def test_numbers_are_those_of_the_runs_own_reports(sweep_of: SweepOf) -> None:
    folder = sweep_of("two")
    group = data(folder)["groups"][0]
    assert group["split"] == "test"
    labels = ["reverse_b.acc", "sort_b.acc"]
    volumes, worst = {}, [1.0, 1.0]
    fronts: dict[str, dict[str, Any]] = {}
    for name in group["runs"]:
        fronts[name] = front_json(Facts(RunStore.read(folder / name)))
        for baseline in fronts[name]["baselines"]:
            if baseline["test"]:
                worst = [min(w, baseline["test"][label]["mean"]) for w, label in zip(worst, labels, strict=True)]
    assert group["reference"] == pytest.approx(worst)
    for name, front in fronts.items():
        tested = [member for member in front["members"] if member["test"]]
        if not tested:
            assert group["runs"][name] == dict.fromkeys(["hypervolume", "R2", *labels])
            continue
        volumes[name] = area([[m["test"][label]["mean"] for label in labels] for m in tested], worst)
        assert group["runs"][name]["hypervolume"] == pytest.approx(volumes[name])
        assert group["runs"][name]["R2"] >= 0.0
        for label in labels:  # of the member that is best on search items, there being no selection items
            best = max(m["search"][label]["mean"] for m in tested)
            scores = [m["test"][label]["mean"] for m in tested if m["search"][label]["mean"] == best]
            assert any(group["runs"][name][label] == pytest.approx(score) for score in scores)
    order = sorted(volumes, key=lambda name: volumes[name])
    assert group["runs"][order[0]]["R2"] >= group["runs"][order[-1]]["R2"], "less is better"
    ties = [volume for name, volume in volumes.items() if "ties" in name]
    found = group["settings"]["method=ties"]["hypervolume"]
    assert found["n"] == 3
    assert found["mean"] == pytest.approx(statistics.mean(ties))
    assert found["sd"] == pytest.approx(statistics.stdev(ties))
    assert found["best"] == pytest.approx(max(ties))
    assert group["by_key"]["method"]["ties"] == group["settings"]["method=ties"]
    assert group["by_key"]["seed"]["0"]["hypervolume"]["n"] == 2
    linear = statistics.mean(volume for name, volume in volumes.items() if "linear" in name)
    assert abs(group["difference_to_best"]["method=linear"]["mean"]) == pytest.approx(
        abs(statistics.mean(ties) - linear)
    )


def test_failed_and_unfinished_jobs_are_listed_with_their_reason(sweep_of: SweepOf) -> None:
    found = data(sweep_of("two"))
    assert list(found["not_finished"].values()) == [
        "failed (2): models: hollow has no weights",
        "interrupted",
        "not started",
    ]
    page = (sweep_of("two") / "report.html").read_text(encoding="utf-8")
    assert "models: hollow has no weights" in page
    assert 'href="method-ties_seed-0-0/report.html"' in page
    assert "1 of 7 runs without a confirmed member" in page


def test_runs_are_compared_with_those_of_the_same_objectives(sweep_of: SweepOf) -> None:
    found = data(sweep_of("mixed"))
    assert [[o["label"] for o in group["objectives"]] for group in found["groups"]] == [
        ["reverse_b.acc", "sort_b.acc"],
        ["sort_b.acc"],
        ["reverse_b.acc"],
    ]
    assert [group["split"] for group in found["groups"]] == ["test", "test", "search"]
    assert (
        found["headline"]
        == "3\N{NO-BREAK SPACE}jobs search for 3 different sets of objectives; runs compare within a set."
    )


def test_importance_is_said_or_said_to_be_unknown(sweep_of: SweepOf) -> None:
    many = data(sweep_of("three"))["groups"][0]["importance"]
    labels = ["gsm_made.exact_match,strict-match", "arc_made.acc", "wiki_made.perplexity"]
    assert list(many) == ["hypervolume", "R2", *labels]
    keys = [effect["keys"] for effect in many["hypervolume"]["effects"]]
    assert keys == [["genome"], ["method"], ["seed"], ["genome", "method"]]
    few = data(sweep_of("once"))["groups"][0]
    assert few["importance"] == dict.fromkeys(few["importance"])
    page = (sweep_of("once") / "report.html").read_text(encoding="utf-8")
    assert "It cannot be told: there are too few runs" in page
    assert "Every setting was run once" in page
    assert "cannot be told without seeds that both have run" in data(sweep_of("once"))["headline"]


def test_the_same_runs_give_the_same_bytes_wherever_they_lie(sweep_of: SweepOf, tmp_path: Path) -> None:
    before = sweep_of("single")
    moved = shutil.copytree(before, tmp_path / "elsewhere")
    for path in sweep.write(moved):
        assert path.read_bytes() == (before / path.name).read_bytes()
        assert str(before) not in path.read_text(encoding="utf-8")


def test_no_text_becomes_markup(sweep_of: SweepOf) -> None:
    page = (sweep_of("hostile") / "report.html").read_text(encoding="utf-8")
    assert page.count("<script") == 2
    assert HOSTILE not in page
    assert "<img" not in page


def test_a_sweep_without_any_score_has_a_page(sweep_of: SweepOf) -> None:
    assert data(sweep_of("nothing"))["headline"] == "None of 2\N{NO-BREAK SPACE}jobs has a score yet."


def test_the_verb_takes_the_folder_of_a_sweep(
    sweep_of: SweepOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(sweep_of("once"), tmp_path / "once")
    (folder / "report.html").unlink()
    assert main(["report", f"run={folder}"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / "report.html"), str(folder / "report.json")]
    (tmp_path / "empty").mkdir()
    assert main(["report", f"run={tmp_path / 'empty'}"]) == 2


def test_a_sweep_without_a_plan_is_read_from_its_notes(sweep_of: SweepOf, tmp_path: Path) -> None:
    folder = shutil.copytree(sweep_of("nothing"), tmp_path / "old")
    (folder / "sweep.json").unlink()
    (folder / "jobs" / "later.json").write_text(json.dumps({"words": ["seed=7"], "code": 0}))
    found = read_sweep(folder)
    assert [job.name for job in found.jobs] == ["later", "seed-0-0"]
    assert found.keys == ("seed",)
    for path in (folder / "jobs").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="no job yet"):
        read_sweep(folder)
    with pytest.raises(InputError, match="not the folder of a sweep"):
        read_sweep(tmp_path)


def test_a_run_whose_files_are_damaged_is_left_out_with_the_reason(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", SWEEPS["once"])
    name = read_sweep(folder).jobs[0].name
    (folder / name / "manifest.json").write_text("{")
    sweep.write(folder)
    found = data(folder)
    assert "manifest.json" in found["not_finished"][name]
    assert len(found["groups"][0]["runs"]) == 1


def test_no_member_is_chosen_by_its_test_scores(tmp_path: Path) -> None:
    """A confirmed member that was never scored on search items is passed over; of such members alone none is chosen."""
    folder = write_sweep(tmp_path / "sweep", [MadeUp({"seed": "0"}, replace(ONE, selection_items=0))])
    job = read_sweep(folder).jobs[0]
    log = folder / job.name / "records" / "main.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    found = [json.loads(line)["evaluation"] for line in lines]
    scores: dict[str, dict[str, float]] = {"search": {}, "test": {}}
    for e in found:
        if e["name"] is None and e["metrics"] and e["split"] in scores:
            (label,) = read_run(folder, job, {}).objectives
            scores[e["split"]][e["digest"]] = label.value(e["metrics"])
    ranked = sorted(scores["test"], key=lambda digest: -scores["search"][digest])
    assert len(ranked) > 1

    def without(digests: list[str]) -> SweepRun:
        kept = zip(lines, found, strict=True)
        log.write_text("".join(x for x, e in kept if e["split"] != "search" or e["digest"] not in digests))
        return read_run(folder, job, {})

    assert read_run(folder, job, {}).chosen["test"] == pytest.approx([-scores["test"][ranked[0]]])
    assert without(ranked[:1]).chosen["test"] == pytest.approx([-scores["test"][ranked[1]]])
    bare = without(ranked)
    assert "test" in bare.fronts
    assert "test" not in bare.chosen
