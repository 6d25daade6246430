"""Checkpoints with equal weights: a warning that names both, one record, and a row for each baseline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.cli.sweep_summary import summarise
from evomerge.config import compose
from evomerge.config.sweep import Job
from evomerge.run.assemble import assemble, with_fingerprints
from evomerge.run.members import empty_front
from evomerge.run.runtime import worker_settings
from evomerge.store import RunStore, baselines
from tests.run.family import Family

RELATIVE = "['all.acc >= best_expert - 1', 'all.acc >= base - 1']"


@pytest.fixture(scope="module")
def copies(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """The family, with a copy of the base and two of an expert, one of them by the same last name."""
    folder = tmp_path_factory.mktemp("copies") / "family"
    shutil.copytree(family.folder, folder)
    for name, copy in (("base", "still"), ("one", "again"), ("one", "other/one")):
        shutil.copytree(folder / name, folder / copy)
    return Family(folder)


def models(family: Family, *names: str) -> str:
    return f"[{','.join(str(family.folder / name) for name in names)}]"


CASES = {
    "a copy of the same label": (
        ("one", "other/one"),
        ["base", "expert:one#0", "expert:one#1", "uniform"],
        {"expert:one#1": "expert:one#0"},
        "{folder}/one and {folder}/other/one have equal weights: nothing can be gained from the second; "
        "name each model once",
    ),
    "a copy": (
        ("one", "again", "two"),
        ["base", "expert:one", "expert:again", "expert:two", "uniform"],
        {"expert:again": "expert:one"},
        "{folder}/one and {folder}/again have equal weights: nothing can be gained from the second; "
        "name each model once",
    ),
    "the base": (
        ("still",),
        ["base", "expert:still"],
        {"expert:still": "base"},
        "{folder}/base and {folder}/still have equal weights: nothing can be gained from the second; "
        "name each model once",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_baseline_is_known_whichever_share_a_record(
    copies: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    given, names, shared, warning = CASES[case]
    warning = "warning: " + warning.format(folder=copies.folder) + "\n"
    run, changes = tmp_path / "run", {"models": models(copies, *given), "constraints": RELATIVE, "evaluations": 6}
    assert main(["check", "--headers", *copies.words(run, **changes)]) == 0
    assert capsys.readouterr().out.count(warning) == 1
    assert copies.search(run, **changes) == 0
    printed = capsys.readouterr()
    assert printed.err.count(warning) == 1
    assert "no candidate meets the constraints" not in printed.out

    store = RunStore.read(run)
    for split in ("search", "selection", "test"):
        kept = [e.name for e in store.evaluations(split) if e.name is not None]
        scales = 4 if split == "search" else 1  # of task arithmetic, the best of which is asked the others too
        assert [name.startswith("scaled:") for name in kept[-scales:]] == [True] * scales
        assert kept[:-scales] == [name for name in names if name not in shared], "one record"
        found = baselines(store, split)
        assert list(found)[:-scales] == names
        for name, other in shared.items():
            assert found[name] is found[other]
    front = json.loads((run / "front.json").read_text())
    rows = {row.pop("name"): row for row in front["baselines"]}
    assert list(rows)[:-1] == names
    assert list(rows.values())[-1]["kind"] == "tuned"
    for name, other in shared.items():
        assert rows[name]["kind"] == "expert"
        assert rows[name]["test"] == rows[other]["test"]
        assert rows[name]["test"]["first.acc"]
    assert front["members"], "the constraints are met, and the report knows what they are relative to"
    assert all(member["difference_to_best_expert"] for member in front["members"] if member["test"])
    text = (run / "report.md").read_text()
    for name in shared:
        assert f"\n| {name.removeprefix('expert:')} |" in text.replace("\\", "")
    words = copies.words(run, **changes)
    job = Job("run", tuple(words), compose.search(words, ("evomerge", "search", *words)), "")
    assert summarise(tmp_path, [job], interrupted=False) == 0
    assert "| finished | 6 | 0." in capsys.readouterr().out


def test_an_expert_that_shares_the_record_of_the_base_is_what_a_constraint_is_relative_to(
    copies: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing can be better than it by more than all there is, and the reason is told by what was missed."""
    limit = "first.acc >= best_expert + 1"
    changes = {"models": models(copies, "still"), "constraints": f"['{limit}']", "evaluations": 6}
    assert copies.search(tmp_path / "run", **changes) == 0
    said = empty_front(RunStore.read(tmp_path / "run"))
    assert said.startswith("no candidate meets the constraints; the nearest, ")
    assert f"misses {limit} by 1 " in said
    assert said in capsys.readouterr().out
    assert "expert:still" in (tmp_path / "run" / "front.json").read_text()


def test_the_reference_stays_the_base_where_an_expert_equals_it(copies: Family, tmp_path: Path) -> None:
    """Config and tokenizer files are the base's, though recipes know both folders by the same content."""
    run = tmp_path / "run"
    shutil.copytree(copies.folder / "still", tmp_path / "still")
    (tmp_path / "still" / "chat_template.jinja").write_text("{{ messages }}")
    given = f"[{tmp_path / 'still'},{copies.folder / 'two'}]"
    assert copies.search(run, models=given, evaluations=6) == 0
    member = json.loads((run / "front.json").read_text())["members"][0]["id"]
    assert main(["export", f"run={run}", f"member={member}", f"out={tmp_path / 'merged'}"]) == 0
    name = "chat_template.jinja"
    assert (tmp_path / "merged" / name).read_text() == (copies.folder / "base" / name).read_text()
    words = copies.words(run, models=given)
    assembly = with_fingerprints(assemble(compose.search(words, ("evomerge", "search", *words))))
    settings = worker_settings(assembly, 1)
    assert assembly.checkpoints[assembly.baselines["base"].reference].path == copies.folder / "base"
    assert settings.open().reference.path == copies.folder / "base"
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "| metric | this model | base | expert:still | expert:two | uniform |" in card


def test_models_that_differ_are_not_warned_of(copies: Family, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--headers", *copies.words("run")]) == 0
    assert "equal weights" not in capsys.readouterr().out
    words = copies.words("run", method="slerp", models=models(copies, "still", "two"))
    assert main(["check", "--headers", *words]) == 0
    said = f"{copies.folder / 'base'} and {copies.folder / 'still'} have equal weights: slerp merges no base, so "
    assert said in capsys.readouterr().out
