"""The table of merge methods, on the command line and in the folder of methods."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evomerge import methods, post
from evomerge.cli.main import main
from tests.golden.data_table import CASES as DATA_CASES
from tests.golden.data_table.case import OfMethod, OfStep
from tests.golden.table import CASES
from tests.golden.table.case import Computed, Merge
from tests.golden.table.given_numbers import Drawn

FOLDER = Path(methods.__file__).parent
# Results of others than a method's authors, for orientation.
THIRD_PARTY = "thirdparty_"


def test_every_method_is_listed_with_what_it_needs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["methods", f"json={tmp_path / 'methods.json'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    end = lines.index("")
    assert any(line.strip().startswith("Yadav et al. 2023; a base; 1 or more models; agrees with ") for line in lines)
    assert {line.split()[0] for line in lines[:end] if not line.startswith(" ")} == set(methods.names())
    assert {line.split()[0] for line in lines[end + 2 :] if not line.startswith(" ")} == set(post.names())
    data = json.loads((tmp_path / "methods.json").read_text())
    assert {entry["name"] for entry in data["steps"]} == set(post.names())
    found = {entry["name"]: entry for entry in data["methods"]}
    assert set(found) == set(methods.names())
    assert found["slerp"]["models"] == [2, 2]
    assert found["dare_ties"]["random"]
    assert all(entry["cost"] and entry["paper"] for entry in found.values())


def test_one_method_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "name=ties"]) == 0
    told = capsys.readouterr().out
    assert "votes: " in told
    assert "density: " in told
    assert "https://arxiv.org/abs/2306.01708" in told


def test_one_step_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "name=lines"]) == 0
    told = capsys.readouterr().out
    assert "alpha_from: " in told
    assert "beta: " in told
    assert "(one for the whole model; searched from 0 to 1.5" in told
    assert "needs: a base" in told
    assert "agrees with: the authors' code" in told
    assert "a candidate costs: a pass over the merged delta; with alpha_from=norm one more merge" in told
    assert main(["methods", "name=scale"]) == 0
    assert "(one for each group; " in capsys.readouterr().out


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "name=tis"]) == 2
    assert "did you mean 'ties'?" in capsys.readouterr().err


def test_the_table_in_the_folder_is_the_one_that_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["methods", f"markdown={tmp_path / 'README.md'}"]) == 0
    assert (tmp_path / "README.md").read_text() == (FOLDER / "README.md").read_text(), (
        "run `evomerge methods markdown=evomerge/methods/README.md`"
    )


def test_methods_say_that_they_agree_with_the_authors_where_a_case_shows_it() -> None:
    official = [own for name, own in CASES.items() if not name.startswith(THIRD_PARTY)]
    official = [own.merge if isinstance(own, Drawn) else own for own in official]
    shown = {own.method for own in official if isinstance(own, Merge | Computed)}
    shown |= {own.method for own in DATA_CASES.values() if isinstance(own, OfMethod)}
    said = {name for name in methods.names() if "authors' code" in methods.load(name).agrees_with}
    assert said == shown
    steps = {step.name for own in official if isinstance(own, Merge) for step in own.post}
    steps |= {own.step for own in DATA_CASES.values() if isinstance(own, OfStep)}
    assert {name for name in post.names() if "authors' code" in post.load(name).agrees_with} == steps
